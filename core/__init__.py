"""Bifocal's core: documents in, two encoders side by side, where their rankings part.

Nothing here knows the page (``demo``); every step takes values and returns values.
"""

__version__ = "0.1.0"
