"""The JSON files of a checkpoint folder; needs no torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from core.errors import EncoderLoadError, EncoderUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE = "config.json"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        EncoderUnavailableError: If the file is not there.
        EncoderLoadError: If it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        msg = f"{path} cannot be read. A checkpoint folder needs it; download it again."
        raise EncoderUnavailableError(msg) from exc
    except ValueError as exc:
        msg = f"{path} is not JSON: {exc}. Download the checkpoint again."
        raise EncoderLoadError(msg) from exc
    if not isinstance(content, dict):
        msg = f"{path} is not a JSON object. Download the checkpoint again."
        raise EncoderLoadError(msg)
    return content
