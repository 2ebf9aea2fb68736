"""The commits that checkpoints without a stated one were first fetched at, so that they stay.

A hub's "main" moves. The first time such a checkpoint is wanted its commit is asked for and written
down here; from then on that commit and no other is fetched and loaded, until its user asks for the
present one (`python -m core fetch PAIR --repin`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from core.encoders.spec import EncoderSpec
from core.errors import EncoderLoadError

PINS_FILE = "pins.json"  # in the data folder
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOCK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Pin:
    """One checkpoint's commit."""

    revision: str  # 40 hexadecimal digits
    since: str  # day it was written down, ISO 8601, UTC


class Pins:
    """A small JSON file of commits by hub id; written whole, under a lock.

    Args:
        path: The file; made when the first commit is written down.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, checkpoint: str) -> Pin | None:
        """Return a checkpoint's commit, None when none was written down.

        Raises:
            EncoderLoadError: If the file is damaged; guessing would move checkpoints silently.
        """
        return self._read().get(checkpoint)

    def applied(self, spec: EncoderSpec) -> EncoderSpec:
        """Return a spec at its commit where one is written down, else as it is."""
        if spec.is_pinned or not spec.from_hub:
            return spec
        pin = self.get(spec.checkpoint)
        return spec if pin is None else _at(spec, pin)

    def pinned(self, spec: EncoderSpec, resolve: Callable[[], str]) -> EncoderSpec:
        """Return a spec at its commit, writing that down when it is the first time.

        Args:
            spec: Any; one that states its commit, or is not from the hub, comes back as it is.
            resolve: Finds the commit; called only when none is written down.

        Raises:
            EncoderLoadError: If what it finds is no commit, or the file is damaged.
        """
        found = self.applied(spec)
        if found is not spec or spec.is_pinned or not spec.from_hub:
            return found
        revision = resolve()
        with self._locked():
            pins = self._read()
            # Another process may have been first; its commit stands.
            if spec.checkpoint not in pins:
                self._write({**pins, spec.checkpoint: self._new(spec.checkpoint, revision)})
            return _at(spec, self._read()[spec.checkpoint])

    def move(self, checkpoint: str, revision: str) -> Pin:
        """Write another commit down, because the user asked for it."""
        with self._locked():
            pin = self._new(checkpoint, revision)
            self._write({**self._read(), checkpoint: pin})
            return pin

    def _new(self, checkpoint: str, revision: str) -> Pin:
        if not _COMMIT.fullmatch(revision):
            raise EncoderLoadError(
                f"The hub names {revision[:60]!r} as the commit of {checkpoint}; that is none."
            )
        return Pin(revision, datetime.now(UTC).date().isoformat())

    def _read(self) -> dict[str, Pin]:
        try:
            fields = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: self._entry(entry) for name, entry in fields.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise EncoderLoadError(
                f"{self.path} is damaged ({exc}). It holds the commits that checkpoints were first "
                "fetched at: put it right, or delete it to take the hub's present ones."
            ) from exc

    @staticmethod
    def _entry(fields: dict[str, str]) -> Pin:
        if not _COMMIT.fullmatch(fields["revision"]):
            raise ValueError(f"{fields['revision']!r} is no commit")
        return Pin(fields["revision"], str(fields["since"]))

    def _write(self, pins: dict[str, Pin]) -> None:
        text = json.dumps({name: asdict(pins[name]) for name in sorted(pins)}, indent=1) + "\n"
        partial = self.path.with_name(self.path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_name(self.path.name + ".lock"), timeout=_LOCK_SECONDS)


def _at(spec: EncoderSpec, pin: Pin) -> EncoderSpec:
    origin = f"the hub's when first fetched, {pin.since}"
    return replace(spec, revision=pin.revision, revision_origin=origin)
