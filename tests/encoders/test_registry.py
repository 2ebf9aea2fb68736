"""Pairs and encoders as data, custom checkpoints, sentence-transformers folders, the table."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling as TheirPooling
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from core.encoders.bundled import MANIFEST
from core.encoders.describe import describe_checkpoint
from core.encoders.hub import Hub
from core.encoders.loading import load_encoder
from core.encoders.registry import read_registry
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import EncoderLoadError, EncoderUnavailableError, UnknownNameError
from core.records import Family
from tests.data import ROOT
from tests.encoders.checkpoints import TEXTS
from tests.encoders.hub import serving
from tests.tools.pairs import pairs_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.encoders.checkpoints import Checkpoint

PAIRS = {
    "pplx-0.6b",
    "pplx-4b",
    "pplx-context",
    "dream-7b",
    "llada-8b",
    "qwen3-0.6b-raw",
    "diffugpt-s",
    "diffugpt-m",
}


def test_every_pair_is_there_and_its_encoders_are_of_their_families(tmp_path: Path) -> None:
    registry = read_registry(tmp_path)
    assert set(registry.pairs) == PAIRS
    for pair_id, pair in registry.pairs.items():
        diffusion, autoregressive = registry.specs_of(pair_id)
        assert (diffusion.family, autoregressive.family) == (
            Family.DIFFUSION,
            Family.AUTOREGRESSIVE,
        )
        assert diffusion.attention is Attention.BIDIRECTIONAL
        assert autoregressive.attention is Attention.CAUSAL
        assert diffusion.architecture == autoregressive.architecture
        assert diffusion.dimension == autoregressive.dimension
        assert diffusion.max_tokens == autoregressive.max_tokens
        assert pair.matched
        assert pair.unmatched


def test_ids_hold_no_spaces_and_facts_are_whole(tmp_path: Path) -> None:
    for encoder_id, spec in read_registry(tmp_path).encoders.items():
        assert encoder_id == spec.encoder_id
        assert not any(mark.isspace() for mark in encoder_id)
        assert spec.licence
        assert spec.trained_on.endswith(".")
        assert spec.parameters > 0
        if spec.is_pinned:
            assert len(spec.revision) == 40
        assert all(size <= spec.dimension for size in spec.matryoshka_dimensions)


def test_the_qwen3_embedding_recipe_to_the_letter(tmp_path: Path) -> None:
    spec = read_registry(tmp_path).encoder("qwen3-embedding-0.6b")
    assert spec.query_prompt.replace("{instruction}", spec.default_instruction) + "why?" == (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query"
        "\nQuery:why?"
    )
    assert spec.passage_prompt == ""
    assert spec.appends_end_token == 151643
    assert spec.pooling is Pooling.LAST_TOKEN


def test_published_sizes_follow_from_the_published_shape(tmp_path: Path) -> None:
    """28 layers of 1024 with 16 query and 8 key heads of 128: the weights that the cards state."""
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
    )
    with torch.device("meta"):
        model = Qwen3Model(config)
    registry = read_registry(tmp_path)
    count = sum(weight.numel() for weight in model.parameters())
    assert count == registry.encoder("pplx-embed-0.6b").parameters
    assert len(model.state_dict()) == 310  # as in the published file
    fewer_words = count - (151_936 - 151_669) * 1024
    assert fewer_words == registry.encoder("qwen3-embedding-0.6b").parameters


def test_unknown_names_list_what_is_known(tmp_path: Path) -> None:
    registry = read_registry(tmp_path)
    with pytest.raises(UnknownNameError, match="pplx-context"):
        registry.pair("nothing")
    with pytest.raises(UnknownNameError, match="gpt2-medium"):
        registry.encoder("nothing")


def test_the_bundled_pair_loads_offline_from_its_folder(tiny_assets: Path) -> None:
    registry = read_registry(tiny_assets)
    assert next(iter(registry.pairs)) == "tiny"
    diffusion, autoregressive = registry.specs_of("tiny")
    vectors = []
    for spec in (diffusion, autoregressive):
        encoder = load_encoder(spec, assets=tiny_assets, device="cpu", offline=True)
        vectors.append(encoder.encode(TEXTS, kind=TextKind.PASSAGE))
        (trace,) = encoder.trace(["the sea"], kind=TextKind.QUERY)
        prompt = trace.offsets[:, 0] < 0
        assert prompt.any()
        assert trace.weights[prompt].tolist() == [0.0] * int(prompt.sum())  # read, never pooled
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    with pytest.raises(EncoderLoadError, match="restart"):
        load_encoder(replace(diffusion, revision="0" * 64), assets=tiny_assets, device="cpu")


def test_a_broken_bundled_folder_leaves_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "encoders" / "broken"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    registry = read_registry(tmp_path)
    assert set(registry.pairs) == PAIRS
    assert "broken" in registry.problems[0]


@pytest.mark.parametrize("name", ["llama-3", "qwen2.5", "qwen3", "gpt2", "dream", "llada"])
def test_any_folder_of_a_known_shape_can_be_an_encoder(
    name: str, checkpoint_of: Callable[[str], Checkpoint], tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(name)
    for family, attention in (
        (Family.DIFFUSION, Attention.BIDIRECTIONAL),
        (Family.AUTOREGRESSIVE, Attention.CAUSAL),
    ):
        spec = describe_checkpoint(str(checkpoint.folder), family=family)
        assert spec.architecture == checkpoint.spec.architecture
        assert (spec.family, spec.attention, spec.pooling) == (family, attention, Pooling.MEAN)
        assert spec.dimension == 32
        encoder = load_encoder(spec, assets=tmp_path, device="cpu")
        assert encoder.encode(TEXTS, kind=TextKind.QUERY).shape == (len(TEXTS), 32)
        assert abs(spec.parameters / encoder.backbone.parameters - 1) < 0.15


def sentence_transformer(
    folder: Path, source: Path, *, pooling: str, prompts: dict[str, str]
) -> SentenceTransformer:
    """Publish a tiny checkpoint as a sentence-transformers model, with that library itself."""
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(source / "tokenizer.json"), pad_token="<pad>"
    )
    base = shutil.copytree(source, folder.parent / "base")
    tokenizer.save_pretrained(base)
    config = json.loads((base / "config.json").read_text())
    config["torch_dtype"] = "float32"  # that library would otherwise compute in what is stated
    (base / "config.json").write_text(json.dumps(config))
    transformer = Transformer(str(base), max_seq_length=24)
    model = SentenceTransformer(
        modules=[transformer, TheirPooling(32, pooling_mode=pooling), Normalize()],
        prompts=prompts,
        device="cpu",
    )
    model.save(str(folder), safe_serialization=True)
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("name", "pooling"), [("minilm", "mean"), ("minilm", "cls"), ("qwen3", "lasttoken")]
)
def test_a_sentence_transformers_folder_gives_its_own_vectors(
    name: str, pooling: str, tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    prompts = {"query": "question: ", "document": "letter: "}
    theirs = sentence_transformer(
        tmp_path / "published", checkpoint_of(name).folder, pooling=pooling, prompts=prompts
    )
    spec = describe_checkpoint(str(tmp_path / "published"), family=Family.REFERENCE)
    assert (spec.query_prompt, spec.passage_prompt) == ("question: ", "letter: ")
    assert spec.max_tokens == 24
    ours = load_encoder(spec, assets=tmp_path, device="cpu")
    texts = [*TEXTS, "the old harbour " * 30]
    for kind, prompt in ((TextKind.QUERY, "query"), (TextKind.PASSAGE, "document")):
        wanted = theirs.encode(texts, prompt_name=prompt, show_progress_bar=False)
        np.testing.assert_allclose(ours.encode(texts, kind=kind), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "pooling", "message"),
    [
        ("sentence_transformers.models.Dense", {"pooling_mode_mean_tokens": True}, "Dense"),
        ("sentence_transformers.models.Normalize", {"pooling_mode_max_tokens": True}, "pools by"),
        ("sentence_transformers.models.Normalize", {}, "nothing known"),
    ],
)
def test_a_module_that_cannot_be_followed_is_refused(
    module: str,
    pooling: dict[str, Any],
    message: str,
    tmp_path: Path,
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    folder = shutil.copytree(checkpoint_of("minilm").folder, tmp_path / "model")
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": module, "path": "2"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(EncoderLoadError, match=message):
        describe_checkpoint(str(folder), family=Family.REFERENCE)
    (folder / "modules.json").write_text("[3]")
    with pytest.raises(EncoderLoadError, match="not a list of modules"):
        describe_checkpoint(str(folder), family=Family.REFERENCE)


def test_an_unknown_architecture_is_refused(
    tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    folder = shutil.copytree(checkpoint_of("minilm").folder, tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({"model_type": "new", "auto_map": {}}))
    with pytest.raises(EncoderLoadError, match="without remote code"):
        describe_checkpoint(str(folder), family=Family.REFERENCE)


def test_a_hub_id_is_described_without_its_weights(
    tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    with serving() as hub:
        hub.repositories["someone/tiny"] = checkpoint_of("llama-3").folder
        spec = describe_checkpoint(
            "someone/tiny",
            family=Family.AUTOREGRESSIVE,
            hub=Hub(tmp_path / "cache", endpoint=hub.endpoint),
        )
        with pytest.raises(EncoderUnavailableError, match="not on the hub"):
            describe_checkpoint(
                "someone/else",
                family=Family.DIFFUSION,
                hub=Hub(tmp_path / "cache", endpoint=hub.endpoint),
            )
    assert (spec.checkpoint, spec.label, spec.encoder_id) == ("someone/tiny", "tiny", "tiny")
    assert not spec.is_pinned
    assert not any("safetensors" in path for _, path, _ in hub.requests)


def test_the_table_proves_every_pair(tiny_assets: Path) -> None:
    lines = pairs_table(tiny_assets).splitlines()
    assert len(lines) == 2 + 2 * len(read_registry(tiny_assets).pairs)  # each load proved
    assert len({line.count("|") for line in lines}) == 1


def test_the_table_in_the_docs_is_not_stale() -> None:
    written = (ROOT / "docs" / "pairs.md").read_text(encoding="utf-8")
    assert pairs_table() in written, "make it anew: python -m tests.tools.docs --write"


def test_a_prompt_that_is_not_pooled_there_is_not_pooled_here(
    tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    folder = shutil.copytree(checkpoint_of("minilm").folder, tmp_path / "model")
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    stated = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    spec = replace(
        describe_checkpoint(str(folder), family=Family.REFERENCE), query_prompt="old river "
    )
    assert not spec.pools_prompt
    encoder = load_encoder(spec, assets=tmp_path, device="cpu")
    (trace,) = encoder.trace(["the sea"], kind=TextKind.QUERY)
    words = [word for word, weight in zip(trace.tokens, trace.weights, strict=True) if weight]
    assert words == ["the", "sea", "<end>"]  # as that library has it
