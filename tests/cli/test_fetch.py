"""`fetch` says what a pair costs before anything is fetched, and does not when it cannot fit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from core.cli import cli
from core.encoders import hub

GIB = 1024**3
PLAN = hub.FetchPlan(
    checkpoint="somebody/encoder",
    revision="0123456789abcdef0123456789abcdef01234567",
    files=("config.json", "model.safetensors"),
    download_bytes=2 * GIB,
    licence="mit",
    gated=False,
    memory_needed_bytes=3 * GIB,
    memory_present_bytes=8 * GIB,
    disk_present_bytes=50 * GIB,
    seconds_per_1000_passages=400.0,
)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(hub.Hub, "plan", lambda _hub, _spec, **_options: PLAN)
    monkeypatch.setattr(
        hub.Hub, "fetch", lambda _hub, spec, **_options: found.append(spec.checkpoint)
    )
    return found


def test_the_plan_is_told_and_nothing_fetched_without_a_yes(fetched: list[str]) -> None:
    result = CliRunner().invoke(cli, ["fetch", "pplx-0.6b"], input="n\n")
    assert result.exit_code == 0
    assert "to fetch 2.00 GiB" in result.output
    assert "memory needed 3.00 GiB, free 8.00 GiB" in result.output
    assert fetched == []


def test_a_yes_fetches_both_encoders(fetched: list[str]) -> None:
    assert CliRunner().invoke(cli, ["fetch", "pplx-0.6b", "--yes"]).exit_code == 0
    assert fetched == ["perplexity-ai/pplx-embed-v1-0.6b", "Qwen/Qwen3-Embedding-0.6B"]


def test_what_cannot_fit_is_refused_with_the_reason(
    fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = replace(PLAN, refusal="somebody/encoder needs 30 GiB; 8 GiB are free.")
    monkeypatch.setattr(hub.Hub, "plan", lambda _hub, _spec, **_options: refused)
    result = CliRunner().invoke(cli, ["fetch", "pplx-0.6b", "--yes"])
    assert result.exit_code == 1
    assert "needs 30 GiB" in result.output
    assert fetched == []


def test_json_holds_every_figure(fetched: list[str]) -> None:
    result = CliRunner().invoke(cli, ["fetch", "pplx-0.6b", "--plan", "--json"])
    told = json.loads(result.stdout)
    assert [plan["download_bytes"] for plan in told["plans"]] == [2 * GIB, 2 * GIB]
    assert told["memory_needed_bytes"] == 5.5 * GIB  # half a GiB of working memory counted once
    assert fetched == []


def test_offline_says_what_to_do() -> None:
    result = CliRunner().invoke(cli, ["fetch", "diffugpt-s", "--plan", "--offline"])
    assert result.exit_code == 1
    assert "Bifocal is offline" in result.output
    assert "HF_HOME" in result.output


def test_a_stated_commit_is_not_moved(fetched: list[str]) -> None:
    # Both encoders of this pair have a commit of Bifocal's own: there is nothing to move.
    result = CliRunner().invoke(cli, ["fetch", "pplx-0.6b", "--plan", "--repin"])
    assert result.exit_code == 0
    assert "->" not in result.output
    assert fetched == []
