"""Options, spans, memory and damage: what an encoder does beyond the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from core.encoders.backbone import Backbone
from core.encoders.encoder import EncoderOptions, LoadedEncoder, is_out_of_memory
from core.encoders.loading import choose_device, compute_dtype, load_folder
from core.encoders.pooling import LastLayerReadout
from core.encoders.spec import Attention, TextKind
from core.encoders.tokens import TextTokenizer
from core.errors import EncoderLoadError, EncodingError, InvalidSettingError
from core.settings import OutputType
from tests.encoders.checkpoints import TEXTS
from tests.encoders.tiny import HIDDEN, tiny_model, tiny_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.encoders.checkpoints import Checkpoint

PASSAGE, QUERY = TextKind.PASSAGE, TextKind.QUERY


@pytest.fixture
def pplx(checkpoint_of: Callable[[str], Checkpoint]) -> LoadedEncoder:
    checkpoint = checkpoint_of("pplx-embed")
    return load_folder(checkpoint.spec, checkpoint.folder)


@pytest.fixture
def qwen(checkpoint_of: Callable[[str], Checkpoint]) -> LoadedEncoder:
    checkpoint = checkpoint_of("qwen3-embedding")
    return load_folder(checkpoint.spec, checkpoint.folder)


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def test_int8_is_the_rounded_tanh(pplx: LoadedEncoder) -> None:
    raw = pplx.raw_embeddings(TEXTS, kind=PASSAGE)
    found = pplx.with_options(EncoderOptions(output=OutputType.INT8)).encode(TEXTS, kind=PASSAGE)
    codes = np.round(127 * np.tanh(raw))
    assert np.abs(codes).max() <= 127
    np.testing.assert_allclose(found, unit(codes), atol=1e-6)
    truncated = np.trunc(127 * np.tanh(raw))  # the known mistake
    assert not np.allclose(found, unit(truncated), atol=1e-6)


def test_binary_is_the_sign_of_the_unquantised_state(
    pplx: LoadedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = np.full((1, HIDDEN), 0.5, dtype=np.float32)
    raw[0, 0] = -0.001  # int8 has 0 here, binary has -1
    monkeypatch.setattr(LoadedEncoder, "raw_embeddings", lambda *_, **__: raw)
    binary = pplx.with_options(EncoderOptions(output=OutputType.BINARY))
    int8 = pplx.with_options(EncoderOptions(output=OutputType.INT8))
    signs = binary.encode(["x"], kind=PASSAGE)[0] * np.sqrt(HIDDEN)
    assert signs.tolist() == pytest.approx([-1.0] + [1.0] * (HIDDEN - 1))
    assert int8.encode(["x"], kind=PASSAGE)[0, 0] == 0.0


def test_matryoshka_keeps_leading_dimensions(pplx: LoadedEncoder) -> None:
    raw = pplx.raw_embeddings(TEXTS, kind=PASSAGE)
    short = pplx.with_options(EncoderOptions(dimension=8))
    assert short.dimension == 8
    found = short.encode(TEXTS, kind=PASSAGE)
    np.testing.assert_allclose(found, unit(raw[:, :8]), atol=1e-6)
    (trace,) = short.trace(TEXTS[:1], kind=PASSAGE)
    np.testing.assert_allclose(unit(trace.weights @ trace.states), found[0], atol=1e-5)
    with pytest.raises(InvalidSettingError, match="cannot be kept"):
        pplx.with_options(EncoderOptions(dimension=HIDDEN + 1))


def test_centring_subtracts_the_corpus_mean(pplx: LoadedEncoder) -> None:
    raw = pplx.raw_embeddings(TEXTS, kind=PASSAGE)
    centred = pplx.with_options(EncoderOptions(centre=raw.mean(axis=0)))
    found = centred.encode(TEXTS, kind=PASSAGE)
    np.testing.assert_allclose(found, unit(raw - raw.mean(axis=0)), atol=1e-5)
    (trace,) = centred.trace(TEXTS[:1], kind=PASSAGE)
    np.testing.assert_allclose(unit(trace.weights @ trace.states), found[0], atol=1e-5)
    assert centred.fingerprint != pplx.fingerprint
    another = pplx.with_options(EncoderOptions(centre=raw[:3].mean(axis=0)))
    assert centred.fingerprint != another.fingerprint
    with pytest.raises(InvalidSettingError, match="shape"):
        pplx.with_options(EncoderOptions(centre=np.zeros(3, dtype=np.float32)))


def test_an_instruction_goes_into_the_prompt_as_it_is(qwen: LoadedEncoder) -> None:
    other = qwen.with_options(EncoderOptions(query_instruction="find {braces} and %s"))
    (received,) = other.received(["wind"], kind=QUERY)
    assert received.text == "Instruct: find {braces} and %s\nQuery:wind"
    assert other.received(["wind"], kind=PASSAGE)[0].text == "wind"
    assert (
        qwen.received(["wind"], kind=QUERY)[0].text == "Instruct: answer the question\nQuery:wind"
    )


def test_a_lower_limit_cuts_but_keeps_the_end_token(qwen: LoadedEncoder) -> None:
    short = qwen.with_options(EncoderOptions(max_tokens=5))
    (trace,) = short.trace([TEXTS[2]], kind=PASSAGE)
    assert len(trace.token_ids) == 5
    assert trace.token_ids[-1] == 3
    assert trace.tokens[-1] == "<end>"
    assert trace.offsets[-1].tolist() == [-1, -1]
    assert trace.weights.tolist() == [0, 0, 0, 0, 1]
    higher = qwen.with_options(EncoderOptions(max_tokens=10_000))
    assert higher.max_tokens == 128  # the network's own positions


def test_the_limit_of_learned_positions_is_never_passed(
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    for name in ("gpt2", "multilingual-e5"):
        checkpoint = checkpoint_of(name)
        encoder = load_folder(
            checkpoint.spec, checkpoint.folder, options=EncoderOptions(max_tokens=10_000)
        )
        assert encoder.max_tokens == 64
        assert encoder.encode(["the sea " * 200], kind=PASSAGE).shape == (1, HIDDEN)


def test_a_missing_end_token_changes_the_vector(
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    checkpoint = checkpoint_of("qwen3-embedding")
    with_end = load_folder(checkpoint.spec, checkpoint.folder)
    bare = tiny_tokenizer()
    bare.save(str(checkpoint.folder / "bare.json"))
    # spec says the end token closes every text: it is added even where the tokenizer does not
    added = TextTokenizer(bare, end_token=3)
    without = TextTokenizer(bare)
    readout = LastLayerReadout(HIDDEN, checkpoint.spec.pooling)
    vectors = [
        LoadedEncoder(
            checkpoint.spec,
            backbone=Backbone(tiny_model("qwen3-embedding"), "qwen3", device="cpu"),
            readout=readout,
            tokenizer=tokenizer,
            weights_digest="",
        ).encode(TEXTS, kind=PASSAGE)
        for tokenizer in (added, without)
    ]
    wanted = with_end.encode(TEXTS, kind=PASSAGE)
    np.testing.assert_allclose(vectors[0], wanted, atol=1e-6)
    assert np.abs(vectors[1] - wanted).max() > 0.05


def test_nan_is_an_error_that_names_the_text(checkpoint_of: Callable[[str], Checkpoint]) -> None:
    model = tiny_model("qwen3")
    with torch.no_grad():
        model.embed_tokens.weight[9] = float("nan")  # "sea"
    encoder = LoadedEncoder(
        checkpoint_of("qwen3").spec,
        backbone=Backbone(model, "qwen3", device="cpu"),
        readout=LastLayerReadout(HIDDEN, checkpoint_of("qwen3").spec.pooling),
        tokenizer=TextTokenizer(tiny_tokenizer()),
        weights_digest="",
    )
    assert encoder.encode(["wind", "river"], kind=PASSAGE).shape == (2, HIDDEN)
    with pytest.raises(EncodingError, match=r"1 of 3 texts, first for .*'the sea'"):
        encoder.encode(["wind", "the sea", "river"], kind=PASSAGE)


def test_a_full_device_memory_is_met_with_smaller_batches(
    pplx: LoadedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = pplx.encode(TEXTS, kind=PASSAGE)
    original = Backbone.run
    sizes = []

    def run(self: Backbone, texts: Sequence[Sequence[int]], **options: object) -> object:
        if len(texts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(texts))
        return original(self, texts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Backbone, "run", run)
    np.testing.assert_allclose(pplx.encode(TEXTS, kind=PASSAGE), wanted, atol=1e-5)
    assert max(sizes) == 2
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize("name", ["pplx-embed", "qwen2.5", "gpt2"])
def test_a_span_is_pooled_in_the_light_of_the_whole(
    name: str, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    checkpoint = checkpoint_of(name)
    spec = replace(checkpoint.spec, appends_end_token=None)
    encoder = load_folder(spec, checkpoint.folder)
    text = "the old harbour and the sea"
    #       0   4   8       16  20  24
    spans = [(0, 15), (16, 27), (4, 7)]
    found = encoder.encode_spans(text, spans)

    prompt_words = spec.passage_prompt.split()
    assert prompt_words == []
    vocabulary = tiny_tokenizer().get_vocab()
    states = checkpoint.states([vocabulary[word] for word in text.split()]).numpy()
    wanted = unit(np.stack([states[0:3].mean(0), states[3:6].mean(0), states[1]]))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    whole = encoder.encode_spans(text, [(0, len(text))])
    np.testing.assert_allclose(whole, encoder.encode([text], kind=PASSAGE), atol=1e-5)


def test_spans_beyond_the_limit_are_read_in_a_window_of_their_own(
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    checkpoint = checkpoint_of("pplx-embed")
    encoder = load_folder(checkpoint.spec, checkpoint.folder, options=EncoderOptions(max_tokens=6))
    text = "sea old sea old sea old wind glass wind glass"
    late = text.index("wind")
    found = encoder.encode_spans(text, [(late, len(text)), (0, 7)])
    window = encoder.encode([text[late:]], kind=PASSAGE)  # four tokens: fits as one window
    np.testing.assert_allclose(found[:1], window, atol=1e-5)
    with pytest.raises(
        EncodingError, match=r"reads 6 tokens at once; the passage that begins 'sea"
    ):
        encoder.encode_spans(text, [(0, len(text))])


def test_spans_outside_the_text_are_refused(pplx: LoadedEncoder) -> None:
    for span in ((0, 99), (3, 3), (-1, 2)):
        with pytest.raises(EncodingError, match="not inside"):
            pplx.encode_spans("the sea", [span])
    assert pplx.encode_spans("the sea", []).shape == (0, HIDDEN)
    blank = pplx.encode_spans("sea   wind", [(3, 6)])  # white space: the token before it
    np.testing.assert_allclose(blank, pplx.encode_spans("sea   wind", [(0, 3)]), atol=1e-5)


def test_variants_share_their_weights(pplx: LoadedEncoder) -> None:
    other = pplx.with_options(EncoderOptions(max_tokens=9))
    assert other.backbone is pplx.backbone
    assert other.max_tokens == 9


def test_the_same_folder_has_the_same_fingerprint(
    checkpoint_of: Callable[[str], Checkpoint], pplx: LoadedEncoder
) -> None:
    checkpoint = checkpoint_of("pplx-embed")
    again = load_folder(checkpoint.spec, checkpoint.folder, packed=False)
    assert again.fingerprint == pplx.fingerprint
    causal = replace(checkpoint.spec, attention=Attention.CAUSAL)
    assert load_folder(causal, checkpoint.folder).fingerprint != pplx.fingerprint


def test_devices_and_types(pplx: LoadedEncoder) -> None:
    assert choose_device("cpu") == "cpu"
    assert pplx.device == "cpu"
    assert pplx.backbone.parameters > 0
    with pytest.raises(InvalidSettingError, match="cannot be used"):
        choose_device("abacus")
    assert compute_dtype("cpu") is torch.float32
    assert compute_dtype("cuda:0") is torch.bfloat16
    assert compute_dtype("mps") is torch.float32


def test_bfloat16_stays_close_to_float32(checkpoint_of: Callable[[str], Checkpoint]) -> None:
    """What CUDA computes in, tried on the CPU: stated tolerance, cosine at least 0.995."""
    for name in ("pplx-embed", "qwen2.5", "gpt2"):
        checkpoint = checkpoint_of(name)
        exact = load_folder(checkpoint.spec, checkpoint.folder).encode(TEXTS, kind=PASSAGE)
        half = LoadedEncoder(
            checkpoint.spec,
            backbone=Backbone(
                tiny_model(name).to(torch.bfloat16), checkpoint.spec.architecture, device="cpu"
            ),
            readout=LastLayerReadout(HIDDEN, checkpoint.spec.pooling),
            tokenizer=TextTokenizer(tiny_tokenizer(), end_token=checkpoint.spec.appends_end_token),
            weights_digest="",
        )
        assert not half.backbone.is_packed
        half.backbone.probe(checkpoint.spec.attention, name=name)
        cosines = (half.encode(TEXTS, kind=PASSAGE) * exact).sum(axis=1)
        assert cosines.min() > 0.995


def test_another_checkpoint_than_stated_is_noticed(
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    checkpoint = checkpoint_of("pplx-embed")
    with pytest.raises(EncoderLoadError, match="32 dimensions"):
        load_folder(replace(checkpoint.spec, dimension=64), checkpoint.folder)
