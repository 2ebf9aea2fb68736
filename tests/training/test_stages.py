"""Both stages on a tiny random Llama: they learn, repeat from a seed, and resume without a seam."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.encoders.spec import Attention
from core.errors import EncoderLoadError
from core.records import Family
from core.training import adaptation, preparation
from core.training.contrastive import (
    ContrastiveOptions,
    backward_in_chunks,
    divergence,
    info_nce,
    pooled_states,
    stage_two,
)
from core.training.data import TokenBatch, TrainingPair, tokenised
from core.training.loop import Schedule, read_checkpoint, train
from tests.monitors import Watcher
from tests.training.tiny import VOCABULARY, network, readout, stream, tokenizer

SCHEDULE = Schedule(steps=6, learning_rate=1e-2, checkpoint_every=2)
FAMILIES = [Family.DIFFUSION, Family.AUTOREGRESSIVE]


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "LENGTHS", (8, 16))
    monkeypatch.setattr(adaptation, "TOKENS", 64)
    monkeypatch.setattr(adaptation, "HELD_OUT", 128)


def bridge() -> adaptation.Bridge:
    batches = [adaptation.windows(stream(), step) for step in range(4)]
    return adaptation.fit_bridge(network(layers=3), 2, batches)


def adapted(
    family: Family, checkpoint: Path, monitor: Watcher | None = None, **changes: Any
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    net = network()
    dense = changes.pop("dense", 1.0)
    parameters, step = adaptation.stage_one(net, family, stream(), bridge(), dense=dense)
    log = train(
        parameters,
        step,
        schedule=replace(SCHEDULE, **changes),
        checkpoint=checkpoint,
        stage="adapting",
        monitor=monitor,
    )
    return {name: value.detach().clone() for name, value in parameters.items()}, log


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_adaptation_repeats_and_resumes_exactly(family: Family, tmp_path: Path) -> None:
    whole, log = adapted(family, tmp_path / "whole.pt")
    assert (log["step"], log["tokens"]) == (6, 6 * 64)
    stopped, early = adapted(family, tmp_path / "c.pt", Watcher(stop_after=3))
    assert early["step"] == 3
    assert any(not torch.equal(stopped[name], whole[name]) for name in whole)
    resumed, log = adapted(family, tmp_path / "c.pt")
    assert len(log["losses"]) == 6
    assert_same(whole, resumed)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_become_likelier(family: Family, tmp_path: Path) -> None:
    _, log = adapted(family, tmp_path / "c.pt", steps=60, learning_rate=3e-2)
    losses = [parts["token"] for parts in log["losses"]]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.05


def test_without_dense_targets_the_token_loss_is_left(tmp_path: Path) -> None:
    _, log = adapted(Family.DIFFUSION, tmp_path / "c.pt", dense=0.0)
    assert all(set(parts) == {"token"} for parts in log["losses"])
    assert all(parts["token"] > 0 for parts in log["losses"])


def test_windows_never_read_the_held_out_end() -> None:
    numbers = np.arange(900, dtype=np.uint16)  # a token's id is its place
    first, second = (adaptation.windows(numbers, step) for step in (0, 1))
    assert first.shape == (8, 8)
    assert second.shape == (4, 16)
    assert max(int(first.max()), int(second.max())) < 900 - 128
    assert torch.equal(first, adaptation.windows(numbers, 0))


def test_token_loss_is_cross_entropy_with_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(VOCABULARY, 32, generator=generator)
    ids = torch.randint(0, VOCABULARY, (700,), generator=generator)  # more than one block
    inputs = torch.randn(700, 32, generator=generator, requires_grad=True)
    value, loss = adaptation.token_loss(inputs, ids, embeddings)
    (got,) = torch.autograd.grad(loss, inputs)
    wanted = torch.nn.functional.cross_entropy(inputs @ embeddings.T, ids)
    assert value == pytest.approx(float(wanted.detach()), rel=1e-5)
    torch.testing.assert_close(got, torch.autograd.grad(wanted, inputs)[0])


@torch.no_grad()
def test_the_bridge_makes_a_cut_network_a_language_model() -> None:
    fitted = bridge()
    ids = adaptation.windows(stream(), 0)
    states, _ = network().states(ids, attention=Attention.CAUSAL, layers=[2])
    _, final = network(layers=3).states(ids, attention=Attention.CAUSAL, layers=[])
    through = adaptation.unit(states[0]) @ fitted.weight + fitted.bias
    gap = (through - final).pow(2).mean() / final.pow(2).mean()
    assert float(gap) < 0.5
    level = fitted.standardised(states[0], 2)
    assert float(level.mean().abs()) < 0.1
    assert float(level.std()) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_told_by_length(family: Family) -> None:
    net = network()
    parameters, _ = adaptation.stage_one(net, family, stream(), bridge())
    losses = adaptation.losses_by_length(net, family, stream(), parameters)
    assert list(losses) == [8, 16]
    assert all(0 < loss < 20 for loss in losses.values())


def test_a_spent_budget_stops_with_a_checkpoint(tmp_path: Path) -> None:
    _, log = adapted(Family.AUTOREGRESSIVE, tmp_path / "c.pt", minutes=0.0)
    assert log["step"] == read_checkpoint(tmp_path / "c.pt")["log"]["step"] == 0


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(b"no")
    with pytest.raises(EncoderLoadError, match=r"c\.pt is not a readable checkpoint"):
        read_checkpoint(path)


def test_learning_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(steps=200, learning_rate=1.0, falling=0.25)
    rates = [schedule.rate(step) for step in range(200)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[19:150] == [1.0] * 131
    assert rates[175] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.05)


# --- attention and adapters ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attention", "changes"), [(Attention.CAUSAL, False), (Attention.BIDIRECTIONAL, True)]
)
@pytest.mark.parametrize("padded", [False, True])
def test_attention_goes_the_way_that_is_asked_for(
    attention: Attention, changes: bool, padded: bool
) -> None:
    net = network()
    ids = torch.tensor([[5, 6, 7, 8]])
    other = torch.tensor([[5, 6, 7, 9]])
    mask = None
    if padded:
        ids, other = (torch.nn.functional.pad(rows, (0, 2), value=2) for rows in (ids, other))
        mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    one, two = [
        net.states(rows, attention=attention, layers=[2], attention_mask=mask)[0][0][0, 0]
        for rows in (ids, other)
    ]
    assert torch.allclose(one, two) is not changes


def test_exported_and_merged_weights_are_the_trained_network() -> None:
    net = network()
    with torch.no_grad():
        for module in net.adapters().values():
            module.up.normal_(generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([[5, 6, 7]])
    wanted = net.states(ids, attention=Attention.CAUSAL, layers=[2])[0][0]
    merged = net.merged(layers=2)
    assert not any(name.startswith("layers.2") for name in merged)
    plain = network()
    with torch.no_grad():
        for name, module in plain.adapters().items():
            if f"{name}.weight" in merged:
                module.frozen.weight.copy_(merged[f"{name}.weight"])
    got = plain.states(ids, attention=Attention.CAUSAL, layers=[2])[0][0]
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-3)
    exported = net.exported(layers=2)
    name = "layers.1.mlp.up_proj"
    product = exported[f"{name}.up"].astype(np.float32) @ exported[f"{name}.down"]
    frozen = net.adapters()[name].frozen.weight
    np.testing.assert_allclose(product + frozen.numpy(), merged[f"{name}.weight"], atol=5e-3)


# --- stage 2 ------------------------------------------------------------------------------------


def test_info_nce_by_hand() -> None:
    # both directions: -ln(e^1 / (e^1 + e^0)) for row 0, the same for row 1
    loss = info_nce(torch.eye(2), excluded=torch.zeros(2, 2, dtype=torch.bool), temperature=1.0)
    assert float(loss) == pytest.approx(np.log(1 + np.exp(-1)))


def test_excluded_pairs_do_not_push() -> None:
    similarities = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    excluded = torch.tensor([[False, True], [True, False]])
    assert float(info_nce(similarities, excluded=excluded, temperature=0.05)) == pytest.approx(0.0)


def test_divergence_is_zero_for_the_teachers_own_similarities() -> None:
    wanted = torch.tensor([[0.9, 0.1], [0.2, 0.7]])
    assert float(divergence(wanted, wanted, temperature=0.05)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(wanted.flip(0), wanted, temperature=0.05)) > 0.1


def pairs_of(count: int, source: str = "s") -> list[TrainingPair]:
    return [
        TrainingPair(query=f"w{n} w{n + 1}", positive=f"w{n + 20} w{n} w{n + 30}", source=source)
        for n in range(count)
    ]


def rows_of(pairs: list[TrainingPair]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    texts = [text for pair in pairs for text in (pair.query, pair.positive)]
    rows = torch.nn.functional.normalize(torch.randn(len(texts), 4, generator=generator), dim=-1)
    return dict(zip(texts, rows, strict=True))


def contrasted(
    checkpoint: Path,
    monitor: Watcher | None = None,
    *,
    pairs: list[TrainingPair] | None = None,
    teacher: dict[str, Tensor] | None = None,
    **changes: Any,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    net = network()
    chosen = pairs or pairs_of(20)
    half = len(chosen) // 2 or 1
    parameters, step = stage_two(
        net,
        readout(),
        attention=Attention.BIDIRECTIONAL,
        batches=lambda number: chosen[:half] if number % 2 else chosen[half:],
        tokenizer=tokenizer(),
        options=ContrastiveOptions(**{"first_layer": 0, **changes}),
        teacher=teacher,
    )
    log = train(
        parameters,
        step,
        schedule=SCHEDULE,
        checkpoint=checkpoint,
        stage="contrasting",
        monitor=monitor,
    )
    return {name: value.detach().clone() for name, value in parameters.items()}, log


def test_contrastive_stage_learns_repeats_and_resumes_exactly(tmp_path: Path) -> None:
    whole, log = contrasted(tmp_path / "whole.pt")
    assert log["losses"][-1]["contrastive"] < log["losses"][1]["contrastive"]
    contrasted(tmp_path / "c.pt", Watcher(stop_after=2))
    resumed, _ = contrasted(tmp_path / "c.pt")
    assert_same(whole, resumed)


def test_lower_layers_can_be_left_as_they_are(tmp_path: Path) -> None:
    before = network().trained()
    after, _ = contrasted(tmp_path / "c.pt", first_layer=1)
    assert {name for name in after if name.startswith("layers.")} == {
        name for name in before if name.startswith("layers.1.")
    }
    assert any(not torch.equal(before[name], after[name]) for name in after if name in before)


def test_a_teacher_has_a_say_and_its_near_mates_are_no_negatives(tmp_path: Path) -> None:
    pairs = pairs_of(20)
    alone, _ = contrasted(tmp_path / "a.pt")
    taught, log = contrasted(tmp_path / "b.pt", teacher=rows_of(pairs))
    assert log["losses"][0]["teacher similarities"] > 0
    assert log["losses"][0]["teacher vectors"] > 0
    assert not torch.equal(alone["projection"], taught["projection"])
    # a margin of -3 makes every mate too near to be a negative: nothing is left to tell apart
    _, log = contrasted(tmp_path / "c.pt", teacher=rows_of(pairs), margin=3.0)
    assert log["losses"][0]["contrastive"] == pytest.approx(0.0)


def test_texts_without_a_teachers_vector_go_without_it(tmp_path: Path) -> None:
    _, log = contrasted(tmp_path / "c.pt", teacher=rows_of(pairs_of(10)))
    assert "teacher vectors" in log["losses"][1]
    assert "teacher vectors" not in log["losses"][0]


def test_gradient_caching_gives_the_gradients_of_the_whole_batch() -> None:
    def gradients(*, cached: bool) -> dict[str, Tensor]:
        net = network()
        batch = [
            tokenised([text], prompt="", tokenizer=tokenizer(), max_tokens=9, padding_id=2)
            for text in ("w1 w2 w3", "w4 w5", "w1 w3", "w9 w4 w5")
        ]

        def embed(chunk: TokenBatch) -> Tensor:
            pooled = pooled_states(net, readout(), chunk, attention=Attention.CAUSAL)
            return torch.nn.functional.normalize(readout().project(pooled), dim=-1)

        def loss_of(rows: Tensor) -> Tensor:
            nothing = torch.zeros(2, 2, dtype=torch.bool)
            return info_nce(rows[:2] @ rows[2:].T, excluded=nothing, temperature=0.1)

        backward_in_chunks(batch, embed, loss_of, cached=cached)
        return {n: p.grad for n, p in net.trained().items() if p.grad is not None}

    plain, cached = gradients(cached=False), gradients(cached=True)
    assert plain.keys() == cached.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(gradient, cached[name], atol=1e-6, rtol=1e-4)


def test_long_passages_are_truncated_later_and_in_chunks(tmp_path: Path) -> None:
    text = " ".join(["w5"] * 30)
    pairs = [TrainingPair(f"w{n}", f"w{n} {text}", "long") for n in range(6)]
    _, log = contrasted(
        tmp_path / "c.pt",
        pairs=pairs,
        passage_tokens=5,
        long_tokens=20,
        query_tokens=4,
        micro_tokens=40,  # two passages at once
    )
    assert log["tokens"] == 6 * 3 * (2 + 20)  # a query is its prompt and a word
    assert "long" in log["losses"][0]


# --- the readout's first projection --------------------------------------------------------------


@torch.no_grad()
def test_a_fitted_readout_standardises_and_brings_pairs_together() -> None:
    pairs = pairs_of(28)
    fitted = preparation.fitted_readout(
        network(),
        pairs,
        attention=Attention.CAUSAL,
        tokenizer=tokenizer(),
        prompts=("w0 ", "w1 "),
        limits=(8, 8),
        dimension=6,
    )
    assert fitted.layers == (2,)
    assert fitted.dimension == 6
    sides = []
    for texts, prompt in (
        ([pair.query for pair in pairs], "w0 "),
        ([pair.positive for pair in pairs], "w1 "),
    ):
        batch = tokenised(texts, prompt=prompt, tokenizer=tokenizer(), max_tokens=8, padding_id=2)
        sides.append(pooled_states(network(), fitted, batch, attention=Attention.CAUSAL))
    both = (torch.cat(sides) - fitted.offset) * fitted.scale
    torch.testing.assert_close(both.mean(0), torch.zeros(32), atol=1e-4, rtol=0)
    queries, passages = (
        torch.nn.functional.normalize(fitted.project(rows), dim=-1) for rows in sides
    )
    similarities = queries @ passages.T
    mates = similarities[~torch.eye(28, dtype=torch.bool)].mean()
    assert float(similarities.diagonal().mean()) > float(mates) + 0.2


def noisy_pairs() -> list[Tensor]:
    """Four directions in which pairs agree, six larger ones in which they do not."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(256, 4, generator=generator)
    return [
        torch.cat([signal, torch.randn(256, 6, generator=generator) * 3], dim=1) for _ in range(2)
    ]


def accuracy(projection: Tensor, queries: Tensor, passages: Tensor) -> float:
    rows = [
        torch.nn.functional.normalize(side @ projection, dim=-1) for side in (queries, passages)
    ]
    return float(((rows[0] @ rows[1].T).argmax(dim=1) == torch.arange(256)).float().mean())


def test_discriminant_finds_the_directions_in_which_pairs_agree() -> None:
    queries, passages = noisy_pairs()
    found = preparation.discriminant_projection(queries, passages, dimension=4, shrinkage=0.01)
    assert accuracy(torch.eye(10), queries, passages) < 0.2
    assert accuracy(found, queries, passages) > 0.9
    assert found[:4].pow(2).sum() > 50 * found[4:].pow(2).sum()


def test_discriminant_is_blind_to_what_separates_the_sides() -> None:
    queries, passages = noisy_pairs()
    moved = queries + torch.eye(10)[0] * 100  # as a prompt would
    found = preparation.discriminant_projection(moved, passages, dimension=4, shrinkage=0.01)
    shift = torch.nn.functional.normalize(moved.mean(dim=0) - passages.mean(dim=0), dim=0)
    assert float((shift @ found).abs().max()) < 1e-4
