"""Attention goes where it is told, on every stock class, and the probe notices when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from core.encoders.backbone import Backbone, attention_bias, probe_attention, stock_arguments
from core.encoders.checkpoint import load_backbone
from core.encoders.spec import Attention
from core.errors import AttentionProbeError
from core.records import Family
from tests.encoders.tiny import RECIPES, tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.encoders.checkpoints import Checkpoint

DECODERS = tuple(name for name in RECIPES if RECIPES[name].family is not Family.REFERENCE)
LOWEST = torch.finfo(torch.float32).min


def test_bias_of_each_direction_by_hand() -> None:
    # one text of two tokens and one padding position; rows look, columns are looked at
    mask = torch.tensor([[1, 1, 0]])
    open_entries = {
        Attention.BIDIRECTIONAL: [[1, 1, 0], [1, 1, 0], [1, 1, 1]],
        Attention.CAUSAL: [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
        Attention.BACKWARD: [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    }
    for attention, wanted in open_entries.items():
        bias = attention_bias(mask, attention)[0, 0]
        assert ((bias == 0).int()).tolist() == wanted
        assert set(bias.flatten().tolist()) == {LOWEST, 0.0}


def test_no_mask_is_built_where_none_is_needed() -> None:
    whole, padded = torch.ones(2, 4), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])

    assert stock_arguments(whole, Attention.BIDIRECTIONAL, padded=False)["attention_mask"] is None
    assert stock_arguments(padded, Attention.CAUSAL, padded=True)["attention_mask"] is None
    assert stock_arguments(padded, Attention.CAUSAL, padded=True)["is_causal"] is True
    assert stock_arguments(padded, Attention.BIDIRECTIONAL, padded=True)[
        "attention_mask"
    ].shape == (2, 1, 4, 4)
    assert stock_arguments(whole, Attention.BACKWARD, padded=False)["attention_mask"].shape == (
        2,
        1,
        4,
        4,
    )


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("attention", tuple(Attention))
def test_stock_classes_attend_as_told_with_and_without_padding(
    name: str, attention: Attention
) -> None:
    """Against eager attention, one text at a time, under an explicit mask."""
    model = tiny_model(name)
    texts = [[4, 9, 17, 30, 22], [8, 5, 11]]
    backbone = Backbone(tiny_model(name), RECIPES[name].architecture, device="cpu", packed=False)

    (block,) = backbone.run(texts, attention=attention)

    model.set_attn_implementation("eager")
    for row, text in enumerate(texts):
        bias = attention_bias(torch.ones(1, len(text)), attention)
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([text]), attention_mask=bias, is_causal=False)[0]
        torch.testing.assert_close(
            block.states[0][row, : len(text)], alone[0], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("name", tuple(RECIPES))
def test_the_probe_passes_the_right_direction_only(
    name: str, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    for packed in (True, False):
        backbone, _ = load_backbone(checkpoint_of(name).folder, packed=packed)
        for attention in Attention:
            backbone.probe(attention, name=name)  # every direction can be asked for

            def states_of(
                texts: Sequence[Sequence[int]],
                backbone: Backbone = backbone,
                attention: Attention = attention,
            ) -> list[torch.Tensor]:
                return [
                    next(iter(backbone.run([text], attention=attention))).states[0][0]
                    for text in texts
                ]

            for claimed in set(Attention) - {attention}:
                with pytest.raises(AttentionProbeError, match=f"should be {claimed.value}"):
                    probe_attention(
                        states_of, vocabulary=backbone.vocabulary, attention=claimed, name=name
                    )


def test_the_probe_sees_a_model_that_is_right_alone_and_wrong_when_padded() -> None:
    """The classic trap: is_causal=False on the layers, which a padded batch overrules."""
    model = tiny_model("llama-3")
    for layer in model.layers:
        layer.self_attn.is_causal = False

    def states_of(texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        longest = max(len(text) for text in texts)
        ids = torch.zeros(len(texts), longest, dtype=torch.int64)
        mask = torch.zeros(len(texts), longest, dtype=torch.int64)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(list(text))
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
        return [states[row, : len(text)] for row, text in enumerate(texts)]

    with pytest.raises(AttentionProbeError, match="a padded batch"):
        probe_attention(states_of, vocabulary=96, attention=Attention.BIDIRECTIONAL, name="trap")


def test_two_backbones_do_not_share_their_direction() -> None:
    model = tiny_model("llama-3")
    backbone = Backbone(model, "llama", device="cpu", packed=False)
    text = [[4, 9, 17, 30]]
    (causal,) = backbone.run(text, attention=Attention.CAUSAL)
    list(backbone.run(text, attention=Attention.BIDIRECTIONAL))
    (again,) = backbone.run(text, attention=Attention.CAUSAL)
    assert torch.equal(causal.states[0], again.states[0])
