from __future__ import annotations

import pytest

from core.comparison.records import Comparison
from core.experiments.context import Context
from tests.experiments.stand_in import KITCHEN, RIVER, WordEncoder, context_of, spec_b
from tests.render.compared import compared


@pytest.fixture(scope="session")
def bench() -> Context:
    return context_of(
        [RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"})))
    )


@pytest.fixture(scope="session")
def comparison(bench: Context) -> Comparison:
    return compared(bench, "When did the flood reach the gates?")
