"""Facts about this server that every view works on. `app.py` makes one; tests make another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.settings import MEBIBYTE

if TYPE_CHECKING:
    from pathlib import Path

    from core.encoders.catalogue import Catalogue
    from core.encoders.spec import Pair
    from core.visitors import Visitors


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of one request and of the server; a visitor's own are `core`'s `VisitorLimits`.

    Attributes:
        upload_bytes: Largest file.
        uploads_bytes: Largest upload request, and on a shared server most bytes of uploads that
            wait to be read.
        body_bytes: Largest body of any other request.
        files_per_upload: Most files in one go.
        queue_size: Most requests waiting.
        queue_share: Most of them of one visitor, on a shared server.
        concurrency: Most quick requests served at once.
        heavy_at_once: Most long jobs (indexing, experiments) at once; others wait their turn.
    """

    upload_bytes: int = 200 * MEBIBYTE
    uploads_bytes: int = 4096 * MEBIBYTE
    body_bytes: int = 8 * MEBIBYTE
    files_per_upload: int = 200
    queue_size: int = 64
    queue_share: int = 16
    concurrency: int = 8
    heavy_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the program that the page works on.

    Attributes:
        visitors: Their libraries.
        catalogue: Encoders that users added.
        default_library_id: The library that is shown first.
        version: Of Bifocal.
        benchmarks: Folder with the measured figures as JSON.
        official: Folder of mteb results, of this machine's user; None on a shared server.
        limits: What one visitor may ask.
        adding: Whether visitors may add encoders.
    """

    visitors: Visitors
    catalogue: Catalogue
    default_library_id: str = "sample"
    version: str = ""
    benchmarks: Path | None = None
    official: Path | None = None
    limits: PageLimits = field(default_factory=PageLimits)
    adding: bool = True

    @property
    def hosted(self) -> bool:
        """Whether many visitors each have libraries of their own that are removed after a time."""
        return self.visitors.hosted

    def pairs(self) -> tuple[Pair, ...]:
        """Return the pairs on offer, the default first."""
        return tuple(self.visitors.pool.registry.pairs.values())

    def refresh_encoders(self) -> str:
        """Take in encoders that another process added; returns a problem to show, "" when none."""
        problem = self.catalogue.register()
        return "" if self.hosted else problem  # it names folders; the owner reads the log
