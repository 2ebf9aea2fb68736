"""Encoders in words: those in use, their options, and the result of adding one."""

from __future__ import annotations

from collections.abc import Sequence

from core.encoders.catalogue import shown_checkpoint
from core.encoders.spec import EncoderSpec
from core.render import Html, render
from core.render.systems import family_kind
from core.settings import WorkspaceSettings
from demo import texts


def in_use(columns: Sequence[EncoderSpec], settings: WorkspaceSettings) -> Html:
    """Return a line per column: its family, its name, and its options."""
    return render(
        "encoders_in_use",
        columns=[
            (spec, family_kind(spec.family), settings.choice(spec.encoder_id).words)
            for spec in columns
        ],
    )


def described(spec: EncoderSpec) -> Html:
    """Return the facts of an encoder that was added."""
    facts = (
        shown_checkpoint(spec),
        spec.architecture,
        spec.attention,
        spec.pooling,
        f"{spec.max_tokens:,} tokens",
        f"{spec.dimension:,} numbers",
        f"licence {spec.licence}",
    )
    return render("encoder_added", spec=spec, added=texts.ENCODER_ADDED, facts=facts)


def offered(spec: EncoderSpec) -> Html:
    """Return why some options of an encoder are not there."""
    missing = []
    if len(spec.outputs) == 1:
        missing.append(texts.NO_OUTPUTS)
    if not spec.matryoshka_dimensions:
        missing.append(texts.NO_DIMENSIONS)
    if not spec.raw:
        missing.append(texts.NO_CENTRING)
    return render("how", words=" ".join(missing))
