import itertools
from dataclasses import replace

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.errors import EncodingError, LaboratoryError, StoppedError
from core.experiments import disagree
from core.experiments.context import Context
from core.experiments.disagree import (
    DisagreementReport,
    FindingFilter,
    aggregate,
    as_run,
    find_disagreements,
    select,
    skewness,
)
from core.experiments.drafts import Draft, DraftKind, draft_queries
from core.records import Document
from tests.experiments.stand_in import (
    KITCHEN,
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    document,
    spec_b,
    texts_of,
)
from tests.monitors import StopWhenDone

LIBRARY = [RIVER, KITCHEN]


def _draft(text: str, context: Context, row: int) -> Draft:
    passage = context.corpus.passages[row]
    return Draft(f"draft-{text}", text, DraftKind.QUESTION, passage.passage_id, passage.doc_id)


def _report(
    a: WordEncoder, b: WordEncoder, library: list[Document] = LIBRARY
) -> DisagreementReport:
    context = context_of(library, (a, b))
    return find_disagreements(
        context, draft_queries(context.corpus.passages, texts_of(library)), k=3
    )


def test_the_same_encoder_on_both_sides_agrees_fully() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(attention=SPEC.attention)))
    assert report.findings
    assert {finding.disagreement for finding in report.findings} == {0.0}
    assert report.aggregates.rbo == 1.0
    assert report.aggregates.same_first == 1.0
    assert report.verdict is not None
    assert report.verdict.encoders.level == report.verdict.encoders.queries > 0
    # equal in every place, but too few source passages to call the encoders equally good
    assert report.verdict.sentences[0].startswith("Not settled")
    assert all(share.leaning == 0 for share in report.aggregates.documents)
    assert replace(report.hubness[0], system_id="") == replace(report.hubness[1], system_id="")
    assert select(report.findings, FindingFilter(only_different=True)) == ()
    assert "put the same passage first on 100 % and share 3.0 of 3 passages" in report.summary[0]


def test_swapping_the_encoders_mirrors_the_report() -> None:
    a, b = WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"gate", "gates", "bread"}))
    one, two = _report(a, b), _report(b, a)
    assert any(finding.disagreement > 0 for finding in one.findings)
    assert one.verdict is not None
    assert two.verdict is not None
    mine, theirs = one.verdict.encoders, two.verdict.encoders
    assert (mine.first_higher, mine.second_higher) == (theirs.second_higher, theirs.first_higher)
    assert (mine.low, mine.high) == pytest.approx((-theirs.high, -theirs.low))
    for first, second in zip(one.findings, two.findings, strict=True):
        assert first.draft == second.draft
        assert first.disagreement == second.disagreement
        assert (first.top_a, first.top_b) == (second.top_b, second.top_a)
        assert (first.source_rank_a, first.source_rank_b) == (
            second.source_rank_b,
            second.source_rank_a,
        )
    leanings = {share.doc_id: share.leaning for share in one.aggregates.documents}
    mirrored = {share.doc_id: -share.leaning for share in two.aggregates.documents}
    assert leanings == mirrored
    assert one.hubness == two.hubness[::-1]


def test_upload_order_changes_nothing() -> None:
    a, b = WordEncoder(), WordEncoder(spec_b(), mix=0.5)
    one, two = _report(a, b, LIBRARY), _report(a, b, LIBRARY[::-1])
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)


def test_the_furthest_apart_come_first() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"gate", "gates"})))
    values = [finding.disagreement for finding in report.findings]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0


def test_a_difference_at_the_top_weighs_more_than_one_below() -> None:
    # one-word passages: A follows the words, B hears "gate" as noise
    doc = document("words", "gate\n\nriver\n\nbread\n\nviolin\n\nlaw")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    same = find_disagreements(context, [_draft("gate", context, 0)], k=2).findings[0]
    assert (same.disagreement, same.overlap) == (0.0, 1.0)
    # RBO_ext of (p1 p2) against (p2 p1), p = 0.9: first depth shares nothing, second all:
    # (1-p)/p * (0*p + 1*p^2) + 1*p^2 = 0.1/0.9*0.81 + 0.81 = 0.9
    assert disagree._disagreement(("x", "y"), ("y", "x")) == pytest.approx(0.1)
    assert disagree._disagreement(("w", "x", "y"), ("w", "y", "x")) < 0.1


def test_the_source_passage_is_followed_in_every_system() -> None:
    context = context_of([RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b())))
    river_rows = [
        row for row, passage in enumerate(context.corpus.passages) if "flood" in passage.text
    ]
    finding = find_disagreements(context, [_draft("flood", context, river_rows[0])], k=3).findings[
        0
    ]
    # "flood" and "river" are one concept; only two passages hold it, the shorter mention weaker
    assert finding.source_rank_a == finding.source_rank_b
    assert finding.source_rank_a <= 2
    assert finding.source_rank_lexical == 1
    assert finding.query_words == 1
    assert 0 < finding.depth < 1


def test_a_word_that_nobody_wrote_has_no_lexical_rank() -> None:
    context = context_of([RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b())))
    row = next(row for row, p in enumerate(context.corpus.passages) if "flood" in p.text)
    drafts = [_draft("water", context, row), _draft("flood", context, row)]
    report = find_disagreements(context, drafts, k=3)
    by_text = {finding.draft.text: finding for finding in report.findings}
    assert by_text["water"].source_rank_lexical is None
    lexical = next(found for found in report.aggregates.found if found.system_id == "bm25")
    assert lexical.reciprocal_rank == 0.5  # the unranked one counts as not found


def test_a_report_is_a_run_with_the_source_passage_as_the_right_one() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b()))
    one, two, *_ = report.findings
    findings = (
        replace(one, source_rank_a=3, source_rank_b=1, source_rank_lexical=None),
        replace(two, source_rank_a=11, source_rank_b=2, source_rank_lexical=None),
    )
    run = as_run(replace(report, findings=findings), {"documents": "d"})
    a, b = (run.figures[name.system_id] for name in (report.a, report.b))
    first, second = (run.query_ids.index(one.draft.query_id) for one in findings)
    assert a["nDCG@10"][first] == 0.5  # 1 / log2(3 + 1)
    assert [a["MRR@10"][place] for place in (first, second)] == [1 / 3, 0.0]
    assert [b["MRR@10"][place] for place in (first, second)] == [1.0, 0.5]
    assert b["Recall@10"] == (1.0, 1.0)
    assert "bm25" not in run.figures
    assert set(run.identity) == {"documents", "queries", "judgments", "bifocal"}


def test_filters_take_both_ends_and_combine() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(), mix=0.4))
    words = [finding.query_words for finding in report.findings]
    wanted = FindingFilter(query_words=(min(words), min(words)), doc_ids=(RIVER.doc_id,))
    found = select(report.findings, wanted)
    assert all(
        finding.query_words == min(words) and finding.draft.doc_id == RIVER.doc_id
        for finding in found
    )
    assert len(found) == sum(
        finding.query_words == min(words) and finding.draft.doc_id == RIVER.doc_id
        for finding in report.findings
    )
    assert select(report.findings, FindingFilter()) == report.findings
    assert select(report.findings, FindingFilter(depth=(2.0, 3.0))) == ()
    headings = select(report.findings, FindingFilter(kinds=(DraftKind.HEADING,)))
    assert {finding.draft.kind for finding in headings} == {DraftKind.HEADING}


def test_bins_hold_every_finding_once_and_equal_values_together() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(), mix=0.4))
    for bins in (
        report.aggregates.by_query_words,
        report.aggregates.by_passage_chars,
        report.aggregates.by_depth,
    ):
        assert sum(one.count for one in bins) == len(report.findings)
        assert all(one.high < two.low for one, two in itertools.pairwise(bins))
    total = sum(one.rbo * one.count for one in report.aggregates.by_depth)
    assert total / len(report.findings) == pytest.approx(report.aggregates.rbo)


def test_shares_of_documents_add_up() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(), mix=0.4))
    for shares in zip(
        *((s.passages, s.share_a, s.share_b) for s in report.aggregates.documents), strict=True
    ):
        assert sum(shares) == pytest.approx(1.0)


def test_a_selection_can_be_added_up_again() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b(), mix=0.4)))
    report = find_disagreements(
        context, draft_queries(context.corpus.passages, texts_of(LIBRARY)), k=3
    )
    ids = (context.a.system_id, context.b.system_id, "bm25")
    assert aggregate(report.findings, context.corpus, k=3, system_ids=ids) == report.aggregates
    empty = aggregate((), context.corpus, k=3, system_ids=ids)
    assert (empty.count, empty.by_depth, empty.found) == (0, (), ())


def test_hubness_by_hand() -> None:
    # counts 0 0 0 4: mean 1, deviations -1 -1 -1 3; m2 = 3, m3 = 6; 6 / 3^1.5 = 1.1547
    assert skewness(np.array([0, 0, 0, 4])) == pytest.approx(1.1547, abs=1e-4)
    assert skewness(np.array([2, 2, 2])) == 0.0


def test_a_passage_that_always_comes_up_is_a_hub() -> None:
    doc = document("hub", "gate river bread violin law\n\ngate\n\ncake\n\nmusic\n\njudge")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    drafts = [_draft(word, context, 0) for word in ("gate", "bread", "music", "court")]
    report = find_disagreements(context, drafts, k=2)
    hub = report.hubness[0].hubs[0]
    # each query finds its own word first and the passage of everything second
    assert (hub.passage_id, hub.count) == (context.corpus.passages[0].passage_id, 4)
    assert report.hubness[0].expected == pytest.approx(4 * 2 / 5)
    assert report.hubness[0].skewness > 1


def test_stop_keeps_what_was_finished() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    drafts = [
        replace(_draft("flood", context, 0), query_id=f"draft-{number}") for number in range(130)
    ]
    report = find_disagreements(context, drafts, k=2, monitor=StopWhenDone(128))
    assert report.stopped
    assert len(report.findings) == 128
    assert report.drafts == 130
    with pytest.raises(StoppedError):
        find_disagreements(context, drafts, k=2, monitor=StopWhenDone(0))


def test_an_encoder_that_fails_half_way_loses_nothing() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    done = context.b.encoder.encoded  # type: ignore[attr-defined]
    context.b.encoder._fails_after = done + 70  # type: ignore[attr-defined]
    drafts = [
        replace(_draft("flood", context, 0), query_id=f"draft-{number}") for number in range(130)
    ]
    report = find_disagreements(context, drafts, k=2)
    assert len(report.findings) == 64
    assert "Words B failed: the machine ran out of memory" in report.problem
    assert "64 queries finished before are kept" in report.problem
    with pytest.raises(EncodingError, match="Words B failed"):
        find_disagreements(context, drafts, k=2)


def test_progress_is_told() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    watch = StopWhenDone(10_000)
    find_disagreements(context, [_draft("flood", context, 0)], k=2, monitor=watch)
    assert (watch.reports[0].done, watch.reports[-1].done, watch.reports[-1].total) == (0, 1, 1)


def test_a_library_of_one_passage_gets_a_sentence() -> None:
    context = context_of([document("one", "gate river")], (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="one passage"):
        find_disagreements(context, [_draft("gate", context, 0)])


def test_no_drafts_and_no_depth_get_a_sentence() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="no queries"):
        find_disagreements(context, [])
    with pytest.raises(LaboratoryError, match="depth is 0"):
        find_disagreements(context, [_draft("gate", context, 0)], k=0)


def test_drafts_of_another_chunking_get_a_sentence() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    gone = Draft("draft-x", "gate", DraftKind.QUESTION, "driver:00000000-00000001", "driver")
    with pytest.raises(LaboratoryError, match="draft anew"):
        find_disagreements(context, [gone])


def test_a_small_library_is_told_that_disagreement_is_understated() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b()))
    assert not any("understated" in note for note in report.notes)
    context = context_of(LIBRARY, (WordEncoder(), WordEncoder(spec_b())))
    deep = find_disagreements(context, [_draft("gate", context, 0)], k=10)
    assert any("understated" in note for note in deep.notes)


def test_a_report_survives_json() -> None:
    report = _report(WordEncoder(), WordEncoder(spec_b(), mix=0.4))
    assert from_json(DisagreementReport, to_json(report)) == report


def test_encoders_of_different_dimensions_just_work() -> None:
    context = context_of(LIBRARY, (WordEncoder(), WideEncoder()))
    assert context.b.vectors.shape[1] == 16
    report = find_disagreements(context, [_draft("gate", context, 0)], k=2)
    assert report.findings[0].disagreement == 0.0


class WideEncoder(WordEncoder):
    """The same geometry in twice the dimensions."""

    def __init__(self) -> None:
        super().__init__(spec_b(dimension=16))

    def _concept(self, word: str) -> int:  # type: ignore[explicit-override]
        return 15 - super()._concept(word)


def test_an_irrelevant_passage_changes_no_relative_order() -> None:
    a, b = WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"gate", "gates"}))
    context = context_of(LIBRARY, (a, b))
    with_more = context_of([*LIBRARY, document("zeros", "2023 1999 1871")], (a, b))
    drafts = draft_queries(context.corpus.passages, texts_of(LIBRARY))
    every = len(with_more.corpus.passages)
    before = {f.draft: f for f in find_disagreements(context, drafts, k=every).findings}
    for after in find_disagreements(with_more, drafts, k=every).findings:
        for side in ("top_a", "top_b"):
            kept = tuple(p for p in getattr(after, side) if not p.startswith("dzeros"))
            assert kept == getattr(before[after.draft], side)
