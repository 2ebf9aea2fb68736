"""Encoders that a user added: kept in one JSON file of the data folder, offered like every other.

The file holds specs, no weights: folders and hub ids with what their user declared. It is checked
field by field when it is read; nothing in it is ever run.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from core.encoders.custom import describe_checkpoint, encoder_id_of
from core.encoders.json_files import read_json
from core.encoders.registry import BUNDLED_PREFIX, LOCAL_PREFIX
from core.encoders.spec import Attention, EncoderSpec, Pooling
from core.errors import (
    EncoderLoadError,
    EncoderUnavailableError,
    InvalidSettingError,
    UnknownNameError,
)
from core.records import Family
from core.settings import OutputType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.encoders.pool import EncoderPool

CATALOGUE_FILE = "encoders.json"
MOST_ENCODERS = 100
MAX_LABEL_CHARS = 80
MAX_PROMPT_CHARS = 2000
ARM_FAMILIES = (Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE)
MAX_PATH_CHARS = 4096
MAX_TOKENS = 131_072
_FORMAT = 1
_LOCK_SECONDS = 20.0
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}")
_REVISION = re.compile(r"[A-Za-z0-9._/-]{0,100}")
_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class EncoderRequest:
    """An encoder to add, as its user declares it; what is left open is read from its files.

    Attributes:
        source: A folder, a hub id, or the id of a known encoder to vary.
        family: Which arm it is to be, or a reference; None keeps a known encoder's own and takes
            anything else for a reference.
        label: Name for people; "" takes the source's own.
        adapter: Folder of a PEFT LoRA adapter to merge on load; "" for none.
        attention: How it attends when it embeds.
        pooling: How it pools.
        query_prompt: Prefix of queries.
        passage_prompt: Prefix of passages.
        max_tokens: Its limit; 0 takes what the files say.
        revision: Commit on the hub; "" takes the present one.
        dimensions: Shorter lengths its embeddings may be cut to.
        end_token: Id that must close every text.
    """

    source: str
    family: Family | None = None
    label: str = ""
    adapter: str = ""
    attention: Attention | None = None
    pooling: Pooling | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None
    max_tokens: int = 0
    revision: str = ""
    dimensions: tuple[int, ...] = ()
    end_token: int | None = None


class Catalogue:
    """The encoders a user added. Safe to use from several threads and processes.

    Args:
        path: The file; made when the first encoder is added.
        pool: Learns them.
        cache_dir: For descriptions of hub checkpoints; None keeps huggingface_hub's own rule.
        offline: Never ask a hub.
        endpoint: Another hub; for tests.
    """

    def __init__(
        self,
        path: Path,
        pool: EncoderPool,
        *,
        cache_dir: Path | None = None,
        offline: bool = False,
        endpoint: str | None = None,
    ) -> None:
        self.path = path
        self.pool = pool
        self._cache_dir = cache_dir
        self._offline = offline
        self._endpoint = endpoint
        self._taught: set[str] = set()

    def teach(self) -> str:
        """Let the pool know the encoders of the file, and no more those that were removed from it.

        Returns:
            What is wrong with the file, in a sentence that says what to do; "" when all is well.
        """
        try:
            specs = self.added()
        except EncoderLoadError as exc:
            return str(exc)
        for spec in specs:
            if self.pool.registry.encoders.get(spec.encoder_id) != spec:
                self.pool.learn(spec)
        now = {spec.encoder_id for spec in specs}
        for encoder_id in self._taught - now:
            self.pool.forget(encoder_id)
        self._taught = now
        return ""

    def added(self) -> tuple[EncoderSpec, ...]:
        """Return the encoders of the file, in the order they were added.

        Raises:
            EncoderLoadError: If the file is not what this class writes; names entry and field.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as exc:
            msg = f"{self.path} cannot be read ({exc}). Repair it, or move it away to start anew."
            raise EncoderLoadError(msg) from exc
        specs = specs_from_json(text, self.path)
        for spec in specs:
            if spec.encoder_id in self.pool.built_in:
                msg = (
                    f"{self.path}: encoder_id {spec.encoder_id!r} is one of Bifocal's own; write "
                    "another there."
                )
                raise EncoderLoadError(msg)
        return specs

    def describe(self, request: EncoderRequest, *, folders: bool = True) -> EncoderSpec:
        """Return the spec that a request means; keeps nothing.

        Args:
            request: As declared.
            folders: False refuses folders of this machine, for visitors of a shared server.

        Raises:
            InvalidSettingError: A field that cannot work, or a folder where none is allowed.
            EncoderUnavailableError: If there is no such folder or repository.
            EncoderLoadError: If no stock class computes it, or the adapter is not plain LoRA.
        """
        source = request.source.strip()
        _require_fields(request, source, folders=folders)
        base = self.pool.registry.encoders.get(source)
        if base is not None:
            spec = _varied(base, request)
        elif folders and Path(source).expanduser().is_dir():
            spec = self._described(request, source)
        elif _HUB_ID.fullmatch(source):
            spec = self._described(request, source, local=False)
        else:
            known = "the id of a known encoder, a hub id like owner/name"
            msg = (
                f"source: {source[:200]!r} is no folder here and no hub id. Give "
                f"{'a folder, ' if folders else ''}{known}."
            )
            raise EncoderUnavailableError(msg)
        if request.adapter:
            adapter = checked_adapter(Path(request.adapter).expanduser())
            if spec.checkpoint.startswith(BUNDLED_PREFIX):
                msg = "adapter: the bundled encoders take none; give the source another checkpoint."
                raise InvalidSettingError(msg)
            spec = replace(spec, adapter=str(adapter))
            if not request.label:
                label = f"{spec.label} + {adapter.name}"[:MAX_LABEL_CHARS]
                spec = replace(spec, label=label, encoder_id=encoder_id_of(label))
        too_long = [size for size in request.dimensions if not 1 <= size <= spec.dimension]
        if too_long:
            msg = f"dimensions: {too_long[0]} is outside 1 to {spec.dimension}, its own."
            raise InvalidSettingError(msg)
        return spec

    def add(self, request: EncoderRequest, *, folders: bool = True) -> EncoderSpec:
        """Describe an encoder, keep it and let the pool know it; its weights are loaded later.

        Raises:
            InvalidSettingError: Besides what `describe` raises: if its name is taken.
        """
        spec = self.describe(request, folders=folders)
        if spec.encoder_id in self.pool.built_in:
            msg = f"label: there is an encoder {spec.encoder_id!r} already; give another label."
            raise InvalidSettingError(msg)

        def grown(specs: tuple[EncoderSpec, ...]) -> tuple[EncoderSpec, ...]:
            if spec.encoder_id in {kept.encoder_id for kept in specs}:
                msg = (
                    f"label: you added an encoder {spec.encoder_id!r} before; give another label, "
                    "or remove that one first."
                )
                raise InvalidSettingError(msg)
            if len(specs) >= MOST_ENCODERS:
                msg = f"There are {MOST_ENCODERS} added encoders already; remove one first."
                raise InvalidSettingError(msg)
            return (*specs, spec)

        self._change(grown)
        self.teach()
        return spec

    def remove(self, encoder_id: str) -> EncoderSpec:
        """Forget an added encoder; files of its checkpoint and stored vectors stay.

        Raises:
            UnknownNameError: If it was not added.
        """
        specs = {spec.encoder_id: spec for spec in self.added()}
        if encoder_id not in specs:
            known = ", ".join(specs) or "none"
            msg = f"There is no added encoder {encoder_id!r}. Added: {known}."
            raise UnknownNameError(msg)
        self._change(lambda kept: tuple(spec for spec in kept if spec.encoder_id != encoder_id))
        self._taught.add(encoder_id)
        self.teach()
        return specs[encoder_id]

    def _described(
        self, request: EncoderRequest, source: str, *, local: bool = True
    ) -> EncoderSpec:
        spec = describe_checkpoint(
            source,
            family=request.family or Family.REFERENCE,
            label=request.label,
            attention=request.attention,
            pooling=request.pooling,
            query_prompt=request.query_prompt,
            passage_prompt=request.passage_prompt,
            max_tokens=request.max_tokens,
            end_token=request.end_token,
            revision=request.revision,
            cache_dir=self._cache_dir,
            offline=self._offline,
            endpoint=self._endpoint,
            local=local,
        )
        return replace(spec, matryoshka_dimensions=tuple(sorted(set(request.dimensions))))

    def _change(self, change: Callable[[tuple[EncoderSpec, ...]], tuple[EncoderSpec, ...]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{self.path}.lock", timeout=_LOCK_SECONDS):
                text = specs_to_json(change(self.added()))
                partial = self.path.with_name(self.path.name + ".partial")
                with partial.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(self.path)
        except Timeout as exc:
            msg = f"Another process is changing {self.path}; try again."
            raise EncoderLoadError(msg) from exc
        except OSError as exc:
            msg = f"{self.path} cannot be written ({exc.strerror}). Free space or choose --data."
            raise EncoderLoadError(msg) from exc


def checked_adapter(folder: Path) -> Path:
    """Return a LoRA folder's full path after a look at its files; the loader checks the rest.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If it is another kind of adapter.
    """
    if not folder.is_dir():
        msg = f"adapter: {folder} is no folder. Give the folder that holds {_ADAPTER_CONFIG}."
        raise EncoderUnavailableError(msg)
    if not (folder / _ADAPTER_CONFIG).is_file():
        msg = f"adapter: {folder} holds no {_ADAPTER_CONFIG}. Give a folder that PEFT saved."
        raise EncoderUnavailableError(msg)
    kind = read_json(folder / _ADAPTER_CONFIG).get("peft_type")
    if kind != "LORA":
        msg = f"adapter: {folder} is of type {kind!r}; Bifocal merges plain LoRA only."
        raise EncoderLoadError(msg)
    if not (folder / _ADAPTER_WEIGHTS).is_file():
        msg = f"adapter: {folder} holds no {_ADAPTER_WEIGHTS}; save it as safetensors, not pickle."
        raise EncoderUnavailableError(msg)
    return folder.resolve()


def shown_checkpoint(spec: EncoderSpec) -> str:
    """Return where weights come from, fit for strangers: of a local folder its last name only."""
    if spec.checkpoint.startswith(LOCAL_PREFIX):
        return LOCAL_PREFIX + Path(spec.checkpoint.removeprefix(LOCAL_PREFIX)).name
    return spec.checkpoint


def specs_to_json(specs: tuple[EncoderSpec, ...]) -> str:
    """Return specs as the file holds them."""
    listed = [asdict(spec) for spec in specs]
    return json.dumps({"format": _FORMAT, "encoders": listed}, indent=1, sort_keys=True) + "\n"


def specs_from_json(text: str, path: Path) -> tuple[EncoderSpec, ...]:
    """Return the specs `specs_to_json` wrote, every field checked.

    Raises:
        EncoderLoadError: Names the entry, the field and what belongs there.
    """
    try:
        stored = json.loads(text)
    except ValueError as exc:
        msg = f"{path} is not JSON ({exc}). Repair it, or move it away to start anew."
        raise EncoderLoadError(msg) from exc
    if not isinstance(stored, dict) or set(stored) != {"format", "encoders"}:
        msg = f"{path} has to hold the fields format and encoders; move it away to start anew."
        raise EncoderLoadError(msg)
    if stored["format"] != _FORMAT:
        msg = f"{path}: format is {stored['format']!r}, this Bifocal reads {_FORMAT}. Update it."
        raise EncoderLoadError(msg)
    if not isinstance(stored["encoders"], list) or len(stored["encoders"]) > MOST_ENCODERS:
        msg = f"{path}: encoders has to be a list of at most {MOST_ENCODERS}."
        raise EncoderLoadError(msg)
    specs = tuple(_spec(entry, place, path) for place, entry in enumerate(stored["encoders"]))
    if len({spec.encoder_id for spec in specs}) < len(specs):
        msg = f"{path}: two encoders have the same encoder_id; give one another."
        raise EncoderLoadError(msg)
    return specs


def _spec(entry: object, place: int, path: Path) -> EncoderSpec:
    where = f"{path}: encoder {place + 1}"
    if not isinstance(entry, dict):
        raise EncoderLoadError(f"{where} has to be an object; remove it.")
    known = [field.name for field in fields(EncoderSpec)]
    strange = sorted(set(entry).difference(known))
    if strange:
        raise EncoderLoadError(f"{where} has an unknown field {strange[0]!r}; remove it.")
    values: dict[str, Any] = {}
    for name in known:
        check, wanted = _FIELDS[name]
        if name not in entry:
            if name in _OPTIONAL:
                continue
            raise EncoderLoadError(f"{where} lacks the field {name}: {wanted}. Add the model anew.")
        try:
            values[name] = check(entry[name])
        except (ValueError, TypeError) as exc:
            shown = repr(entry[name])[:80]
            raise EncoderLoadError(f"{where}: {name} is {shown}; it has to be {wanted}.") from exc
    return EncoderSpec(**values)


def _text(most: int, pattern: re.Pattern[str] | None = None) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(most)
        if pattern is not None and not pattern.fullmatch(value):
            raise ValueError(pattern.pattern)
        return value

    return check


def _label(value: object) -> str:
    text = _text(MAX_LABEL_CHARS)(value)
    if not text.strip() or not text.isprintable():
        raise ValueError(text)
    return text


def _checkpoint(value: object) -> str:
    text = _text(MAX_PATH_CHARS)(value)
    if text.startswith(LOCAL_PREFIX) and Path(text.removeprefix(LOCAL_PREFIX)).is_absolute():
        return text
    return _text(200, _HUB_ID)(text)


def _adapter(value: object) -> str:
    text = _text(MAX_PATH_CHARS)(value)
    if text and not Path(text).is_absolute():
        raise ValueError(text)
    return text


def _whole(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(value)
        return value

    return check


def _choice(kind: type[StrEnum], offered: tuple[StrEnum, ...] = ()) -> Callable[[object], StrEnum]:
    def check(value: object) -> StrEnum:
        found = kind(_text(40)(value))
        if offered and found not in offered:
            raise ValueError(value)
        return found

    return check


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _token(value: object) -> int | None:
    return None if value is None else _whole(0, 10**7)(value)


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(_whole(1, 65_536)(size) for size in value)


def _outputs(value: object) -> tuple[OutputType, ...]:
    if not isinstance(value, list) or OutputType.FLOAT.value not in value:
        raise TypeError(value)
    return tuple(OutputType(_text(20)(name)) for name in value)


_ARCHITECTURES = re.compile("llama|qwen2|qwen3|gpt2|bert|roberta|xlm-roberta")
_FIELDS: dict[str, tuple[Callable[[object], Any], str]] = {
    "encoder_id": (_text(100, _ID), "small letters, digits, dots and dashes"),
    "label": (_label, f"1 to {MAX_LABEL_CHARS} printable characters"),
    "family": (_choice(Family, ARM_FAMILIES), "diffusion, autoregressive or reference"),
    "checkpoint": (_checkpoint, "local: and a full path, or a hub id like owner/name"),
    "revision": (_text(100, _REVISION), "a commit of the hub, or empty"),
    "architecture": (_text(40, _ARCHITECTURES), "llama, qwen2, qwen3, gpt2 or a BERT shape"),
    "attention": (_choice(Attention), "bidirectional or causal"),
    "pooling": (_choice(Pooling), "mean, last token or first token"),
    "query_prompt": (_text(MAX_PROMPT_CHARS), f"text of at most {MAX_PROMPT_CHARS:,} characters"),
    "passage_prompt": (_text(MAX_PROMPT_CHARS), f"text of at most {MAX_PROMPT_CHARS:,} characters"),
    "max_tokens": (_whole(1, MAX_TOKENS), "a whole number from 1 to 131,072"),
    "dimension": (_whole(1, 65_536), "a whole number from 1 to 65,536"),
    "licence": (_text(200), "text"),
    "trained_on": (_text(2000), "text"),
    "parameters": (_whole(0, 10**13), "a whole number"),
    "default_instruction": (_text(MAX_PROMPT_CHARS), "text"),
    "dtype": (_text(20), "text"),
    "appends_end_token": (_token, "a token id or null"),
    "pools_prompt": (_switch, "true or false"),
    "late_chunking": (_switch, "true or false"),
    "matryoshka_dimensions": (_sizes, "a list of whole numbers"),
    "revision_origin": (_text(200), "text"),
    "outputs": (_outputs, "a list with float in it, and int8 or binary"),
    "raw": (_switch, "true or false"),
    "adapter": (_adapter, "a full path, or empty"),
}
# What an earlier version of this file may lack: everything that the spec itself has a default for.
_OPTIONAL = frozenset(field.name for field in fields(EncoderSpec) if field.default is not MISSING)


def _require_fields(request: EncoderRequest, source: str, *, folders: bool) -> None:
    """Refuse the first field that cannot work, whatever the files say."""
    for wrong, msg in _complaints(request, source, folders=folders):
        if wrong:
            raise InvalidSettingError(msg)


def _complaints(
    request: EncoderRequest, source: str, *, folders: bool
) -> Iterator[tuple[bool, str]]:
    yield (
        not source or len(source) > MAX_PATH_CHARS,
        "source: name a folder, a hub id like owner/name, or a known encoder.",
    )
    yield (
        not folders and bool(request.adapter),
        "adapter: folders of this server are not offered; run Bifocal on your own machine.",
    )
    yield (
        not folders and not _HUB_ID.fullmatch(source),
        "source: here only a hub id like owner/name can be added, no folder of the server.",
    )
    yield (
        request.family is not None and request.family not in ARM_FAMILIES,
        f"family: {request.family} is no encoder; choose {', '.join(ARM_FAMILIES)}.",
    )
    yield (
        len(request.label) > MAX_LABEL_CHARS or not request.label.isprintable(),
        f"label: at most {MAX_LABEL_CHARS} printable characters.",
    )
    for side in ("query_prompt", "passage_prompt"):
        yield (
            len(getattr(request, side) or "") > MAX_PROMPT_CHARS,
            f"{side}: longer than {MAX_PROMPT_CHARS:,} characters; shorten it.",
        )
    yield (
        bool(request.max_tokens) and not 16 <= request.max_tokens <= MAX_TOKENS,
        f"max_tokens: {request.max_tokens} is outside 16 to {MAX_TOKENS:,} (0: as its files say).",
    )
    yield (
        not _REVISION.fullmatch(request.revision),
        f"revision: {request.revision[:60]!r} is no commit, tag or branch of a hub.",
    )
    yield (
        request.attention is Attention.BACKWARD,
        "attention: backward is an experiment of the laboratory; choose bidirectional or causal.",
    )
    yield (
        request.pooling is Pooling.WEIGHTED_MEAN,
        "pooling: a weighted mean needs weights; choose mean, last token or first token.",
    )


def _varied(base: EncoderSpec, request: EncoderRequest) -> EncoderSpec:
    """Return a known encoder with what the request says differently."""
    label = request.label or f"{base.label} (varied)"
    return replace(
        base,
        encoder_id=encoder_id_of(label)
        if request.label or not request.adapter
        else base.encoder_id,
        label=label if request.label or not request.adapter else base.label,
        family=request.family or base.family,
        attention=request.attention or base.attention,
        pooling=request.pooling or base.pooling,
        query_prompt=base.query_prompt if request.query_prompt is None else request.query_prompt,
        passage_prompt=(
            base.passage_prompt if request.passage_prompt is None else request.passage_prompt
        ),
        max_tokens=request.max_tokens or base.max_tokens,
        revision=request.revision or base.revision,
        matryoshka_dimensions=request.dimensions or base.matryoshka_dimensions,
        appends_end_token=(
            base.appends_end_token if request.end_token is None else request.end_token
        ),
    )
