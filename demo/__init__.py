"""The page: records become escaped HTML, clicks become calls of a library. No science here."""
