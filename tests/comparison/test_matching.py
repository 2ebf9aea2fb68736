"""Ids from elsewhere on this library's passages. Two documents, three pages, four passages:

report.pdf (dr)   p1 0-100 on page 1, p2 100-150 on page 2, p3 150-300 on pages 2 and 3
notes/memo.txt (dm)   one passage
"""

from __future__ import annotations

import pytest

from core.comparison.matching import MatchKind, PassageMatcher, merge_reports
from core.records import Hit, Passage, Ranking, Unit, make_passage_id

NAMES = {"dr": "report.pdf", "dm": "notes/Memo 1.txt"}


def passage(doc_id: str, start: int, end: int, first: int, last: int) -> Passage:
    return Passage(
        passage_id=make_passage_id(doc_id, start, end), doc_id=doc_id, text="x" * (end - start),
        start=start, end=end, page_first=first, page_last=last, unit=Unit.PASSAGE,
    )  # fmt: skip


P1, P2, P3 = (
    passage("dr", 0, 100, 1, 1),
    passage("dr", 100, 150, 2, 2),
    passage("dr", 150, 300, 2, 3),
)
MEMO = passage("dm", 0, 80, 1, 1)
MATCHER = PassageMatcher([P1, P2, P3, MEMO], NAMES)


@pytest.mark.parametrize(
    ("external", "expected", "kind"),
    [
        (P2.passage_id, P2, MatchKind.PASSAGE),
        ("dr:00000090-00000140", P2, MatchKind.SPAN),  # 10 of P1, 40 of P2
        ("report.pdf:140-200", P3, MatchKind.SPAN),  # 10 of P2, 50 of P3
        ("dr:400-500", None, None),  # beyond its end
        ("report.pdf#page=1", P1, MatchKind.PAGE),
        ("report.pdf#page=2", P2, MatchKind.PAGE),  # P3 is longer but only partly on page 2
        ("report p. 3", P3, MatchKind.PAGE),
        ("REPORT.PDF:3", P3, MatchKind.PAGE),
        ("report_page_1", P1, MatchKind.PAGE),
        ("/home/me/report.pdf#3", P3, MatchKind.PAGE),
        ("C:\\papers\\report.pdf:1", P1, MatchKind.PAGE),
        ("report.pdf#page=9", None, None),
        ("notes/Memo 1.txt", MEMO, MatchKind.DOCUMENT),
        ("memo 1", MEMO, MatchKind.DOCUMENT),  # its name ends in a number; that is no page
        ("memo%201.txt", MEMO, MatchKind.DOCUMENT),  # as TREC files have white space
        ("dm", MEMO, MatchKind.DOCUMENT),
        ("report.pdf", None, MatchKind.DOCUMENT),  # several passages: which one, nobody knows
        ("other.pdf", None, None),
        ("", None, None),
        ("<img src=x onerror=alert(1)>", None, None),
    ],
)
def test_an_id_is_taken_for_what_it_says(
    external: str, expected: Passage | None, kind: MatchKind | None
) -> None:
    assert MATCHER.match(external) == ("" if expected is None else expected.passage_id, kind)


def test_a_name_that_two_documents_share_stands_for_neither() -> None:
    matcher = PassageMatcher(
        [passage("d1", 0, 9, 1, 1), passage("d2", 0, 9, 1, 1)],
        {"d1": "2023/report.pdf", "d2": "2024/report.pdf"},
    )
    assert matcher.match("report.pdf") == ("", None)
    assert matcher.match("2024/report.pdf")[0].startswith("d2:")


def run_of(*ids: str) -> Ranking:
    hits = tuple(Hit(name, 1.0 - rank / 10, rank) for rank, name in enumerate(ids, start=1))
    return Ranking(query_id="q", system_id="elsewhere", hits=hits)


def test_a_ranking_is_placed_and_what_is_lost_is_counted() -> None:
    placed, report = MATCHER.matched(
        run_of("x.pdf", "report.pdf#page=3", "report.pdf", P3.passage_id, P1.passage_id),
        system_id="run-x",
    )
    assert [(hit.passage_id, hit.score, hit.rank) for hit in placed.hits] == [
        (P3.passage_id, 0.8, 1),
        (P1.passage_id, 0.5, 2),
    ]
    assert (report.hits, report.matched, report.merged) == (5, 3, 1)
    assert (report.whole_documents, report.unmatched) == (1, 1)
    assert report.words == (
        "3 of 5 hits are of this library (1 by page, 2 by passage). 1 name a passage that is "
        "ranked higher already. 1 name whole documents: set what is retrieved to whole documents to "
        'compare those. 1 names nothing here. For example "x.pdf", "report.pdf".'
    )


def test_reports_add_up() -> None:
    reports = [MATCHER.matched(run_of(*ids), system_id="s")[1] for ids in (["a", "dm"], ["b", "c"])]
    both = merge_reports(reports)
    assert (both.hits, both.matched, both.unmatched) == (4, 1, 3)
    assert both.examples == ("a", "b", "c")
    assert merge_reports([]).words == "0 of 0 hits are of this library."
