"""Encoders a user adds: kept on disk, checked field by field, offered like every other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.encoders.architectures import ARCHITECTURES
from core.encoders.catalogue import (
    CATALOGUE_FILE,
    Catalogue,
    EncoderRequest,
    shown_checkpoint,
    specs_from_json,
    specs_to_json,
)
from core.encoders.pool import EncoderPool
from core.encoders.registry import read_registry
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import (
    CoreError,
    EncoderLoadError,
    EncoderUnavailableError,
    InvalidSettingError,
    UnknownNameError,
)
from core.records import Family
from core.settings import ASSETS
from tests.data import ROOT
from tests.encoders.checkpoints import TEXTS, Checkpoint
from tests.encoders.hub import serving
from tests.encoders.tiny import HIDDEN

CheckpointOf = Callable[[str], Checkpoint]


def catalogue(folder: Path, **more: Any) -> Catalogue:
    pool = EncoderPool(assets=folder / "no-assets", device="cpu", **{"offline": True, **more})
    pool._set_threads = lambda: None  # type: ignore[method-assign]  # other tests share torch
    made = Catalogue(folder / CATALOGUE_FILE, pool)
    assert made.register() == ""
    return made


def write_adapter(folder: Path) -> Path:
    """A LoRA of rank 2 on one matrix, as PEFT saves it."""
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(3)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors = {
        name.format("A"): torch.randn(2, HIDDEN, generator=generator),
        name.format("B"): torch.randn(HIDDEN, 2, generator=generator),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_an_added_folder_is_kept_and_known_to_the_next_process(
    tmp_path: Path, checkpoint_of: CheckpointOf
) -> None:
    folder = checkpoint_of("llama-3").folder
    first = catalogue(tmp_path)
    spec = first.add(
        EncoderRequest(
            str(folder),
            family=Family.AUTOREGRESSIVE,
            label="Mine, v1",
            query_prompt="find: ",
            max_tokens=32,
            dimensions=(16, 8),
        )
    )
    assert (spec.encoder_id, spec.attention, spec.pooling) == (
        "mine--v1", Attention.CAUSAL, Pooling.MEAN,
    )  # fmt: skip
    assert (spec.matryoshka_dimensions, spec.licence, spec.raw) == ((8, 16), "not stated", True)
    again = catalogue(tmp_path)
    assert again.added() == (spec,)
    assert again.pool.registry.encoder("mine--v1") == spec
    rows = again.pool.get("mine--v1").encode(TEXTS, kind=TextKind.QUERY)
    assert rows.shape == (len(TEXTS), HIDDEN)
    assert again.pool.registry.specs_of("mine--v1+gpt2")[0] == spec  # either encoder
    first.remove("mine--v1")
    assert again.register() == ""
    with pytest.raises(UnknownNameError):
        again.pool.registry.encoder("mine--v1")
    with pytest.raises(UnknownNameError, match="Added: none"):
        again.remove("mine--v1")


def test_an_adapter_is_merged_and_named(tmp_path: Path, checkpoint_of: CheckpointOf) -> None:
    folder = checkpoint_of("qwen2.5").folder
    made = catalogue(tmp_path)
    plain = made.add(EncoderRequest(str(folder), family=Family.AUTOREGRESSIVE, label="Base"))
    adapter = write_adapter(tmp_path / "my-lora")
    tuned = made.add(EncoderRequest("base", adapter=str(adapter)))  # varies a known encoder
    assert (tuned.label, tuned.family) == ("Base + my-lora", Family.AUTOREGRESSIVE)
    assert tuned.checkpoint == plain.checkpoint
    one, two = made.pool.get(plain.encoder_id), made.pool.get(tuned.encoder_id)
    assert one.passage_fingerprint != two.passage_fingerprint
    rows = [encoder.encode(TEXTS, kind=TextKind.PASSAGE) for encoder in (one, two)]
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    assert catalogue(tmp_path).added()[1].adapter == str(adapter.resolve())


def test_a_known_encoder_may_be_varied(tmp_path: Path) -> None:
    spec = catalogue(tmp_path).add(
        EncoderRequest("bge-small-en-v1.5", label="bge, no prompt", query_prompt="")
    )
    assert (spec.checkpoint, spec.query_prompt) == ("BAAI/bge-small-en-v1.5", "")
    assert (spec.family, spec.pooling) == (Family.REFERENCE, Pooling.FIRST_TOKEN)


def test_what_the_user_declares_goes_first(tmp_path: Path, checkpoint_of: CheckpointOf) -> None:
    spec = catalogue(tmp_path).describe(
        EncoderRequest(
            str(checkpoint_of("qwen3").folder),
            family=Family.DIFFUSION,
            label="My model, v2",
            attention=Attention.CAUSAL,
            pooling=Pooling.LAST_TOKEN,
            query_prompt="q: ",
            passage_prompt="p: ",
            max_tokens=33,
            end_token=3,
        )
    )
    assert spec.encoder_id == "my-model--v2"
    assert (spec.attention, spec.pooling) == (Attention.CAUSAL, Pooling.LAST_TOKEN)
    assert (spec.query_prompt, spec.passage_prompt, spec.max_tokens) == ("q: ", "p: ", 33)
    assert spec.appends_end_token == 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_of_the_table_can_be_kept(tmp_path: Path, architecture: str) -> None:
    spec = replace(
        read_registry(ASSETS).encoders["pplx-embed-0.6b"],
        encoder_id="mine",
        architecture=architecture,
    )
    assert specs_from_json(specs_to_json((spec,)), tmp_path) == (spec,)


def test_a_bundled_encoder_is_not_varied_and_the_file_stays_readable(tmp_path: Path) -> None:
    """Its checkpoint has no address of its own: kept, it made the whole file unreadable."""
    pool = EncoderPool(assets=ROOT / "assets", device="cpu", offline=True)
    made = Catalogue(tmp_path / CATALOGUE_FILE, pool)
    with pytest.raises(InvalidSettingError, match="bundled encoders cannot be varied"):
        made.add(EncoderRequest("bifocal-diffusion-135m", label="no prompts", query_prompt=""))
    assert made.added() == ()


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (EncoderRequest(""), "source: name a folder"),
        (EncoderRequest("no such thing"), "source: .* is no folder here and no hub id"),
        (
            EncoderRequest("gpt2", family=Family.LEXICAL, label="x"),
            "family is 'lexical'; it has to be diffusion, auto",
        ),
        (EncoderRequest("gpt2", label="a" * 81), "label is 'aaa.*; it has to be 1 to 80"),
        (EncoderRequest("gpt2", label="a\x1b[31m"), "label is .*1 to 80 printable"),
        (EncoderRequest("gpt2", label="gpt2"), "label: there is an encoder 'gpt2' already"),
        (
            EncoderRequest("gpt2", label="x", max_tokens=3),
            "max_tokens is 3; it has to be a whole number from 16",
        ),
        (
            EncoderRequest("gpt2", label="x", query_prompt="a" * 2001),
            "query_prompt is .*at most 2,000",
        ),
        (EncoderRequest("gpt2", label="x", dimensions=(4096,)), "dimensions: 4096 is outside"),
        (
            EncoderRequest("gpt2", label="x", revision="a b"),
            "revision is 'a b'; it has to be a commit",
        ),
        (
            EncoderRequest("gpt2", label="x", attention=Attention.BACKWARD),
            "attention is .*bidirectional or causal",
        ),
        (
            EncoderRequest("gpt2", label="x", pooling=Pooling.WEIGHTED_MEAN),
            "pooling is .*mean, last token or first",
        ),
        (EncoderRequest("gpt2", adapter="/nowhere"), "adapter: /nowhere is no folder"),
    ],
)
def test_a_field_that_cannot_work_is_named(
    tmp_path: Path, request_: EncoderRequest, says: str
) -> None:
    made = catalogue(tmp_path)
    with pytest.raises(CoreError, match=says):
        made.add(request_)
    assert not made.path.exists()


def test_an_adapter_of_another_kind_is_refused(tmp_path: Path) -> None:
    made = catalogue(tmp_path)
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(EncoderUnavailableError, match="holds no adapter_config"):
        made.add(EncoderRequest("gpt2", adapter=str(folder)))
    (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    with pytest.raises(EncoderLoadError, match="of type 'IA3'"):
        made.add(EncoderRequest("gpt2", adapter=str(folder)))
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}')
    (folder / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(EncoderUnavailableError, match="not pickle"):
        made.add(EncoderRequest("gpt2", adapter=str(folder)))


def test_visitors_of_a_shared_server_name_no_folders(
    tmp_path: Path, checkpoint_of: CheckpointOf
) -> None:
    made = catalogue(tmp_path)
    with pytest.raises(InvalidSettingError, match="no folder of the server"):
        made.add(EncoderRequest(str(checkpoint_of("llama-3").folder)), folders=False)
    with pytest.raises(InvalidSettingError, match="adapter: folders of this server"):
        made.add(EncoderRequest("a/b", adapter=str(tmp_path)), folders=False)
    with pytest.raises(InvalidSettingError, match="no folder of the server"):
        made.add(EncoderRequest("gpt2", label="x"), folders=False)


def test_a_folder_that_looks_like_a_hub_id_is_not_opened_for_visitors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_of: CheckpointOf
) -> None:
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").symlink_to(checkpoint_of("llama-3").folder)
    monkeypatch.chdir(tmp_path)
    made = catalogue(tmp_path / "data", offline=True, cache_dir=tmp_path / "cache")
    with pytest.raises(EncoderUnavailableError):  # asks the hub, which it may not
        made.add(EncoderRequest("owner/name"), folders=False)


def test_a_hub_id_is_added_by_its_small_files_alone(
    tmp_path: Path, checkpoint_of: CheckpointOf
) -> None:
    with serving() as hub:
        hub.repositories["someone/tiny"] = checkpoint_of("llama-3").folder
        made = catalogue(
            tmp_path, cache_dir=tmp_path / "cache", endpoint=hub.endpoint, offline=False
        )
        spec = made.add(EncoderRequest("someone/tiny", family=Family.DIFFUSION), folders=False)
        assert not any("safetensors" in path for _, path, _ in hub.requests)
    assert (spec.checkpoint, spec.attention) == ("someone/tiny", Attention.BIDIRECTIONAL)
    assert shown_checkpoint(spec) == "someone/tiny"


def test_strangers_see_the_last_name_of_a_folder_only(checkpoint_of: CheckpointOf) -> None:
    checkpoint = checkpoint_of("llama-3")
    assert shown_checkpoint(checkpoint.spec) == f"local:{checkpoint.folder.name}"


def spoilt(change: Callable[[dict[str, Any]], object], text: str) -> str:
    stored = json.loads(text)
    change(stored["encoders"][0])
    return json.dumps(stored)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e.update(family="lexical"), "family is 'lexical'; it has to be diffusion"),
        (lambda e: e.update(max_tokens="many"), "max_tokens is 'many'"),
        (lambda e: e.update(max_tokens=True), "max_tokens is True"),
        (lambda e: e.update(encoder_id="../../etc"), "encoder_id is '../../etc'"),
        (lambda e: e.update(checkpoint="bundled:x"), "checkpoint is 'bundled:x'"),
        (lambda e: e.update(checkpoint="local:relative"), "checkpoint is 'local:relative'"),
        (lambda e: e.update(architecture="remote"), "architecture is 'remote'"),
        (lambda e: e.update(outputs=["int4"]), "outputs is"),
        (lambda e: e.update(run="code"), "unknown field 'run'"),
        (lambda e: e.pop("pooling"), "lacks the field pooling"),
        (lambda e: e.update(label="\x1b"), "label is"),
        (lambda e: e.update(encoder_id="gpt2"), "one of Bifocal's own"),
    ],
)
def test_a_file_changed_by_hand_is_refused_by_field(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    made = catalogue(tmp_path)
    made.add(EncoderRequest("gpt2", label="Other GPT"))
    made.path.write_text(spoilt(change, made.path.read_text()))
    before = made.path.read_bytes()
    with pytest.raises(EncoderLoadError, match=says):
        made.added()
    again = Catalogue(made.path, EncoderPool(assets=tmp_path))
    assert (
        says.split("'", maxsplit=1)[0].split(" is", maxsplit=1)[0] in again.register()
    )  # told, and nothing is taught
    with pytest.raises(EncoderLoadError):
        again.add(EncoderRequest("gpt2", label="A third"))
    assert made.path.read_bytes() == before  # never overwritten


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "encoders": []}', "\x80"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / CATALOGUE_FILE).write_bytes(text.encode("latin-1"))
    made = Catalogue(tmp_path / CATALOGUE_FILE, EncoderPool(assets=tmp_path))
    assert str(made.path) in made.register()


def test_an_entry_may_lack_what_later_versions_added(tmp_path: Path) -> None:
    made = catalogue(tmp_path)
    spec = made.add(EncoderRequest("gpt2", label="Other GPT"))
    made.path.write_text(spoilt(lambda e: [e.pop("raw"), e.pop("adapter")], made.path.read_text()))
    assert made.added() == (replace(spec, raw=False),)
