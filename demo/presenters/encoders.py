"""Encoders in words: what is in use, what was chosen for it, and what adding one came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.encoders.catalogue import shown_checkpoint
from core.render import escape, join
from core.render.systems import symbol
from core.words import DOT, shortened
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.spec import EncoderSpec
    from core.settings import WorkspaceSettings

_LABEL_CHARS = 48


def in_use(columns: Sequence[EncoderSpec], settings: WorkspaceSettings) -> str:
    """Return a line per column: its family, its name, and what was chosen for it."""
    rows = join(_column(spec, settings.choice(spec.encoder_id).words) for spec in columns)
    return f'<div class="bf"><ul class="chosen">{rows}</ul></div>'


def _column(spec: EncoderSpec, words: str) -> str:
    chosen = f'<span class="meta">{escape(words)}</span>' if words else ""
    return (
        f'<li>{symbol(spec.family)}<bdi title="{escape(spec.label)}">'
        f"{escape(shortened(spec.label, _LABEL_CHARS))}</bdi>{chosen}</li>"
    )


def described(spec: EncoderSpec) -> str:
    """Return what became of an encoder that was added."""
    facts = DOT.join(
        (
            escape(shown_checkpoint(spec)),
            escape(spec.architecture),
            escape(spec.attention),
            escape(spec.pooling),
            f"{spec.max_tokens:,} tokens",
            f"{spec.dimension:,} numbers",
            f"licence {escape(spec.licence)}",
        )
    )
    return (
        f'<div class="bf"><p class="notice" role="status"><bdi>{escape(spec.label)}</bdi> '
        f'{escape(texts.ENCODER_ADDED)}</p><p class="meta">{facts}</p></div>'
    )


def offered(spec: EncoderSpec) -> str:
    """Return why some options of an encoder are not there."""
    missing = []
    if len(spec.outputs) == 1:
        missing.append(texts.NO_OUTPUTS)
    if not spec.matryoshka_dimensions:
        missing.append(texts.NO_DIMENSIONS)
    if not spec.raw:
        missing.append(texts.NO_CENTRING)
    words = " ".join(missing)
    return f'<div class="bf"><p class="how">{escape(words)}</p></div>' if words else ""
