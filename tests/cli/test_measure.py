"""evaluate, disagree, explain, probe, pairs, doctor: from the terminal."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from core.cli.measure import default_cache
from core.cli.output import number_list, opened
from core.errors import EncoderUnavailableError, UsageError
from core.experiments import disagree
from core.experiments.registry import experiment
from core.experiments.run import run
from tests.cli.conftest import Terminal
from tests.evaluation.folders import write_folder
from tests.libraries import AUTOREGRESSIVE

QUERY = "who hunts mice at night"


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "animals")


def evaluate(terminal: Terminal, beir: Path, *more: object) -> object:
    return terminal("evaluate", "--beir", beir, "--cache", beir.parent / "cache", *more)


def test_evaluate_prints_every_system_and_writes_json_and_runs(
    terminal: Terminal, beir: Path, tmp_path: Path
) -> None:
    out, runs = tmp_path / "result.json", tmp_path / "runs"
    result = terminal(
        "evaluate", "--beir", beir, "--cache", tmp_path / "c", "--json", out, "--runs", runs
    )
    assert result.exit_code == 0, result.output
    for name in ("hash-diffusion", "hash-autoregressive", "bm25", "nDCG@10"):
        assert name.lower() in result.stdout.lower()
    assert json.loads(out.read_text())
    assert len(list(runs.iterdir())) >= 3


def test_a_second_evaluation_embeds_nothing(terminal: Terminal, beir: Path) -> None:
    for _ in range(2):
        assert evaluate(terminal, beir).exit_code == 0  # type: ignore[attr-defined]
    second = terminal.load.encoders[AUTOREGRESSIVE.encoder_id]
    assert second.total_encoded <= 3  # the three queries at most, no document


@pytest.mark.parametrize(
    ("limit", "code"), [("ndcg@10>1.5", 0), ("ndcg@10<1.5", 3), ("ndcg@10 > -2", 3)]
)
def test_fail_if_decides_the_exit_code(
    terminal: Terminal, beir: Path, limit: str, code: int
) -> None:
    result = evaluate(terminal, beir, "--fail-if", limit)
    assert result.exit_code == code  # type: ignore[attr-defined]


@pytest.mark.parametrize("limit", ["ndcg@10", "ndcg@10<much", "accuracy<0.1", "<0.1"])
def test_limits_nobody_can_check(terminal: Terminal, beir: Path, limit: str) -> None:
    result = evaluate(terminal, beir, "--fail-if", limit)
    assert result.exit_code == 2  # type: ignore[attr-defined]
    assert "--fail-if" in result.stderr  # type: ignore[attr-defined]


def test_a_folder_that_is_not_beir(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = evaluate(terminal, tmp_path / "empty")
    assert result.exit_code == 1  # type: ignore[attr-defined]
    assert "corpus.jsonl" in result.stderr  # type: ignore[attr-defined]


def test_each_data_set_has_a_cache_of_its_own(tmp_path: Path) -> None:
    for name in ("a/scifact", "b/scifact"):
        (tmp_path / name).mkdir(parents=True)
    one = default_cache(tmp_path / "a" / "scifact")
    assert one != default_cache(tmp_path / "b" / "scifact")
    assert one == default_cache(tmp_path / "b" / ".." / "a" / "scifact")
    assert one.name.startswith("scifact-")


def test_pairs_lists_what_is_matched() -> None:
    # The real registry: nothing is loaded for it.
    from typer.testing import CliRunner

    from core.cli import cli

    result = CliRunner().invoke(cli, ["pairs", "--json"])
    assert result.exit_code == 0
    rows = {row["pair_id"]: row for row in json.loads(result.stdout)}
    assert {"pplx-0.6b", "pplx-4b", "dream-7b", "diffugpt-s"} <= set(rows)
    assert rows["dream-7b"]["matched"]


def test_sample_tells_what_it_holds(terminal: Terminal, tmp_path: Path) -> None:
    told = terminal.json("sample", "--workspace", tmp_path / "s")
    listed = terminal.json("documents", "-w", tmp_path / "s")["documents"]
    assert told["documents"] == len(listed) > 0
    assert told["passages"] == sum(line["passages"] for line in listed)
    assert set(told["embedded"].values()) == {told["passages"]}
    assert told["files"] == []


def test_disagree_lists_findings(terminal: Terminal, workspace: Path) -> None:
    result = terminal("disagree", "-w", workspace, "--drafts", "6", "-k", "5")
    assert result.exit_code == 0, result.output
    found = terminal.json("disagree", "-w", workspace, "--drafts", "6", "-k", "5")
    assert "findings" in found
    (line,) = terminal.json("evaluations", "-w", workspace)  # an evaluation, kept once
    assert (line["dataset"], line["queries"]) == ("drafted", len(found["findings"]))
    assert line["encoders"] == ["hash-diffusion", "hash-autoregressive"]


def test_explain_says_which_sentences_matter(terminal: Terminal, workspace: Path) -> None:
    found = terminal.json("explain", QUERY, "-w", workspace)
    assert found
    for more in (["--clauses"], ["--fairness"]):
        result = terminal("explain", QUERY, "-w", workspace, *more)
        assert result.exit_code == 0, result.output
        assert "--json prints every number" in result.stdout


@pytest.mark.parametrize("experiment", ["growing", "attention", "context"])
def test_probes_on_a_hit(terminal: Terminal, workspace: Path, experiment: str) -> None:
    result = terminal("probe", experiment, "-w", workspace, "--query", QUERY)
    assert result.exit_code in {0, 1}, result.output
    assert "Traceback" not in result.output
    if result.exit_code == 1:  # a two-sentence passage may be too short for an experiment
        assert result.stderr.startswith("Error: ")


def test_probes_that_need_a_query_say_so(terminal: Terminal, workspace: Path) -> None:
    result = terminal("probe", "growing", "-w", workspace)
    assert result.exit_code == 2
    assert "query is empty; it is needed here" in result.stderr


def test_probe_on_a_document_nobody_knows(terminal: Terminal, workspace: Path) -> None:
    result = terminal("probe", "hidden-key", "-w", workspace, "--document", "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No document nobody")
    result = terminal("probe", "hidden-key", "-w", workspace, "--copies", "1")
    assert result.exit_code == 2
    assert "copies is 1; choose 2 to 20" in result.stderr


def test_a_command_takes_what_the_page_found(
    terminal: Terminal, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("disagree", "-w", workspace, "--drafts", "7", "-k", "5")
    with opened(workspace) as library:  # as the page does
        values = {"count": 7, "k": 5}
        before = run(library, experiment("disagree"), values)
    monkeypatch.setattr("core.experiments.disagree._ask_block", None)  # nothing is asked again
    assert terminal.json(*asked)["seconds"] == pytest.approx(before.seconds)


def test_ctrl_c_keeps_what_is_finished(
    terminal: Terminal, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = disagree._ask_block

    def interrupted(*args: Any) -> Any:
        findings = ask(*args)
        signal.raise_signal(signal.SIGINT)
        return findings

    monkeypatch.setattr(disagree, "_BLOCK", 2)
    monkeypatch.setattr(disagree, "_ask_block", interrupted)
    result = terminal("disagree", "-w", workspace, "--drafts", "6", "-k", "5", "--json")
    assert result.exit_code == 3, result.output
    report = json.loads(result.stdout)
    assert report["stopped"]
    assert len(report["findings"]) == 2
    monkeypatch.setattr(disagree, "_ask_block", ask)
    assert not terminal.json("disagree", "-w", workspace, "--drafts", "6", "-k", "5")["stopped"]


def test_doctor_proves_both_encoders(terminal: Terminal) -> None:
    found = terminal.json("doctor")
    assert found["good"]
    details = {check["name"]: check["detail"] for check in found["checks"]}
    assert "attention causal proved" in details["hash-autoregressive"]
    assert "pages" in details["pdf worker"]


def test_doctor_tells_what_is_wrong_and_fails(terminal: Terminal) -> None:
    terminal.load.failing[AUTOREGRESSIVE.encoder_id] = EncoderUnavailableError("The hash differs.")
    result = terminal("doctor")
    assert result.exit_code == 1
    assert "BAD  hash-autoregressive: The hash differs." in result.stdout
    assert "ok   hash-diffusion" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["index"], ["search", "owl"], ["probe", "nonsense", "-w", "x"]]
)
def test_wrong_usage_is_exit_code_2(terminal: Terminal, arguments: list[str]) -> None:
    result = terminal(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_help_names_every_command(terminal: Terminal) -> None:
    result = terminal("--help")
    for name in ("index", "search", "compare", "export", "evaluate", "doctor", "pairs"):
        assert name in result.stdout


def test_judging_works_on_the_command_line(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    query = "which owl hunts mice"
    first = terminal.json("judge", query, "-w", workspace)
    ids = [row["passage_id"] for row in first["pool"]]
    assert len(ids) > 1
    assert {row["grade"] for row in first["pool"]} == {None}
    assert first["words"] == []  # nothing is judged yet
    target = tmp_path / "judged.qrels"
    graded = terminal.json(
        "judge", query, "-w", workspace, "--grade", f"{ids[0]}=3", "--qrels", target
    )
    assert [row["passage_id"] for row in graded["pool"]] == ids  # the blind order stays
    assert graded["pool"][0]["grade"] == 3
    assert graded["words"][0] == "1 query judged, 1 judgment."
    assert target.read_text().split()[2:] == [ids[0], "3"]
    wrong = terminal("judge", query, "-w", workspace, "--grade", f"{ids[0]}=7")
    assert wrong.exit_code == 2
    assert "a grade of 0, 1, 2 or 3" in wrong.stderr


def test_a_length_that_is_no_number_is_refused() -> None:
    assert number_list("256,512") == (256, 512)
    assert number_list("") == ()
    with pytest.raises(UsageError, match="256,512"):
        number_list("256,long")


def test_the_gate_says_its_answer_by_exit_code(
    terminal: Terminal, beir: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[measures]\n"nDCG@10" = 0.02\n')
    base = tmp_path / "base.json"
    evaluate(terminal, beir, "--keep", base)
    options = ("--baseline", base, "--run", base, "--policy", policy)
    report = tmp_path / "gate.xml"
    found = terminal("gate", *options, "--junit", report)
    assert (found.exit_code, "Gate: HOLD" in found.stdout) == (1, True)  # three queries
    assert report.read_text().startswith("<?xml")
    gone = terminal("gate", "--baseline", "gone", "--run", base, "--policy", policy)
    assert (gone.exit_code, "There is no run" in gone.stdout) == (3, True)


def test_every_evaluation_is_kept_listed_and_compared(terminal: Terminal, beir: Path) -> None:
    first = evaluate(terminal, beir).stdout.splitlines()[-1]  # type: ignore[attr-defined]
    assert first.startswith("Kept as animals-")
    evaluate(terminal, beir, "--keep", "short", "--max-tokens", 4)
    evaluate(terminal, beir, "--no-keep", "--max-tokens", 3)
    listed = terminal.json("evaluations")
    assert [(line["dataset"], line["queries"]) for line in listed] == [("animals", 3)] * 2
    assert "short" in terminal("evaluations").stdout
    name = next(line["name"] for line in listed if line["name"] != "short")
    said = terminal("evaluations", name, "short", "--measure", "mrr@10").stdout
    assert said.index("hash-diffusion: ") < said.index("MRR@10 over 3 queries in both runs")
    systems = terminal.json("evaluations", name, "short")["systems"]
    assert [one["system_id"] for one in systems][-2:] == ["bm25", "rrf"]
    assert terminal("evaluations", name).exit_code == 2
    gone = terminal("evaluations", name, "gone")
    assert (gone.exit_code, "There is no run 'gone'" in gone.stderr) == (2, True)


def test_what_the_judgments_say_is_kept_with_the_workspace(
    terminal: Terminal, workspace: Path
) -> None:
    pool = terminal.json("judge", "upper gate", "-w", workspace)["pool"]
    said = terminal("judge", "upper gate", "-w", workspace, "--grade", f"{pool[0]['passage_id']}=3")
    assert "Kept as judged-" in said.stdout
    assert terminal.json("evaluations") == []
    (line,) = terminal.json("evaluations", "-w", workspace)
    assert (line["queries"], line["named"]) == (1, False)


def test_pairs_are_checked_at_the_hub_and_each_failure_is_named(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = terminal("pairs", "--check")
    assert result.exit_code == 1
    assert result.stdout.count("HF_HUB_OFFLINE is set") >= 10


def test_one_collection_is_named(terminal: Terminal, tmp_path: Path) -> None:
    for more in ((), ("--beir", tmp_path, "--hf", "BeIR/scifact")):
        result = terminal("evaluate", *more)
        assert result.exit_code == 2
        assert "--beir FOLDER or --hf OWNER/NAME" in result.stderr


def test_drafts_are_questions_with_their_passages(terminal: Terminal, workspace: Path) -> None:
    found = terminal.json("drafts", "-w", workspace, "--count", "3")
    assert found
    assert {one["kind"] for one in found} <= {"question", "definition"}
    lines = terminal("drafts", "-w", workspace, "--count", "3").stdout.splitlines()
    assert lines == [f"{one['passage_id']}  {one['text']}" for one in found]
    headings = terminal.json("drafts", "-w", workspace, "--kind", "heading")
    assert {one["kind"] for one in headings} == {"heading"}
