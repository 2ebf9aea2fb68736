"""Specs for checkpoints that nobody listed: a folder or hub id, read for what it says about itself.

Llama, Qwen2, Qwen3 and GPT-2 shapes, and sentence-transformers folders (bge, e5, gte, MiniLM and the
like), whose modules.json, pooling and prompts are followed where Bifocal can do the same, and refused
where it cannot.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.encoders.json_files import CONFIG_FILE, read_json
from core.encoders.known import UNPINNED
from core.encoders.names import LAYOUTS, REFERENCE_ARCHITECTURES
from core.encoders.registry import LOCAL_PREFIX
from core.encoders.spec import Attention, EncoderSpec, Pooling
from core.errors import EncoderLoadError
from core.records import Family

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES = "modules.json"
_TRANSFORMER_SETTINGS = "sentence_bert_config.json"
_TOKENIZER_SETTINGS = "tokenizer_config.json"
_NO_LIMIT = 10**6  # what tokenizers state when they know no limit is far above this
_PROMPTS = "config_sentence_transformers.json"
_DEFAULT_MAX_TOKENS = 4096
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
_POOLING_SWITCHES = {
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_cls_token": Pooling.FIRST_TOKEN,
    "pooling_mode_lasttoken": Pooling.LAST_TOKEN,
}
_POOLING_NAMES = {
    "mean": Pooling.MEAN,
    "cls": Pooling.FIRST_TOKEN,
    "lasttoken": Pooling.LAST_TOKEN,
}
_ID_CHARS = 100
_HARMLESS_MODULES = ("Transformer", "Pooling", "Normalize")


def describe_checkpoint(
    source: str,
    *,
    family: Family,
    label: str = "",
    attention: Attention | None = None,
    pooling: Pooling | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    max_tokens: int = 0,
    end_token: int | None = None,
    revision: str = "",
    cache_dir: Path | None = None,
    offline: bool = False,
    endpoint: str | None = None,
    local: bool = True,
) -> EncoderSpec:
    """Return a spec for any supported checkpoint, as its user declares and its files say.

    What is given here goes before what the files say; where neither says anything, a diffusion arm
    attends both ways, an autoregressive one causally, and the pooling is a mean.

    Args:
        source: A folder, or a hub id (config and tokenizer files are fetched, not the weights).
        family: Which arm it is to be, or a reference.
        label: Name for people; the folder's or repository's own name otherwise.
        attention: How it attends when it embeds.
        pooling: How it pools.
        query_prompt: Prefix of queries.
        passage_prompt: Prefix of passages.
        max_tokens: Most tokens; 0 takes what the files say, at most 4,096 for language models.
        end_token: Id that must close every text.
        revision: Commit on the hub.
        cache_dir: Where hub files are kept.
        offline: Do not touch the network.
        endpoint: Another hub.
        local: Whether the source may be a folder of this machine.

    Raises:
        EncoderUnavailableError: If there is no such folder or repository.
        EncoderLoadError: If no stock class computes it.
    """
    path = Path(source).expanduser()
    if local and path.is_dir():
        folder, checkpoint = path.resolve(), f"{LOCAL_PREFIX}{path.resolve()}"
    else:
        from core.encoders.fetch import fetch_description  # the hub library only when needed

        folder = fetch_description(
            source, revision=revision, cache_dir=cache_dir, offline=offline, endpoint=endpoint
        )
        checkpoint, revision = source, revision or UNPINNED
    config = read_json(folder / CONFIG_FILE)
    architecture, fields = _architecture(config)
    stated = _sentence_transformer(folder)
    reference = architecture in REFERENCE_ARCHITECTURES
    if attention is None:
        both_ways = family is Family.DIFFUSION or reference or config.get("is_causal") is False
        attention = Attention.BIDIRECTIONAL if both_ways else Attention.CAUSAL
    positions = int(fields.get("max_position_embeddings") or fields.get("n_positions") or 512)
    name = label or path.name or source
    return EncoderSpec(
        encoder_id=encoder_id_of(name),
        label=name,
        family=family,
        checkpoint=checkpoint,
        revision=revision,
        architecture=architecture,
        attention=attention,
        pooling=pooling or stated.get("pooling", Pooling.MEAN),
        query_prompt=stated.get("query", "") if query_prompt is None else query_prompt,
        passage_prompt=stated.get("passage", "") if passage_prompt is None else passage_prompt,
        max_tokens=max_tokens or stated.get("max_tokens") or min(positions, _DEFAULT_MAX_TOKENS),
        dimension=int(fields.get("hidden_size") or fields["n_embd"]),
        licence="not stated",
        trained_on="Not stated: a checkpoint of the user's own choice.",
        parameters=_rough_parameters(fields),
        appends_end_token=end_token,
        pools_prompt=bool(stated.get("pools_prompt", True)),
        raw=not stated,  # nothing says that it was trained for retrieval
    )


def _architecture(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    model_type = str(config.get("model_type", ""))
    for layout in LAYOUTS:
        if model_type in layout.model_types and not layout.marker:
            return layout.architecture, layout.stock_fields(config)
    known = ", ".join(sorted({name for layout in LAYOUTS for name in layout.model_types}))
    msg = (
        f"{CONFIG_FILE} has model_type {model_type!r}, which Bifocal cannot run without remote "
        f"code. It can run: {known}."
    )
    raise EncoderLoadError(msg)


def _sentence_transformer(folder: Path) -> dict[str, Any]:
    """What a sentence-transformers folder says: pooling, prompts, limit."""
    if not (folder / _MODULES).is_file():
        return {}
    import json  # a list, which read_json refuses

    stated: dict[str, Any] = {}
    try:
        modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    except (ValueError, KeyError, TypeError, OSError) as exc:
        msg = f"{folder / _MODULES} is not a list of modules: {exc}. Download the model again."
        raise EncoderLoadError(msg) from exc
    strange = sorted(set(kinds) - set(_HARMLESS_MODULES))
    if strange:
        msg = (
            f"{folder} has the module {', '.join(strange)}, which Bifocal cannot run. Choose a "
            "model of transformer, pooling and normalisation only."
        )
        raise EncoderLoadError(msg)
    if "Pooling" in kinds:
        pooling = read_json(folder / kinds["Pooling"] / CONFIG_FILE)
        stated["pooling"] = _pooling(pooling, folder)
        stated["pools_prompt"] = bool(pooling.get("include_prompt", True))
    if (folder / _TRANSFORMER_SETTINGS).is_file():
        length = read_json(folder / _TRANSFORMER_SETTINGS).get("max_seq_length")
        if length:
            stated["max_tokens"] = int(length)
    if "max_tokens" not in stated and (folder / _TOKENIZER_SETTINGS).is_file():
        length = read_json(folder / _TOKENIZER_SETTINGS).get("model_max_length") or 0
        if 0 < length < _NO_LIMIT:
            stated["max_tokens"] = int(length)
    if (folder / _PROMPTS).is_file():
        prompts = read_json(folder / _PROMPTS).get("prompts") or {}
        stated["query"] = str(prompts.get("query", ""))
        stated["passage"] = next(
            (str(prompts[name]) for name in _PASSAGE_PROMPTS if prompts.get(name)), ""
        )
    return stated


def _pooling(config: Mapping[str, Any], folder: Path) -> Pooling:
    named = config.get("pooling_mode")
    if isinstance(named, str) and named in _POOLING_NAMES:
        return _POOLING_NAMES[named]
    chosen = [
        name for name, value in config.items() if name.startswith("pooling_mode_") and value is True
    ]
    if len(chosen) == 1 and chosen[0] in _POOLING_SWITCHES:
        return _POOLING_SWITCHES[chosen[0]]
    msg = (
        f"{folder} pools by {named or ', '.join(chosen) or 'nothing known'}; Bifocal knows mean, "
        "first token and last token."
    )
    raise EncoderLoadError(msg)


def _rough_parameters(fields: Mapping[str, Any]) -> int:
    """About how many weights run; the loader counts them, this decides whether they fit."""
    hidden = int(fields.get("hidden_size") or fields["n_embd"])
    layers = int(fields.get("num_hidden_layers") or fields["n_layer"])
    inner = int(fields.get("intermediate_size") or fields.get("n_inner") or 4 * hidden)
    gated = 3 if "rms_norm_eps" in fields else 2
    heads = int(fields.get("num_attention_heads") or fields["n_head"])
    kv_heads = int(fields.get("num_key_value_heads") or heads)
    head = int(fields.get("head_dim") or hidden // heads)
    per_layer = 2 * hidden * head * (heads + kv_heads) + gated * hidden * inner
    return int(fields.get("vocab_size", 0)) * hidden + layers * per_layer


def encoder_id_of(name: str) -> str:
    """Return the id that a name becomes: small letters, digits, dots and dashes."""
    plain = (mark if mark.isascii() and mark.isalnum() else "-" for mark in name.lower())
    kept = "".join(
        mark if mark in "-._" else piece for mark, piece in zip(name.lower(), plain, strict=True)
    )
    return kept[:_ID_CHARS].strip("-._") or "custom"
