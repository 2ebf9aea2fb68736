"""Controls on a tiny random pair: one pass for many readouts, nothing embedded twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import InvalidSettingError, StoppedError, UnknownNameError, UsageError
from core.evaluation.beir import read_beir
from core.evaluation.evaluate import evaluate_beir
from core.records import Family
from core.store import Workspace
from core.training import controls as module
from core.training.cli import app
from core.training.controls import (
    CONTROLS,
    ControlEncoders,
    Weights,
    chosen_controls,
    embed_together,
    groups_of,
    measure_controls,
)
from core.training.export import write_converted, write_readout
from tests.evaluation.folders import write_folder
from tests.training.tiny import base, exported_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.encoders.encoder import LoadedEncoder
    from core.monitor import Progress

DOCUMENTS = {f"d_{size}_{n}": ("", " ".join(f"w{n + k}" for k in range(size)))
             for size in (3, 6) for n in range(1, 30, 6)}  # fmt: skip
QUERIES = {f"q{size}{n}": f"w{n} w{n + 1}" for size in (3, 6) for n in (1, 7)}
BY_LENGTH = {
    size: {f"q{size}{n}": {f"d_{size}_{n}": 1} for n in (1, 7)} for size in (3, 6)
}  # fmt: skip
QRELS = BY_LENGTH[3] | BY_LENGTH[6]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    folder = tmp_path / "encoders" / "tiny"
    exported_pair(folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "vectors") as opened:
        yield opened


def beir(tmp_path: Path) -> Path:
    return write_folder(
        tmp_path / "words", documents=DOCUMENTS, queries=QUERIES, qrels=QRELS, lengths=BY_LENGTH
    )


def encoders(pair: Path, workspace: Workspace, only: str = "") -> list[LoadedEncoder]:
    makers = ControlEncoders(pair)
    corpus = [text for _, text in DOCUMENTS.values()]
    chosen = chosen_controls(only.split(",") if only else ())
    return [makers.encoder(one, corpus=corpus, workspace=workspace) for one in chosen]


class Watcher:
    """Stops after some reports of embedding."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.told: list[Progress] = []
        self.stop_after = stop_after

    def report(self, progress: Progress) -> None:
        if progress.stage.startswith("embedding") and progress.detail:
            self.told.append(progress)

    def stop_requested(self) -> bool:
        return len(self.told) >= self.stop_after


def test_a_shared_pass_gives_exactly_what_each_encoder_gives(
    pair: Path, workspace: Workspace
) -> None:
    texts = ["w1 w2 w3", "w9", "w5 w4 w3 w2", "", "w7 w8 w9"]
    for group in groups_of(encoders(pair, workspace)):
        for kind in TextKind:
            together = group[0].encode_together(group[1:], texts, kind=kind)
            for encoder, rows in zip(group, together, strict=True):
                np.testing.assert_array_equal(rows, encoder.encode(texts, kind=kind))


def test_systems_share_a_pass_where_weights_and_attention_are_the_same(
    pair: Path, workspace: Workspace
) -> None:
    groups = [[one.spec.label for one in group] for group in groups_of(encoders(pair, workspace))]
    assert groups == [
        ["Bifocal diffusion", "diffusion-plain-mean"],
        [
            "Bifocal autoregressive",
            "autoregressive-plain-mean",
            "autoregressive-last-token",
            "autoregressive-last-token-restandardised",
        ],
        ["diffusion-made-causal"],
        ["autoregressive-mask-removed"],
        ["base-plain-mean", "base-weighted-mean", "base-weighted-mean-standardised"],
    ]


def test_every_control_is_another_encoder(pair: Path, workspace: Workspace) -> None:
    made = encoders(pair, workspace)
    assert len({one.fingerprint for one in made}) == len(CONTROLS)
    assert len({one.encode(["w3 w1 w2"], kind=TextKind.PASSAGE).tobytes() for one in made}) == len(
        CONTROLS
    )


def test_encoders_of_other_weights_or_attention_are_refused(
    pair: Path, workspace: Workspace
) -> None:
    diffusion, causal = encoders(pair, workspace, "diffusion,diffusion-made-causal")
    with pytest.raises(InvalidSettingError, match="cannot share a pass"):
        diffusion.encode_together([causal], ["w1"], kind=TextKind.QUERY)


def test_base_is_without_training_and_without_statistics(pair: Path, workspace: Workspace) -> None:
    plain = encoders(pair, workspace, "base-plain-mean")[0]
    assert plain.spec.attention is Attention.CAUSAL
    assert plain.spec.pooling is Pooling.MEAN
    assert plain.dimension == 64  # two layers of 32, no projection
    traced = plain.trace(["w5 w6"], kind=TextKind.PASSAGE)[0]
    table = torch.from_numpy(base().arrays["embed_tokens.weight"])
    row = table[traced.token_ids[1]]
    expected = row / row.pow(2).mean().sqrt()  # layer 0 is the token embedding at unit mean square
    np.testing.assert_allclose(traced.states[1, :32], expected, rtol=1e-4)


def test_standardised_controls_have_mean_0_and_spread_1(pair: Path, workspace: Workspace) -> None:
    one = encoders(pair, workspace, "base-weighted-mean-standardised")[0]
    rows = one.raw_embeddings([text for _, text in DOCUMENTS.values()], kind=TextKind.PASSAGE)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-2)


def test_figures_are_those_of_evaluate(tmp_path: Path, pair: Path, workspace: Workspace) -> None:
    folder = beir(tmp_path)
    measured = measure_controls(
        folder, chosen_controls(()), ControlEncoders(pair), workspace=workspace
    )
    alone = evaluate_beir(folder, encoders(pair, workspace))
    assert len(alone.whole.systems) == len(CONTROLS) + 2  # BM25 and the fusion
    for part, other in zip(
        (measured.evaluation.whole, *measured.evaluation.lengths),
        (alone.whole, *alone.lengths),
        strict=True,
    ):
        for system in other.systems:
            found = part.system(system.system_id)
            assert found is not None
            assert found.measures == system.measures


def test_json_says_what_each_system_is(tmp_path: Path, pair: Path, workspace: Workspace) -> None:
    measured = measure_controls(
        beir(tmp_path),
        chosen_controls(["diffusion", "diffusion-made-causal", "base-plain-mean"]),
        ControlEncoders(pair),
        workspace=workspace,
        lengths=[6],
    )
    fields = measured.to_fields()
    assert [part["length"] for part in fields["lengths"]] == [6]
    assert fields["queries"] == 2
    arm, causal, plain = fields["controls"]
    assert arm["against"] is None
    assert (causal["weights"], causal["attention"]) == ("diffusion arm", "causal")
    assert causal["against"]["arm"] == "bifocal-diffusion-135m"
    by_id = {one["id"]: one["measures"] for one in fields["systems"]}
    difference = causal["against"]["difference"]["nDCG@10"]["value"]
    values = [by_id[one["id"]]["nDCG@10"]["value"] for one in (causal, arm)]
    assert difference == pytest.approx(values[0] - values[1])
    assert "Accuracy@1" in causal["against"]["lengths"][0]["difference"]
    assert plain["against"] is None  # its arm was not measured
    assert (plain["pooling"], plain["dimension"]) == ("mean", 64)


def test_a_stopped_run_goes_on_where_it_was(
    tmp_path: Path, pair: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_TOKENS", 20)
    dataset = read_beir(beir(tmp_path)).whole
    texts: dict[str, Any] = {
        "passages": tuple(dataset.documents.values()),
        "queries": tuple(QUERIES.values()),
    }
    made = encoders(pair, workspace, "autoregressive,autoregressive-plain-mean")
    stopped = Watcher(stop_after=2)
    with pytest.raises(StoppedError):
        embed_together(workspace, made, **texts, monitor=stopped)
    watcher = Watcher()
    rest = embed_together(workspace, made, **texts, monitor=watcher)
    # a query has its prompt and two words, two of the four are alike; a passage its own and three
    # or six words
    total = 2 * 3 + 5 * 4 + 5 * 7
    assert rest == total - stopped.told[-1].done
    assert watcher.told[-1].done == watcher.told[-1].total == rest
    assert "tokens/s" in watcher.told[-1].detail
    assert "min left" in watcher.told[-1].detail
    assert embed_together(workspace, made, **texts) == 0
    # a further pooling of the same states needs its own pass only
    assert embed_together(workspace, [*made, *encoders(pair, workspace, "autoregressive-last-token")], **texts) == total  # fmt: skip


def test_an_arm_of_a_working_folder_is_what_was_trained(
    tmp_path: Path, pair: Path, workspace: Workspace
) -> None:
    nets = exported_pair(pair)
    work = tmp_path / "work"
    write_converted(work, base())
    net, readout = nets[Family.AUTOREGRESSIVE]
    arrays = net.exported(layers=2)
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    torch.save(tensors, work / "adapters_again.pt")
    write_readout(work / "final_again.pt", readout)
    makers = ControlEncoders(pair, work=work)
    same, bolted = [
        makers.encoder(one, corpus=(), workspace=workspace)
        for stated in ("again:causal", "again")
        for one in chosen_controls(["again"], [stated])
    ]
    assert bolted.spec.attention is Attention.BIDIRECTIONAL
    (arm,) = encoders(pair, workspace, "autoregressive")
    texts = ["w1 w2 w3", "w9 w8"]
    rows = same.encode(texts, kind=TextKind.QUERY)
    # only the projection differs: the stored one is float16
    np.testing.assert_allclose(rows, arm.encode(texts, kind=TextKind.QUERY), atol=2e-3)
    assert not np.allclose(rows, bolted.encode(texts, kind=TextKind.QUERY), atol=1e-2)
    # trained with another pooling, it is pooled so
    write_readout(work / "final_again.pt", readout.with_pooling(Pooling.LAST_TOKEN))
    (last,) = [
        ControlEncoders(pair, work=work).encoder(one, corpus=(), workspace=workspace)
        for one in chosen_controls(["again"], ["again:causal"])
    ]
    (wanted,) = encoders(pair, workspace, "autoregressive-last-token")
    assert last.spec.pooling is Pooling.LAST_TOKEN
    np.testing.assert_allclose(
        last.encode(texts, kind=TextKind.QUERY),
        wanted.encode(texts, kind=TextKind.QUERY),
        atol=2e-3,
    )


def test_names_say_attention_and_family() -> None:
    def stated(name: str) -> tuple[str, Attention | None, Family]:
        control = chosen_controls(["x"] if name.startswith("x") else (), [name])[-1]
        assert control.weights is Weights.WORK
        return control.key, control.attention, control.family

    both, ar = Attention.BIDIRECTIONAL, Family.AUTOREGRESSIVE
    assert stated("bolted") == ("bolted", both, ar)
    assert stated("diffusion-tokens") == ("diffusion-tokens", both, Family.DIFFUSION)
    assert stated("autoregressive-1") == ("autoregressive-1", Attention.CAUSAL, ar)
    assert stated("diffusion") == ("work-diffusion", both, Family.DIFFUSION)
    assert stated("x:causal:diffusion") == ("x", Attention.CAUSAL, Family.DIFFUSION)
    with pytest.raises(UsageError, match="sideways"):
        chosen_controls((), ["x:sideways"])
    with pytest.raises(UnknownNameError, match="base-plain-mean"):
        chosen_controls(["base"])


def test_a_trained_arm_is_compared_with_the_one_that_is_named(
    tmp_path: Path, pair: Path, workspace: Workspace
) -> None:
    work = tmp_path / "work"
    write_converted(work, base())
    for family, (net, readout) in exported_pair(pair).items():
        tensors = {key: torch.from_numpy(one) for key, one in net.exported(layers=2).items()}
        torch.save(tensors, work / f"adapters_{family.value}-1.pt")
        write_readout(work / f"final_{family.value}-1.pt", readout)
    names = ["diffusion-1:::autoregressive-1", "autoregressive-1"]
    measured = measure_controls(
        beir(tmp_path),
        chosen_controls(["diffusion", "diffusion-1", "autoregressive-1"], names),
        ControlEncoders(pair, work=work),
        workspace=workspace,
    )
    fields = measured.to_fields()
    value = {one["id"]: one["measures"]["nDCG@10"]["value"] for one in fields["systems"]}
    _, one, other = fields["controls"]
    assert one["against"]["arm"] == "autoregressive-1"
    assert one["against"]["difference"]["nDCG@10"]["value"] == pytest.approx(
        value["diffusion-1"] - value["autoregressive-1"]
    )
    assert other["against"] is None  # its arm was not measured
    with pytest.raises(UnknownNameError, match="'autoregressive-1', which is not among"):
        chosen_controls(["diffusion-1"], names)


def test_the_command_writes_json(tmp_path: Path, pair: Path) -> None:
    out = tmp_path / "found" / "controls.json"
    result = CliRunner().invoke(
        app,
        [
            "controls",
            *("--pair-folder", str(pair), "--beir", str(beir(tmp_path)), "--out", str(out)),
            *("--only", "diffusion, autoregressive", "--lengths", "3,6", "--max-tokens", "8"),
            *("--cache", str(tmp_path / "cache")),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "Accuracy@1" in result.output
    fields = json.loads(out.read_text())
    assert [one["id"] for one in fields["systems"]] == [
        "bifocal-diffusion-135m",
        "bifocal-autoregressive-135m",
        "bm25",
        "rrf",
    ]
    assert {one["max_tokens"] for one in fields["controls"]} == {8}
