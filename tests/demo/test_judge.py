from __future__ import annotations

from core.evaluation.judging import JudgedReport, judged_report
from core.records import Family, Hit, Ranking, SystemInfo
from demo.presenters import judge


def report(queries: int) -> JudgedReport:
    qrels = {f"q{number}": {f"p{number}": 3} for number in range(queries)}
    runs = {
        name: (
            SystemInfo(name, family, name),
            [Ranking(query, name, (Hit(first or f"p{query[1:]}", 1.0, 1),)) for query in qrels],
        )
        for name, family, first in (
            ("one", Family.DIFFUSION, ""),
            ("two", Family.AUTOREGRESSIVE, "other"),
        )
    }
    return judged_report(qrels, runs, passages=9, depth=50)


def test_one_query_has_neither_interval_nor_p() -> None:
    html = judge.report(report(1))
    assert "1.000" in html
    for claim in ("[1.000, 1.000]", "p 1.000", "confidence sequence", "Recall@100"):
        assert claim not in html
    assert "judge more queries" in html


def test_several_queries_have_both() -> None:
    html = judge.report(report(3))
    assert "[1.000, 1.000]" not in html  # three queries leave much open
    assert "95 % confidence sequence over queries, which holds however often you look" in html
    assert "grade above 0 counts as relevant" in html
