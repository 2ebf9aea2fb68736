"""What one call that adds or embeds has come to so far."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.records import IngestionReport

if TYPE_CHECKING:
    from core.records import DocumentReport, SkippedFile


@dataclass(slots=True)
class Ingestion:
    """Filled by the steps of the call, in order."""

    documents: list[DocumentReport] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    embedded: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    stopped: bool = False
    started: float = field(default_factory=time.perf_counter)

    def report(self) -> IngestionReport:
        """Return it as the caller gets it."""
        return IngestionReport(
            documents=tuple(self.documents),
            skipped=tuple(self.skipped),
            passages_embedded=dict(self.embedded),
            passages_reused=dict(self.reused),
            seconds=time.perf_counter() - self.started,
            stopped=self.stopped,
        )
