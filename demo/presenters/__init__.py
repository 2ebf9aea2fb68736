"""Pure functions from records to escaped HTML. Nothing here knows the UI toolkit."""
