"""The page: records become escaped HTML, clicks become calls of the workbench. No science here."""
