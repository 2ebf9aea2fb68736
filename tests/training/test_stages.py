"""Both stages on a tiny random Llama: they learn, repeat from a seed, and resume without a seam."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from core.encoders.spec import Attention
from core.errors import EncoderLoadError
from core.records import Family
from core.training import preparation
from core.training.adaptation import AdaptationOptions, adapt
from core.training.contrastive import (
    ContrastiveOptions,
    backward_in_chunks,
    contrast,
    divergence,
    embeddings,
    info_nce,
)
from core.training.corpus import TrainingPair
from core.training.language_model import infill, masked_losses, next_token_losses, unigram_loss
from core.training.network import ADAPTER_SCALE, AdaptedNetwork
from core.training.pairs import tokenised
from core.training.schedule import Schedule, read_checkpoint
from tests.monitors import Watcher
from tests.training.tiny import VOCABULARY, network, sequences, tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from core.encoders.readout import Readout
    from core.training.pairs import TokenBatch
    from core.training.schedule import Log


SCHEDULE = Schedule(steps=6, learning_rate=1e-2, checkpoint_every=2)
OPTIONS = AdaptationOptions(batch=4, micro_batch=4, token_loss_every=2)


def readout() -> Readout:
    plain = preparation.plain_readout(
        layers=(0, 1, 2), hidden=32, token_weights=np.ones(VOCABULARY, np.float32)
    )
    return preparation.token_statistics(network(), plain, sequences(8))


def adapted(
    family: Family, checkpoint: Path | None, monitor: Watcher | None = None
) -> tuple[dict[str, Tensor], Log]:
    net = network()
    log = adapt(
        net,
        family,
        sequences(),
        readout=readout(),
        options=OPTIONS,
        schedule=SCHEDULE,
        checkpoint=checkpoint,
        monitor=monitor,
    )
    return {name: value.detach().clone() for name, value in net.trained().items()}, log


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.parametrize("family", [Family.DIFFUSION, Family.AUTOREGRESSIVE])
def test_adaptation_repeats_and_resumes_exactly(family: Family, tmp_path: Path) -> None:
    whole, log = adapted(family, None)
    assert log.step == 6
    stopped, early = adapted(family, tmp_path / "c.pt", Watcher(stop_after=3))
    assert early.step == 3
    assert any(not torch.equal(stopped[name], whole[name]) for name in whole)
    resumed, log = adapted(family, tmp_path / "c.pt")
    assert log.step == 6
    assert len(log.losses) == 6
    assert_same(whole, resumed)


def test_only_adapters_and_the_mask_vector_are_trained() -> None:
    net = network()
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    adapt(
        net,
        Family.DIFFUSION,
        sequences(),
        readout=readout(),
        options=OPTIONS,
        schedule=SCHEDULE,
        checkpoint=None,
    )
    changed = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(n.endswith((".up", ".down", "mask_vector")) for n in changed)


def test_denoising_learns_the_bases_states() -> None:
    net, watcher = network(), Watcher()
    log = adapt(
        net,
        Family.DIFFUSION,
        sequences(),
        readout=readout(),
        options=replace(OPTIONS, token_loss_every=1000, dense_ratio=0.2),
        schedule=Schedule(steps=40, learning_rate=2e-2),
        checkpoint=None,
        monitor=watcher,
    )
    losses = [parts["dense"] for parts in log.losses[1:]]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert "tokens/s" in watcher.reports[-1].detail
    assert "min left" in watcher.reports[-1].detail


@pytest.mark.parametrize("family", [Family.DIFFUSION, Family.AUTOREGRESSIVE])
def test_both_arms_read_the_same_tokens(family: Family) -> None:
    _, log = adapted(family, None)
    assert log.tokens == log.step * OPTIONS.batch * sequences().shape[1]
    assert all(log.losses)


def test_without_dense_targets_only_token_steps_teach() -> None:
    log = adapt(
        network(),
        Family.DIFFUSION,
        sequences(),
        readout=readout(),
        options=replace(OPTIONS, dense_weight=0.0),
        schedule=SCHEDULE,
        checkpoint=None,
    )
    assert [sorted(parts) for parts in log.losses] == [["masked token"], []] * 3


def test_a_spent_budget_stops_with_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    log = adapt(
        network(),
        Family.AUTOREGRESSIVE,
        sequences(),
        readout=readout(),
        options=OPTIONS,
        schedule=replace(SCHEDULE, budget_minutes=0.0),
        checkpoint=path,
    )
    assert log.step == 0
    assert read_checkpoint(path)["log"]["step"] == 0


def test_a_plan_can_be_stopped_at_a_step_and_goes_on(tmp_path: Path) -> None:
    whole, _ = adapted(Family.DIFFUSION, None)
    found: dict[str, Tensor] = {}
    for until, reached in ((4, 4), (4, 4), (None, SCHEDULE.steps)):
        net = network()
        log = adapt(
            net,
            Family.DIFFUSION,
            sequences(),
            readout=readout(),
            options=OPTIONS,
            schedule=replace(SCHEDULE, until=until),
            checkpoint=tmp_path / "c.pt",
        )
        assert log.step == reached
        found = {name: value.detach().clone() for name, value in net.trained().items()}
    assert_same(whole, found)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(b"no")
    with pytest.raises(EncoderLoadError, match=r"c\.pt is not a readable checkpoint"):
        read_checkpoint(path)


def test_learning_rate_rises_then_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=0.1)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


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
        net.states(rows, attention=attention, layers=[3], attention_mask=mask)[0][0][0, 0]
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
    options = {"temperature": 0.05, "teacher_temperature": 0.05}
    assert float(divergence(wanted, wanted, **options)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(wanted.flip(0), wanted, **options)) > 0.1


def pairs_of(count: int) -> list[TrainingPair]:
    return [
        TrainingPair(query=f"w{n} w{n + 1}", positive=f"w{n + 20} w{n} w{n + 30}", source="s")
        for n in range(count)
    ]


def contrasted(
    checkpoint: Path | None = None, monitor: Watcher | None = None, **changes: Any
) -> tuple[dict[str, Tensor], Log]:
    net = network()
    start = preparation.with_projection(readout(), torch.eye(96)[:, :8])
    done, log = contrast(
        net,
        start,
        attention=Attention.BIDIRECTIONAL,
        batches=[pairs_of(20)[:10], pairs_of(20)[10:]],
        tokenizer=tokenizer(),
        options=ContrastiveOptions(query_prompt="w0 ", passage_prompt="w1 ", **changes),
        schedule=SCHEDULE,
        checkpoint=checkpoint,
        monitor=monitor,
        teacher=lambda texts: torch.nn.functional.normalize(
            torch.randn(len(texts), 4, generator=torch.Generator().manual_seed(len(texts))), dim=-1
        ),
    )
    values = {name: value.detach().clone() for name, value in net.trained(layers=2).items()}
    assert done.projection is not None
    return {**values, "projection": done.projection}, log


def test_contrastive_stage_learns_repeats_and_resumes_exactly(tmp_path: Path) -> None:
    whole, log = contrasted()
    assert log.losses[-1]["contrastive"] < log.losses[0]["contrastive"]
    contrasted(tmp_path / "c.pt", Watcher(stop_after=2))
    resumed, _ = contrasted(tmp_path / "c.pt")
    assert_same(whole, resumed)


def test_lower_layers_can_be_left_as_they_are() -> None:
    before = network().trained(layers=2)
    after, _ = contrasted(first_layer=1)
    for name, value in before.items():
        moved = not torch.equal(value, after[name])
        assert moved is name.startswith("layers.1."), name


def test_matrices_trained_in_full_are_exported_and_resumed(tmp_path: Path) -> None:
    def run(checkpoint: Path | None, monitor: Watcher | None = None) -> AdaptedNetwork:
        net = network()
        with torch.no_grad():  # as stage 1 leaves them
            for module in net.adapters().values():
                module.up.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
        contrast(
            net,
            preparation.with_projection(readout(), torch.eye(96)[:, :8]),
            attention=Attention.CAUSAL,
            batches=[pairs_of(10)],
            tokenizer=tokenizer(),
            options=ContrastiveOptions(query_prompt="", passage_prompt="", in_full=True),
            schedule=replace(SCHEDULE, learning_rate=1e-2),
            checkpoint=checkpoint,
            monitor=monitor,
        )
        return net

    net = run(None)
    ids = torch.tensor([[5, 6, 7]])
    wanted = net.states(ids, attention=Attention.CAUSAL, layers=[2])[0][0]
    untouched = network()
    for name, array in net.exported(layers=2).items():
        stem, _, kind = name.rpartition(".")
        scale = ADAPTER_SCALE if kind == "up" else 1.0
        setattr(
            untouched.adapters()[stem], kind, nn.Parameter(torch.from_numpy(array).float() / scale)
        )
    got = untouched.states(ids, attention=Attention.CAUSAL, layers=[2])[0][0]
    torch.testing.assert_close(got, wanted, atol=1e-2, rtol=1e-2)
    run(tmp_path / "c.pt", Watcher(stop_after=2))
    again = run(tmp_path / "c.pt").exported(layers=2)
    for name, array in net.exported(layers=2).items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_a_teacher_has_a_say_when_it_has_weight() -> None:
    without, log = contrasted()
    taught, told = contrasted(teacher_weight=1.0)
    assert "teacher" not in log.losses[0]
    assert told.losses[0]["teacher"] > 0
    assert not torch.equal(without["projection"], taught["projection"])


def test_gradient_caching_gives_the_gradients_of_the_whole_batch() -> None:
    def gradients(*, cached: bool) -> tuple[Tensor, dict[str, Tensor]]:
        net = network()
        batch = [
            tokenised([text], prompt="", tokenizer=tokenizer(), max_tokens=9, padding_id=2)
            for text in ("w1 w2 w3", "w4 w5", "w1 w3", "w9 w4 w5")
        ]
        rows = preparation.with_projection(readout(), torch.eye(96)[:, :8])

        def embed(chunk: TokenBatch) -> Tensor:
            return embeddings(net, rows, chunk, attention=Attention.CAUSAL, depth=2)

        def loss_of(found: Tensor) -> Tensor:
            return info_nce(
                found[:2] @ found[2:].T,
                excluded=torch.zeros(2, 2, dtype=torch.bool),
                temperature=0.1,
            )

        loss = backward_in_chunks(batch, embed, loss_of, cached=cached)
        return loss, {n: p.grad for n, p in net.trained(layers=2).items() if p.grad is not None}

    plain_loss, plain = gradients(cached=False)
    cached_loss, cached = gradients(cached=True)
    torch.testing.assert_close(plain_loss, cached_loss)
    assert plain.keys() == cached.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(gradient, cached[name], atol=1e-6, rtol=1e-4)


def test_long_passages_are_cut_later_than_short_ones() -> None:
    net = network()
    start = preparation.with_projection(readout(), torch.eye(96)[:, :8])
    text = " ".join(["w5"] * 30)
    pairs = [
        TrainingPair(query=f"w{n}", positive=f"w{n} {text}", source=source)
        for source in ("long",)
        for n in range(3)
    ]
    options = ContrastiveOptions(
        query_prompt="", passage_prompt="", passage_tokens=5, long_tokens=20, query_tokens=4
    )
    _, log = contrast(
        net,
        start,
        attention=Attention.CAUSAL,
        batches=[pairs],
        tokenizer=tokenizer(),
        options=options,
        schedule=Schedule(steps=1, learning_rate=1e-3),
        checkpoint=None,
    )
    assert log.tokens == 3 * (1 + 20)


# --- the readout's first projection --------------------------------------------------------------


def test_pooled_states_are_those_of_the_training_path() -> None:
    net, plain = network(), readout()
    texts = ["w1 w2 w3", "w4", "w5 w6"]
    options: dict[str, Any] = {"prompt": "w0 ", "tokenizer": tokenizer(), "max_tokens": 3}
    got = preparation.pooled_states(net, plain, texts, attention=Attention.BIDIRECTIONAL, **options)
    batch = tokenised(texts, padding_id=2, **options)
    rows = embeddings(net, plain, batch, attention=Attention.BIDIRECTIONAL, depth=2)
    normalised = torch.nn.functional.normalize(plain.project(got), dim=-1)
    torch.testing.assert_close(normalised, rows, atol=1e-5, rtol=1e-4)


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


def test_learning_goes_on_from_the_start_it_is_given() -> None:
    queries, passages = noisy_pairs()
    start = torch.linalg.qr(torch.randn(10, 4, generator=torch.Generator().manual_seed(1)))[0]
    options: dict[str, Any] = {
        "sources": ["s"] * 256,
        "batch": 64,
        "learning_rate": 0.2,
        "temperature": 0.05,
        "teacher": None,
        "teacher_weight": 0.0,
        "pull": 0.0,
        "seed": 0,
    }
    same = preparation.learned_projection(start, queries, passages, steps=0, **options)
    assert torch.equal(same, start)
    learned = preparation.learned_projection(start, queries, passages, steps=80, **options)
    assert accuracy(learned, queries, passages) > accuracy(start, queries, passages) + 0.3


# --- language model ------------------------------------------------------------------------------


def test_unigram_loss_by_hand() -> None:
    # counts + 1 over two entries: 3/4 and 1/4 from the stream 0 0
    loss = unigram_loss(np.array([0, 0], np.uint16), np.array([[1, 0, 1]]), vocabulary=2)
    assert loss == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)


def test_a_random_network_is_at_chance_and_adaptation_takes_it_below() -> None:
    rows = np.tile(np.arange(4, 16), (8, 1))  # one sentence over and over
    net = network()
    before = masked_losses(net, rows, attention=Attention.BIDIRECTIONAL, ratios=(0.3,))[0.3]
    next_before = next_token_losses(net, rows)
    adapt(
        net,
        Family.DIFFUSION,
        rows,
        readout=readout(),
        options=AdaptationOptions(batch=8, micro_batch=8, token_loss_every=1, dense_weight=0.0),
        schedule=Schedule(steps=60, learning_rate=3e-2),
        checkpoint=None,
    )
    after = masked_losses(net, rows, attention=Attention.BIDIRECTIONAL, ratios=(0.3,))[0.3]
    assert after < 0.5 * before
    assert np.isfinite(next_before)
    words = " ".join(f"w{n}" for n in range(12))
    filled = infill(net, tokenizer(), words, ratio=0.3)
    assert "[MASK]" in filled.masked
    assert filled.original == words
