"""A file on its way into the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import LimitExceededError, PdfReadError, UsageError
from core.settings import MEBIBYTE

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to add: its bytes, or where they are.

    Attributes:
        name: As the user has it; only a cleaned form is kept and shown.
        data: The bytes; or None when ``path`` is given.
        path: Read when its turn comes, so that many large files never lie in memory together.
        password: For an encrypted PDF. Kept in memory only, never on disk.
    """

    name: str
    data: bytes | None = None
    path: Path | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.path is None):
            msg = f"{self.name!r}: give either the bytes of the file or its path."
            raise UsageError(msg)

    def read(self, *, limit_bytes: int) -> bytes:
        """Return the bytes; a path that is too large is not read at all.

        Raises:
            LimitExceededError: If the file is larger than the limit.
            PdfReadError: If it cannot be read from the disk.
        """
        if self.data is not None:
            return self.data
        if self.path is None:  # the constructor rules it out; said for the type checker
            return b""
        try:
            size = self.path.stat().st_size
            if size <= limit_bytes:
                return self.path.read_bytes()
        except OSError as exc:
            msg = f'"{self.name}" could not be read ({exc.strerror or exc}). Add it again.'
            raise PdfReadError(msg) from exc
        msg = (
            f'"{self.name}" is too large: {size / MEBIBYTE:,.0f} MiB; files up to '
            f"{limit_bytes / MEBIBYTE:,.0f} MiB are read. Split it into smaller files."
        )
        raise LimitExceededError(msg)
