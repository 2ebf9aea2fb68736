from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from typing_extensions import override

from core.comparison.compare import compare, search_depth
from core.encoders.spec import Attention, TextKind
from core.records import Family, SystemInfo
from core.search import (
    DenseIndex,
    DenseSystem,
    FusedSystem,
    LexicalIndex,
    LexicalSystem,
    Searcher,
    score_background,
)
from tests.comparison.worlds import DOCUMENT_NAMES, QUERY, passage
from tests.encoders.fake import FakeEncoder, fake_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.comparison.records import Comparison
    from core.monitor import Monitor
    from core.records import Passage

TOPICS = ("water", "gate", "river", "sluice", "boat", "miller")


class Broken(FakeEncoder):
    @override
    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        if kind is TextKind.QUERY:
            raise RuntimeError("no memory")
        return super().encode(texts, kind=kind, monitor=monitor)


def library(count: int = 60) -> dict[str, Passage]:
    known = {}
    for number in range(count):
        name = f"p{number:02d}"
        words = [TOPICS[(number * step) % len(TOPICS)] for step in (1, 2, 3)]
        text = f"Where the {words[0]} goes, the {words[1]} and the {words[2]} number {number} go."
        known[name] = passage(name, text=text, doc_id=f"d{1 + number % 2}", page=number + 1)
    return known


def encoders(*, broken: bool = False) -> list[FakeEncoder]:
    second = Broken if broken else FakeEncoder
    return [
        FakeEncoder(fake_spec(encoder_id="diff")),
        second(
            fake_spec(encoder_id="ar", family=Family.AUTOREGRESSIVE, attention=Attention.CAUSAL)
        ),
    ]


def asked(encoders: list[FakeEncoder], *, k: int = 10) -> Comparison:
    known = library()
    texts = [one.text for one in known.values()]
    systems: list[DenseSystem | LexicalSystem | FusedSystem] = []
    backgrounds = {}
    for encoder in encoders:
        info = SystemInfo(encoder.spec.encoder_id, encoder.spec.family, encoder.spec.label)
        embeddings = encoder.encode(texts, kind=TextKind.PASSAGE)
        systems.append(DenseSystem(info, encoder, DenseIndex(list(known), embeddings)))
        if not isinstance(encoder, Broken):
            backgrounds[info.system_id] = score_background(
                encoder, list(known.values()), embeddings
            )
    systems.append(
        LexicalSystem(SystemInfo("bm25", Family.LEXICAL, "BM25"), LexicalIndex(list(known), texts))
    )
    systems.append(FusedSystem(SystemInfo("rrf", Family.FUSION, "RRF"), ("diff", "ar")))
    results = Searcher(systems).search(QUERY, k=search_depth(k))
    return compare(
        QUERY,
        list(results.values()),
        backgrounds,
        k=k,
        passages=known,
        document_names=DOCUMENT_NAMES,
    )


def test_search_answers_become_a_comparison() -> None:
    comparison = asked(encoders())
    assert [column.info.system_id for column in comparison.columns] == ["diff", "ar", "bm25", "rrf"]
    column = comparison.column("diff")
    assert len(column.ranking.hits) == 50
    assert column.received is not None
    assert column.received.text == QUERY.text
    assert column.max_tokens == 512
    assert len(column.fingerprint) == 64
    assert column.seconds is not None
    assert comparison.equal_limits is True
    assert column.background is not None
    assert comparison.column("bm25").background is None
    standing = comparison.passages[0].standing("ar")
    assert standing.z is not None
    assert standing.percentile is not None
    assert comparison.cloud


def test_passages_below_a_column_have_their_rank_over_the_corpus() -> None:
    comparison = asked(encoders())
    below = [
        passage.standing("diff").rank
        for passage in comparison.passages
        if passage.passage_id not in comparison.column("diff").ranking.passage_ids
    ]
    assert below  # the premise: 50 of 60 are listed, another encoder lists others
    assert all(rank is not None and 50 < rank <= 60 for rank in below)


def test_a_failing_encoder_is_a_failed_column_and_not_an_empty_one() -> None:
    comparison = asked(encoders(broken=True))
    assert "failed on this query" in comparison.column("ar").failure
    assert comparison.column("ar").received is None
    assert comparison.column("diff").failure == ""
    assert comparison.column("rrf").failure
    assert comparison.encoders_agreement is None


@pytest.mark.parametrize(("k", "depth"), [(5, 50), (10, 50), (50, 50), (80, 80)])
def test_search_goes_deeper_than_the_page_shows(k: int, depth: int) -> None:
    assert search_depth(k) == depth
