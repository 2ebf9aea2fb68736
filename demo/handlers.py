"""Values from the page -> library -> presenters. Plain functions: no UI toolkit, no science.

Every handler takes the visitor's id first and has it checked. A `CoreError` becomes a sentence in
the place where its result would have stood; anything else is a bug and is logged.
"""

from __future__ import annotations

from demo.comparing import Comparing
from demo.indexing import Indexing
from demo.libraries import Libraries
from demo.services import Services
from demo.session import Sessions
from demo.starters import Starters


class Handlers:
    """The page's verbs, over services and sessions, by subject."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sessions = Sessions(services.visitors, heavy_at_once=services.limits.heavy_at_once)
        self.starters = Starters()
        self.libraries = Libraries(services, self.sessions, self.starters)
        self.indexing = Indexing(services, self.sessions)
        self.comparing = Comparing(
            services, self.sessions, self.starters, embed=self.indexing.embed
        )
