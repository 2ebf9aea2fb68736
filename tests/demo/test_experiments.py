"""Disagree, Laboratory, Evidence and Judge over the real rooms, with encoders that count words."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from core.errors import StoppedError
from core.evaluation.grades import grades_of
from core.experiments.drafts import DraftKind
from core.experiments.experiment import Place
from core.experiments.registry import experiment, offered
from core.experiments.run import run
from core.words import ordinal
from demo.experiments import Experiments, wanted_findings
from demo.judging import Judging
from demo.views import figures
from tests.demo.world import World, lent
from tests.dom import parse

HERE = ("local", "my-documents")


def last(stream: Any) -> Any:
    return list(stream)[-1]


@pytest.fixture
def experiments(real: Any) -> Any:
    return Experiments(real)


def study(experiments: Any, name: str, *, token: str = "", **values: Any) -> Any:
    return experiments.study(*HERE, token, experiment(name), values)


@pytest.fixture
def asked(real: Any) -> Any:
    """Token and first passage of a comparison on screen."""
    screen = last(real.comparing.compare(*HERE, "sluice gate of oak"))
    shown = real.sessions.shown("local", screen.token).comparison
    return screen.token, shown.passages[0].passage_id


def test_disagreements_are_listed_and_can_be_filtered(experiments: Any) -> None:
    html, running = last(experiments.disagree(*HERE, 20, wanted_findings(only_different=False)))
    assert not running
    assert html.count('data-act="ask"') > 3
    said = experiments.verdict(*HERE)
    assert "drafted quer" in said
    assert 'class="lead"' in said
    assert "<script" not in html
    nothing = experiments.filtered(*HERE, wanted_findings(query_words=(500, 600)))
    assert "No draft passes these filters" in nothing


def test_there_is_nothing_to_filter_before_a_run(experiments: Any) -> None:
    assert experiments.filtered(*HERE, wanted_findings()) is None
    assert experiments.verdict(*HERE) == ""


def test_what_is_chosen_on_the_map_is_listed(experiments: Any, asked: Any) -> None:
    html, _ = last(study(experiments, "map", query="sluice gate of oak"))
    assert "nearest neighbours" in html
    ids = [node.attributes["data-pid"] for node in parse(html).all("button.passage")]
    values = {"query": "sluice gate of oak", "method": "pca"}
    chosen = experiments.chosen(*HERE, "map", values, ids[:2])
    assert len(parse(chosen).all("tr")) == 3
    # its ranks are those of the columns
    shown = experiments.sessions.shown("local", asked[0]).comparison
    ranks = [ordinal(one.rank) for one in shown.passage(asked[1]).standings[:2]]
    cells = parse(experiments.chosen(*HERE, "map", values, [asked[1]])).all("td.r")
    assert [cell.text for cell in cells] == ranks
    for name, given, wanted, words in (
        ("map", values, ["no-such-passage"], "not in this library"),
        ("map", {"method": "sideways"}, ids[:1], "choose pca, umap"),
        ("map", [], ids[:1], "Nothing can be chosen"),
        ("growing", {}, ids[:1], "Nothing can be chosen"),
        ("<b>", {}, ids[:1], "No experiment"),
    ):
        trouble = experiments.chosen(*HERE, name, given, wanted)
        assert words in trouble
        assert "<b>" not in trouble


def test_unknown_kinds_of_draft_are_left_out_of_a_filter() -> None:
    assert wanted_findings(kinds=["heading", "<b>"]).kinds == (DraftKind.HEADING,)


def test_evidence_shows_both_encoders_sentence_by_sentence(experiments: Any, asked: Any) -> None:
    html, running = last(experiments.evidence("local", *asked))
    assert not running
    effects = re.findall(r'class="effect (dif|aut)', html)
    assert effects
    assert effects.count("dif") == effects.count("aut")
    assert "check: " in html
    assert "Alone, and inside its document" in html


def test_stop_ends_the_whole_of_the_evidence_and_keeps_what_is_done(
    experiments: Any, real: Any, asked: Any, monkeypatch: Any
) -> None:
    def stopped_meanwhile(*args: Any, **more: Any) -> Any:
        found = run(*args, **more)
        assert experiments.stop_shown("local", asked[0])
        return found

    monkeypatch.setattr("demo.experiments.run", stopped_meanwhile)
    html, running = last(experiments.evidence("local", *asked))
    assert not running
    assert "Without each sentence" in html
    assert html.count("Stopped.") == 1
    assert "Alone, and inside its document" not in html
    assert not experiments.stop_shown("local", asked[0])  # nothing runs any more
    assert not experiments.stop_shown("local", "no-such-comparison")


@pytest.mark.parametrize("finished_parts", [0, 1])
def test_a_stop_inside_the_evidence_says_what_is_kept(
    experiments: Any, real: Any, asked: Any, monkeypatch: Any, finished_parts: int
) -> None:
    parts: list[Any] = []

    def work(*args: Any, **more: Any) -> Any:
        if len(parts) == finished_parts:
            assert experiments.stop_shown("local", asked[0])
            raise StoppedError("Stopped.")
        parts.append(run(*args, **more))
        return parts[-1]

    monkeypatch.setattr("demo.experiments.run", work)
    html, running = last(experiments.evidence("local", *asked))
    assert not running
    assert html.count("Stopped") == 1
    assert ("What was finished is kept" in html) is (finished_parts == 1)
    assert ("before anything was finished" in html) is (finished_parts == 0)


def test_a_stopped_run_does_not_stand_beside_the_verdict_of_an_earlier_one(
    experiments: Any, monkeypatch: Any
) -> None:
    last(experiments.disagree(*HERE, 20, wanted_findings()))
    assert experiments.verdict(*HERE)

    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError("Stopped.")

    monkeypatch.setattr("demo.experiments.run", stopped)
    html, _ = last(experiments.disagree(*HERE, 20, wanted_findings()))
    assert "Stopped before anything was finished." in html
    assert "kept" not in html  # nothing was there to keep
    assert experiments.verdict(*HERE) == ""


def test_a_run_is_found_again_after_a_reload_and_its_result_is_kept(
    experiments: Any, monkeypatch: Any
) -> None:
    assert list(experiments.disagreeing(*HERE)) == []
    begun, go = threading.Event(), threading.Event()

    def slowly(*args: Any, **more: Any) -> Any:
        begun.set()
        go.wait(30)
        return run(*args, **more)

    monkeypatch.setattr("demo.experiments.run", slowly)
    left = experiments.disagree(*HERE, 20, wanted_findings())
    next(left)  # whoever started it goes away after the first sign of progress
    assert begun.wait(30)
    left.close()
    again = experiments.disagreeing(*HERE)
    assert next(again)[1]
    go.set()
    html, running = last(again)
    assert not running
    assert "Where they part" in html
    assert experiments.verdict(*HERE)


def test_what_nobody_watched_to_its_end_is_kept(experiments: Any) -> None:
    left = experiments.disagree(*HERE, 20, wanted_findings())
    next(left)
    left.close()
    experiments.sessions.jobs.get((*HERE, "experiment")).wait(30)
    assert experiments.verdict(*HERE)
    assert "Where they part" in experiments.filtered(*HERE, wanted_findings())


def test_a_causal_encoder_does_not_notice_an_edit_at_the_end(experiments: Any, asked: Any) -> None:
    html, _ = last(study(experiments, "last-sentence", passage_id=asked[1]))
    assert re.search(r"not one of \d+ earlier tokens moved", html)  # words before the picture
    assert re.search(r"exactly 0 on all \d+ tokens", html)
    assert html.count('class="strip dif"') == 1
    assert html.count('class="strip aut"') == 1
    # the bidirectional one does: some token is coloured
    dif = html[html.index('class="strip dif"') : html.index('class="strip aut"')]
    assert any(float(value) > 0 for value in re.findall(r"--c:([\d.]+)", dif))
    aut = html[html.index('class="strip aut"') :]
    assert all(float(value) == 0 for value in re.findall(r"--c:([\d.]+)", aut))


def test_attention_is_switched_and_own_modes_are_marked(experiments: Any, asked: Any) -> None:
    html, _ = last(study(experiments, "attention", query="sluice gate of oak", passage_id=asked[1]))
    assert "as trained" in html
    assert "not in the paper" in html


def test_growing_and_hidden_key_and_fairness_draw_something(
    experiments: Any, real: Any, asked: Any
) -> None:
    token, passage_id = asked
    html, _ = last(study(experiments, "growing", query="sluice gate of oak", passage_id=passage_id))
    assert "<svg" in html or "whole document" in html
    doc_id = lent(real.services, *HERE).documents()[0].doc_id
    html, _ = last(study(experiments, "hidden-key", doc_id=doc_id, longest=512, copies=2))
    assert "means over depth" in html or "choose other lengths" in html
    html, _ = last(study(experiments, "fairness", token=token, query="another"))
    assert "token limit" in html
    assert "query: sluice gate of oak" in html


def test_an_unknown_direction_or_passage_is_a_sentence(experiments: Any) -> None:
    html, _ = last(study(experiments, "growing", query="q", passage_id="p", side="sideways"))
    assert "choose both, before, after" in html
    html, _ = last(study(experiments, "last-sentence", passage_id="no-such-passage"))
    assert 'role="alert"' in html


def test_results_are_kept_so_that_the_same_inputs_give_the_same_picture(
    experiments: Any, asked: Any
) -> None:
    first = last(
        study(experiments, "last-sentence", passage_id=asked[1], replacement="Something else.")
    )
    again = last(
        study(experiments, "last-sentence", passage_id=asked[1], replacement="Something else.")
    )
    assert first == again


def test_every_experiment_checks_the_visitor(experiments: Any) -> None:
    for stream in (
        experiments.disagree("nobody", "my-documents", 5, wanted_findings()),
        *(
            experiments.study("nobody", "my-documents", "t", one, {})
            for one in offered(Place.LABORATORY)
        ),
        experiments.evidence("nobody", "t", "p"),
    ):
        assert "session is not known" in last(stream)[0]


# -- judging -------------------------------------------------------------------------------


def test_judging_is_blind(real: Any) -> None:
    html = last(Judging(real).start(*HERE, "sluice gate of oak"))
    assert "in random order" in html
    for word in ("diffusion", "autoregressive", "BM25", "count-dif", "count-aut", 'class="sym'):
        assert word not in html


def test_a_grade_is_kept_and_the_next_passage_comes(real: Any) -> None:
    judging = Judging(real)
    last(judging.start(*HERE, "sluice gate of oak"))
    html = judging.grade(*HERE, "2")
    assert "2 of " in html or "Done with this query" in html
    bench = lent(real.services, *HERE)
    assert [one.grade for one in bench.judgments()] == [2]
    assert list(grades_of(bench)) == ["sluice gate of oak"]
    # going back shows the grade given
    assert 'class="button strong" data-act="grade" data-key="2"' in judging.grade(*HERE, "b")


def test_what_was_judged_stands_on_the_hits_of_its_query_alone(real: Any) -> None:
    judging = Judging(real)
    last(judging.start(*HERE, "sluice gate of oak"))
    judging.grade(*HERE, "2")
    graded = grades_of(lent(real.services, *HERE))["sluice gate of oak"]  # and what overlaps it
    asked = last(real.comparing.compare(*HERE, "sluice gate of oak"))
    judged = [card for card in parse(asked.columns).all("div.hit") if "judged 2" in card.text]
    assert judged  # in every column that has it
    assert {card.attributes["data-pid"] for card in judged} <= set(graded)
    assert all("answers it" in card.text for card in judged)
    assert ">judged " not in last(real.comparing.compare(*HERE, "who opened the gate")).columns


def test_a_round_ends_and_the_report_says_what_can_be_said(real: Any) -> None:
    judging = Judging(real)
    html = last(judging.start(*HERE, "sluice gate of oak"))
    for key in "3" + "0" * 60:
        html = judging.grade(*HERE, key)
        if "Done with this query" in html:
            break
    assert "Done with this query" in html
    said = last(judging.report(*HERE))
    assert "nDCG@10" in said
    assert "1 query judged" in said
    qrels = judging.export(*HERE, "qrels")["text"]
    assert all(len(line.split()) == 4 for line in qrels.splitlines())


def test_a_report_without_judgments_says_what_to_do(real: Any) -> None:
    assert "Judge some" in last(Judging(real).report(*HERE))


def test_what_the_judgments_say_is_kept_and_two_runs_are_compared(real: Any) -> None:
    judging = Judging(real)
    html, choices, first = figures.kept_runs(real, *HERE)
    assert (choices, first) == ([], ("", ""))
    assert "No evaluation is kept yet" in html
    last(judging.start(*HERE, "sluice gate of oak"))
    judging.grade(*HERE, "3")
    assert "Kept as judged-" in last(judging.report(*HERE))
    last(judging.report(*HERE))  # the same again is not kept twice
    html, choices, first = figures.kept_runs(real, *HERE)
    assert len(choices) == 1
    assert "One run is kept" in html
    judging.grade(*HERE, "3")
    last(judging.report(*HERE))
    first = figures.kept_runs(real, *HERE)[2]
    said = figures.compare_kept(real, *HERE, *first)
    assert said.index("The judgments differ: a passage") < said.index('<td class="r">')
    assert "sluice gate of oak" in said or "The queries that decide" not in said
    for names in (("../x", first[0]), (["a"], None), (first[0], "/etc/passwd.json")):
        assert "Choose two runs of the list" in figures.compare_kept(real, *HERE, *names)


def test_on_a_shared_server_runs_are_their_visitors_alone(hosted: World) -> None:
    handlers = hosted.handlers()
    one, two = (handlers.sessions.start("") for _ in range(2))
    judging = Judging(handlers)
    last(judging.start(one, "sample", "sluice gate of oak"))
    judging.grade(one, "sample", "3")
    last(judging.report(one, "sample"))
    assert len(figures.kept_runs(handlers, one, "sample")[1]) == 1
    assert figures.kept_runs(handlers, two, "sample")[1] == []  # without a place
    last(judging.start(two, "sample", "sluice gate of oak"))
    assert figures.kept_runs(handlers, two, "sample")[1] == []  # with one
    assert "not known to the server" in figures.kept_runs(handlers, "nobody", "sample")[0]


def test_an_odd_key_changes_nothing(real: Any) -> None:
    judging = Judging(real)
    first = last(judging.start(*HERE, "sluice gate of oak"))
    assert judging.grade(*HERE, "9") == first
    assert lent(real.services, *HERE).judgments() == ()


def test_the_first_screen_has_no_picture_where_no_answer_is_known(real: Any) -> None:
    assert Experiments(real).picture(*HERE) == ""
    assert Experiments(real).picture("nobody", "sample") == ""
