"""Hooks that read the residual stream of a stock decoder."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from core.errors import EncoderLoadError
from core.training.network import tapped_layers


def tiny_llama() -> LlamaModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    model = LlamaModel(config)
    model.train(mode=False)
    return model


def test_taps_give_the_stream_before_the_final_norm_in_the_order_asked() -> None:
    model = tiny_llama()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad(), tapped_layers(model, (3, 0, 1)) as found:
        output = model(input_ids=ids, output_hidden_states=True)
        last, embedded, first = list(found)
    torch.testing.assert_close(embedded, output.hidden_states[0])
    torch.testing.assert_close(first, output.hidden_states[1])
    torch.testing.assert_close(model.norm(last), output.last_hidden_state)


def test_taps_are_taken_off_again() -> None:
    model = tiny_llama()
    with tapped_layers(model, (1,)):
        pass
    assert not model.layers[0]._forward_hooks


def test_a_layer_that_is_not_there_is_told() -> None:
    with (
        pytest.raises(EncoderLoadError, match="layer 4, but the backbone has 3"),
        tapped_layers(tiny_llama(), (4,)),
    ):
        pass
