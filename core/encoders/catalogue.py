"""Encoders that a user added: kept in one JSON file of the data folder, offered like every other.

The file holds specs, no weights: folders and hub ids with what their user declared. It is checked
field by field when it is read and before it is written; nothing in it is ever run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from core.encoders.architectures import ARCHITECTURES
from core.encoders.describe import describe_checkpoint, encoder_id_of
from core.encoders.pins import write_whole
from core.encoders.pool import EncoderPool
from core.encoders.spec import LOCAL_PREFIX, Attention, EncoderSpec, Pooling
from core.errors import (
    EncoderLoadError,
    EncoderUnavailableError,
    InvalidSettingError,
    UnknownNameError,
)
from core.records import Family
from core.settings import OutputType

CATALOGUE_FILE = "encoders.json"
MOST_ENCODERS = 100
MAX_LABEL_CHARS = 80
MAX_PROMPT_CHARS = 2000
MAX_PATH_CHARS = 4096
MAX_TOKENS = 131_072
_FORMAT = 1
_LOCK_SECONDS = 20.0
_SHOWN_CHARS = 80
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}")
_SPEC = TypeAdapter(EncoderSpec)


def _is_checkpoint(text: str) -> bool:
    path = Path(text.removeprefix(LOCAL_PREFIX))
    if text.startswith(LOCAL_PREFIX):
        return len(text) <= MAX_PATH_CHARS and path.is_absolute()
    return bool(_HUB_ID.fullmatch(text))


def _one_of(*values: str) -> tuple[Callable[[Any], object], str]:
    return values.__contains__, f"{', '.join(values[:-1])} or {values[-1]}"


# field of a spec: whether a value of the right type can be there, and the words for it
_RULES: dict[str, tuple[Callable[[Any], object], str]] = {
    "encoder_id": (
        re.compile(r"[a-z0-9][a-z0-9._-]{0,99}").fullmatch,
        "small letters, digits, dots and dashes",
    ),
    "label": (
        lambda text: text.strip() and len(text) <= MAX_LABEL_CHARS and text.isprintable(),
        f"1 to {MAX_LABEL_CHARS} printable characters",
    ),
    "family": _one_of(Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE),
    "checkpoint": (_is_checkpoint, f"{LOCAL_PREFIX} and a full path, or a hub id like owner/name"),
    "revision": (
        re.compile(r"[A-Za-z0-9._/-]{0,100}").fullmatch,
        "a commit, tag or branch of a hub, or empty",
    ),
    "architecture": _one_of(*ARCHITECTURES),
    "attention": _one_of(Attention.BIDIRECTIONAL, Attention.CAUSAL),
    "pooling": _one_of(Pooling.MEAN, Pooling.LAST_TOKEN, Pooling.FIRST_TOKEN),
    "max_tokens": (
        lambda count: 16 <= count <= MAX_TOKENS,
        f"a whole number from 16 to {MAX_TOKENS:,}",
    ),
    "dimension": (lambda count: 1 <= count <= 65_536, "a whole number from 1 to 65,536"),
    "parameters": (lambda count: 0 <= count <= 10**13, "a whole number"),
    "appends_end_token": (lambda token: token is None or token >= 0, "a token id or null"),
    "outputs": (
        lambda outputs: OutputType.FLOAT in outputs,
        "a list with float in it, and int8 or binary",
    ),
    "adapter": (lambda text: not text or Path(text).is_absolute(), "a full path, or empty"),
    **dict.fromkeys(
        ("query_prompt", "passage_prompt", "default_instruction", "licence", "trained_on"),
        (
            lambda text: len(text) <= MAX_PROMPT_CHARS,
            f"text of at most {MAX_PROMPT_CHARS:,} characters",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class EncoderRequest:
    """An encoder to add, as its user declares it; open fields are read from its files."""

    source: str  # a folder, a hub id, or the id of a known encoder to vary
    # of the encoder; None keeps a known encoder's own and takes anything else for a reference
    family: Family | None = None
    label: str = ""  # name for people; "" takes the source's own
    adapter: str = ""  # folder of a PEFT LoRA adapter to merge on load; "" for none
    attention: Attention | None = None  # how it attends when it embeds
    pooling: Pooling | None = None  # how it pools
    query_prompt: str | None = None  # prefix of queries
    passage_prompt: str | None = None  # prefix of passages
    max_tokens: int = 0  # its limit; 0 takes what the files say
    revision: str = ""  # commit on the hub; "" takes the present one
    dimensions: tuple[int, ...] = ()  # shorter lengths its embeddings may be cut to
    end_token: int | None = None  # id that must close every text

    @property
    def stated(self) -> dict[str, Any]:
        """Fields of a spec that the user declares."""
        stated: dict[str, Any] = {
            "family": self.family,
            "attention": self.attention,
            "pooling": self.pooling,
            "query_prompt": self.query_prompt,
            "passage_prompt": self.passage_prompt,
            "max_tokens": self.max_tokens or None,
            "revision": self.revision or None,
            "matryoshka_dimensions": tuple(sorted(set(self.dimensions))) or None,
            "appends_end_token": self.end_token,
        }
        return {name: value for name, value in stated.items() if value is not None}


class Catalogue:
    """The encoders a user added, in a file. Safe to use from several threads and processes."""

    def __init__(self, path: Path, pool: EncoderPool) -> None:
        self.path = path
        self.pool = pool
        self._registered: set[str] = set()

    def register(self) -> str:
        """Register the file's encoders with the pool, and unregister those no longer in it.

        Returns:
            What is wrong with the file, in a sentence that says what to do; "" when all is well.
        """
        try:
            specs = self.added()
        except EncoderLoadError as exc:
            return str(exc)
        for spec in specs:
            if self.pool.registry.encoders.get(spec.encoder_id) != spec:
                self.pool.register(spec)
        now = {spec.encoder_id for spec in specs}
        for encoder_id in self._registered - now:
            self.pool.unregister(encoder_id)
        self._registered = now
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
            raise EncoderLoadError(
                f"{self.path} cannot be read ({exc}). Repair it, or move it away to start anew."
            ) from exc
        specs = specs_from_json(text, self.path)
        for spec in specs:
            if spec.encoder_id in self.pool.built_in:
                raise EncoderLoadError(
                    f"{self.path}: encoder_id {spec.encoder_id!r} is one of Bifocal's own; write "
                    "another there."
                )
        return specs

    def describe(self, request: EncoderRequest, *, folders: bool = True) -> EncoderSpec:
        """Return the spec that a request means; keeps nothing.

        Without ``folders`` those of this machine are refused, for visitors of a shared server.

        Raises:
            InvalidSettingError: A field that cannot work, or a folder where none is allowed.
            EncoderUnavailableError: If there is no such folder or repository.
            EncoderLoadError: If no stock class computes it, or the adapter is not plain LoRA.
        """
        source = request.source.strip()
        known = self.pool.registry.encoders.get(source)
        _require_request(request, source, known=known, folders=folders)
        adapter = Path(request.adapter).expanduser().resolve() if request.adapter else None
        if adapter is not None:
            from core.encoders.checkpoint import require_plain_lora  # imports torch

            require_plain_lora(adapter)
        local = folders and Path(source).expanduser().is_dir()
        if not known and not local and not _HUB_ID.fullmatch(source):
            raise EncoderUnavailableError(
                f"source: {source[:200]!r} is no folder here and no hub id. Give "
                f"{'a folder, ' if folders else ''}the id of a known encoder, a hub id like "
                "owner/name."
            )
        base = known or describe_checkpoint(
            source,
            family=request.family or Family.REFERENCE,
            label=request.label,
            revision=request.revision,
            hub=None if local else self.pool.hub,
            local=local,
        )
        label = request.label or base.label
        if not request.label and adapter is not None:
            label = f"{base.label} + {adapter.name}"[:MAX_LABEL_CHARS]
        elif not request.label and known:
            label = f"{base.label} (varied)"
        spec = replace(base, **request.stated, label=label, encoder_id=encoder_id_of(label))
        spec = spec if adapter is None else replace(spec, adapter=str(adapter))
        _require_rules(asdict(spec))
        too_long = [size for size in request.dimensions if not 1 <= size <= spec.dimension]
        if too_long:
            raise InvalidSettingError(
                f"dimensions: {too_long[0]} is outside 1 to {spec.dimension}, its own."
            )
        return spec

    def add(self, request: EncoderRequest, *, folders: bool = True) -> EncoderSpec:
        """Describe an encoder, keep it and register it; its weights are loaded later.

        Raises:
            InvalidSettingError: Besides what `describe` raises: if its name is taken.
        """
        spec = self.describe(request, folders=folders)
        if spec.encoder_id in self.pool.built_in:
            raise InvalidSettingError(
                f"label: there is an encoder {spec.encoder_id!r} already; give another label."
            )

        def grown(specs: tuple[EncoderSpec, ...]) -> tuple[EncoderSpec, ...]:
            if spec.encoder_id in {other.encoder_id for other in specs}:
                raise InvalidSettingError(
                    f"label: you added an encoder {spec.encoder_id!r} before; give another label, "
                    "or remove that one first."
                )
            if len(specs) >= MOST_ENCODERS:
                raise InvalidSettingError(
                    f"There are {MOST_ENCODERS} added encoders already; remove one first."
                )
            return (*specs, spec)

        self._change(grown)
        self.register()
        return spec

    def remove(self, encoder_id: str) -> EncoderSpec:
        """Forget an added encoder; files of its checkpoint and stored vectors stay.

        Raises:
            UnknownNameError: If it was not added.
        """
        specs = {spec.encoder_id: spec for spec in self.added()}
        if encoder_id not in specs:
            known = ", ".join(specs) or "none"
            raise UnknownNameError(f"There is no added encoder {encoder_id!r}. Added: {known}.")
        self._change(lambda every: tuple(spec for spec in every if spec.encoder_id != encoder_id))
        self._registered.add(encoder_id)
        self.register()
        return specs[encoder_id]

    def _change(self, change: Callable[[tuple[EncoderSpec, ...]], tuple[EncoderSpec, ...]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{self.path}.lock", timeout=_LOCK_SECONDS):
                text = specs_to_json(change(self.added()))
                specs_from_json(text, self.path)  # a file that cannot be read is never written
                write_whole(self.path, text)
        except Timeout as exc:
            raise EncoderLoadError(f"Another process is changing {self.path}; try again.") from exc
        except OSError as exc:
            raise EncoderLoadError(
                f"{self.path} cannot be written ({exc.strerror}). Free space or choose --data."
            ) from exc


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
    """Return the specs that `specs_to_json` wrote, every field checked.

    Raises:
        EncoderLoadError: Names the entry, the field and what belongs there.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise EncoderLoadError(
            f"{path} is not JSON ({exc}). Repair it, or move it away to start anew."
        ) from exc
    if not isinstance(stored, dict) or set(stored) != {"format", "encoders"}:
        raise EncoderLoadError(
            f"{path} has to hold the fields format and encoders; move it away to start anew."
        )
    if stored["format"] != _FORMAT:
        raise EncoderLoadError(
            f"{path}: format is {stored['format']!r}, this Bifocal reads {_FORMAT}. Update it."
        )
    if not isinstance(stored["encoders"], list) or len(stored["encoders"]) > MOST_ENCODERS:
        raise EncoderLoadError(f"{path}: encoders has to be a list of at most {MOST_ENCODERS}.")
    specs = tuple(
        _read_spec(entry, f"{path}: encoder {place}")
        for place, entry in enumerate(stored["encoders"], start=1)
    )
    if len({spec.encoder_id for spec in specs}) < len(specs):
        raise EncoderLoadError(f"{path}: two encoders have the same encoder_id; give one another.")
    return specs


def _read_spec(entry: object, where: str) -> EncoderSpec:
    if not isinstance(entry, dict):
        raise EncoderLoadError(f"{where} has to be an object; remove it.")
    strange = sorted(set(entry) - {field.name for field in fields(EncoderSpec)})
    if strange:
        raise EncoderLoadError(f"{where} has an unknown field {strange[0]!r}; remove it.")
    try:
        spec = _SPEC.validate_json(json.dumps(entry), strict=True)
    except ValidationError as exc:
        error = exc.errors()[0]
        name = str(error["loc"][0])
        if error["type"] == "missing":
            msg = f"{where} lacks the field {name}: add the encoder anew."
        else:
            wanted = (
                _RULES[name][1] if name in _RULES else error["msg"].removeprefix("Input should be ")
            )
            shown = repr(entry[name])[:_SHOWN_CHARS]
            msg = f"{where}: {name} is {shown}; it has to be {wanted}."
        raise EncoderLoadError(msg) from exc
    try:
        _require_rules(asdict(spec))
    except InvalidSettingError as exc:
        raise EncoderLoadError(f"{where}: {exc}") from exc
    return spec


def _require_rules(stated: dict[str, Any]) -> None:
    """Refuse the first field of a spec that cannot be."""
    for name, value in stated.items():
        holds, wanted = _RULES.get(name, (lambda _: True, ""))
        if not holds(value):
            shown = repr(str(value) if isinstance(value, str) else value)[:_SHOWN_CHARS]
            raise InvalidSettingError(f"{name} is {shown}; it has to be {wanted}.")


def _require_request(
    request: EncoderRequest, source: str, *, known: EncoderSpec | None, folders: bool
) -> None:
    """Refuse a request that cannot work with any files."""
    problems = {
        "source: name a folder, a hub id like owner/name, or a known encoder.": (
            not source or len(source) > MAX_PATH_CHARS
        ),
        "adapter: folders of this server are not offered; run Bifocal on your own machine.": (
            not folders and bool(request.adapter)
        ),
        "source: here only a hub id like owner/name can be added, no folder of the server.": (
            not folders and not _HUB_ID.fullmatch(source)
        ),
        "source: the bundled encoders cannot be varied or adapted; name another checkpoint.": (
            known is not None and known.is_bundled
        ),
    }
    for msg, wrong in problems.items():
        if wrong:
            raise InvalidSettingError(msg)
    _require_rules({**request.stated, **({"label": request.label} if request.label else {})})
