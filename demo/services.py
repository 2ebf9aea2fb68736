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
    """The limits of one request and of the server; a visitor's own are `core`'s `VisitorLimits`."""

    upload_bytes: int = 200 * MEBIBYTE  # largest file
    # largest upload request, and on a shared server most bytes of uploads that wait to be read
    uploads_bytes: int = 4096 * MEBIBYTE
    body_bytes: int = 8 * MEBIBYTE  # largest body of any other request
    files_per_upload: int = 200  # most files in one go
    queue_size: int = 64  # most requests waiting
    queue_share: int = 16  # most of them of one visitor, on a shared server
    concurrency: int = 8  # most quick requests served at once
    # most long jobs (indexing, experiments) at once; others wait their turn
    heavy_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the program that the page works on."""

    visitors: Visitors  # their libraries
    catalogue: Catalogue  # encoders that users added
    default_library_id: str = "sample"  # the library that is shown first
    version: str = ""  # of Bifocal
    benchmarks: Path | None = None  # folder with the measured figures as JSON
    # folder of mteb results, of this machine's user; None on a shared server
    official: Path | None = None
    # folder below which the command line keeps runs; None on a shared server
    runs: Path | None = None
    limits: PageLimits = field(default_factory=PageLimits)  # what one visitor may ask
    adding: bool = True  # whether visitors may add encoders

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
