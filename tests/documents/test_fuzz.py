"""A small slice of `tests.tools.fuzz`; the full run is for the command line."""

from __future__ import annotations

import random

from tests.tools.fuzz import fuzz, mutated, seeds


def test_sixty_damaged_files_end_in_a_document_or_a_planned_error() -> None:
    outcome = fuzz(60, seed=7)
    assert outcome.failures == []
    assert outcome.files == 60
    assert outcome.counts["read"] > 5
    assert outcome.counts["PdfReadError"] > 5


def test_the_same_seed_damages_the_same_way() -> None:
    originals = [b"%PDF-1.4 1 0 obj << /A 5 >> endobj stream\nxyz endstream", seeds()[0]]
    one, two = (mutated(random.Random("0-1"), originals) for _ in range(2))
    assert one == two
    assert any(mutated(random.Random(f"0-{n}"), originals) not in originals for n in range(5))
