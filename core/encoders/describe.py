"""Specs for checkpoints that are not listed: a folder or hub id, read from its own files.

Any checkpoint of the table of architectures, and sentence-transformers folders (bge, e5, gte, MiniLM
and the like), whose modules.json, pooling and prompts are followed where Bifocal can do the same, and
refused where it cannot. Needs no torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.encoders.architectures import (
    ARCHITECTURES,
    CONFIG_FILE,
    find_layout,
    parameters_of,
    read_json,
)
from core.encoders.spec import LOCAL_PREFIX, UNPINNED, Attention, EncoderSpec, Pooling
from core.errors import EncoderLoadError
from core.records import Family

if TYPE_CHECKING:
    from core.encoders.hub import Hub

_MODULES = "modules.json"
_TRANSFORMER_SETTINGS = "sentence_bert_config.json"
_TOKENIZER_SETTINGS = "tokenizer_config.json"
_PROMPTS = "config_sentence_transformers.json"
_NO_LIMIT = 10**6  # tokenizers that know no limit state one far above this
_DEFAULT_MAX_TOKENS = 4096
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
_POOLINGS = {  # as a mode, and as a switch
    "mean": ("pooling_mode_mean_tokens", Pooling.MEAN),
    "cls": ("pooling_mode_cls_token", Pooling.FIRST_TOKEN),
    "lasttoken": ("pooling_mode_lasttoken", Pooling.LAST_TOKEN),
}
_MODULES_FOLLOWED = frozenset({"Transformer", "Pooling", "Normalize"})
_ID_CHARS = 100


def describe_checkpoint(
    source: str,
    *,
    family: Family,
    label: str = "",
    revision: str = "",
    hub: Hub | None = None,
    local: bool = True,
) -> EncoderSpec:
    """Return a spec for a supported checkpoint, a folder or a hub id, as its files say.

    Where they say nothing, a diffusion encoder attends both ways, an autoregressive one causally, and
    the pooling is a mean. Of a hub id config and tokenizer files are fetched, not the weights; without
    ``local`` the source is never taken for a folder of this machine.

    Raises:
        EncoderUnavailableError: If there is no such folder or repository.
        EncoderLoadError: If no stock class computes it.
    """
    path = Path(source).expanduser()
    if local and path.is_dir():
        folder, checkpoint = path.resolve(), f"{LOCAL_PREFIX}{path.resolve()}"
    else:
        from core.encoders.hub import Hub  # the hub library only when needed

        folder = (hub or Hub()).description(source, revision=revision)
        checkpoint, revision = source, revision or UNPINNED
    config = read_json(folder / CONFIG_FILE)
    layout = find_layout(str(config.get("model_type", "")))
    fields = layout.stock_fields(config)
    stated = _sentence_transformer(folder)
    both_ways = (
        family is Family.DIFFUSION
        or not ARCHITECTURES[layout.architecture].decoder
        or config.get("is_causal") is False
    )
    positions = int(fields.get("max_position_embeddings") or fields.get("n_positions") or 512)
    name = label or path.name or source
    return EncoderSpec(
        encoder_id=encoder_id_of(name),
        label=name,
        family=family,
        checkpoint=checkpoint,
        revision=revision,
        architecture=layout.architecture,
        attention=Attention.BIDIRECTIONAL if both_ways else Attention.CAUSAL,
        pooling=stated.get("pooling", Pooling.MEAN),
        query_prompt=stated.get("query", ""),
        passage_prompt=stated.get("passage", ""),
        max_tokens=stated.get("max_tokens") or min(positions, _DEFAULT_MAX_TOKENS),
        dimension=int(fields.get("hidden_size") or fields["n_embd"]),
        licence="not stated",
        trained_on="Not stated: a checkpoint of the user's own choice.",
        parameters=parameters_of(fields),
        pools_prompt=bool(stated.get("pools_prompt", True)),
        raw=not stated,  # nothing says that it was trained for retrieval
    )


def encoder_id_of(name: str) -> str:
    """Return the id that a name becomes: small letters, digits, dots and dashes."""
    marks = (c if (c.isascii() and c.isalnum()) or c in "-._" else "-" for c in name.lower())
    return "".join(marks)[:_ID_CHARS].strip("-._") or "custom"


def _sentence_transformer(folder: Path) -> dict[str, Any]:
    """Pooling, prompts and limit of a sentence-transformers folder; nothing for other folders."""
    if not (folder / _MODULES).is_file():
        return {}
    stated: dict[str, Any] = {}
    try:  # a list, which read_json refuses
        modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as exc:
        raise EncoderLoadError(
            f"{folder / _MODULES} is not a list of modules: {exc}. Download the model again."
        ) from exc
    strange = sorted(kinds.keys() - _MODULES_FOLLOWED)
    if strange:
        raise EncoderLoadError(
            f"{folder} has the module {', '.join(strange)}, which Bifocal cannot run. Choose a "
            "model of transformer, pooling and normalisation only."
        )
    if "Pooling" in kinds:
        pooling = read_json(folder / kinds["Pooling"] / CONFIG_FILE)
        stated["pooling"] = _pooling(pooling, folder)
        stated["pools_prompt"] = bool(pooling.get("include_prompt", True))
    for file, field in (
        (_TOKENIZER_SETTINGS, "model_max_length"),
        (_TRANSFORMER_SETTINGS, "max_seq_length"),  # goes before the tokenizer's
    ):
        length = (read_json(folder / file).get(field) or 0) if (folder / file).is_file() else 0
        if 0 < length < _NO_LIMIT:
            stated["max_tokens"] = int(length)
    if (folder / _PROMPTS).is_file():
        prompts = read_json(folder / _PROMPTS).get("prompts") or {}
        stated["query"] = str(prompts.get("query", ""))
        named = (str(prompts[name]) for name in _PASSAGE_PROMPTS if prompts.get(name))
        stated["passage"] = next(named, "")
    return stated


def _pooling(config: dict[str, Any], folder: Path) -> Pooling:
    mode = config.get("pooling_mode")
    if isinstance(mode, str) and mode in _POOLINGS:
        return _POOLINGS[mode][1]
    on = [k for k, value in config.items() if k.startswith("pooling_mode_") and value is True]
    for switch, pooling in _POOLINGS.values():
        if on == [switch]:
            return pooling
    raise EncoderLoadError(
        f"{folder} pools by {mode or ', '.join(on) or 'nothing known'}; Bifocal knows mean, first "
        "token and last token."
    )
