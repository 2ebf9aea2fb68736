"""The hub's refusals as sentences that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core.errors import EncoderUnavailableError

if TYPE_CHECKING:
    from core.encoders.spec import EncoderSpec

# the base class of the HTTP library that huggingface_hub uses, which changed over its versions
TRANSPORT_ERROR: type[BaseException] = HfHubHTTPError.__mro__[1]


def require_online(spec: EncoderSpec, *, offline: bool) -> None:
    """Raise, with what to do, when no hub may be asked."""
    if not (offline or constants.HF_HUB_OFFLINE):
        return
    switch = "Bifocal was started so" if offline else "HF_HUB_OFFLINE is set"
    msg = (
        f"{spec.label} ({spec.checkpoint}) is not on this machine and Bifocal is offline "
        f"({switch}). Start it once without that to fetch it, point HF_HOME to a cache that holds "
        "it, or give a folder."
    )
    raise EncoderUnavailableError(msg)


class explained:  # noqa: N801 (reads as a phrase: with explained(spec))
    """Turn the hub library's errors into sentences that say what to do."""

    def __init__(
        self, label: str, checkpoint: str, revision: str, endpoint: str | None = None
    ) -> None:
        self._label, self._checkpoint, self._revision = label, checkpoint, revision
        self._hub = endpoint or constants.ENDPOINT

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise what the user can act on."""
        name = f"{self._label} ({self._checkpoint})"
        if isinstance(error, GatedRepoError):
            msg = (
                f"{name} is gated. Open {self._hub}/{self._checkpoint} in a browser, accept its "
                "terms, then log in on this machine with `hf auth login` (or set HF_TOKEN) and try "
                "again."
            )
        elif isinstance(error, RevisionNotFoundError):
            msg = (
                f"{name} no longer has revision {self._revision}. Update Bifocal; where the commit "
                "is your own first fetch's, `python -m core fetch PAIR --repin` takes the present "
                "one."
            )
        elif isinstance(error, RepositoryNotFoundError):
            msg = (
                f"{name} is not on the hub, or is private. Check the id at {self._hub}; for a "
                "private one log in with `hf auth login`."
            )
        elif isinstance(error, (TRANSPORT_ERROR, LocalEntryNotFoundError, OSError)):
            msg = (
                f"{name} cannot be fetched from {self._hub}: {_first_line(error)}. Check the "
                "connection (HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 asks none) and try "
                "again; the download goes on where it stopped."
            )
        elif isinstance(error, HFValidationError):
            msg = f"{self._checkpoint!r} is no hub id: {error}. It looks like owner/name."
        else:
            return
        raise EncoderUnavailableError(msg) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")
