"""What may be changed about an encoder's embeddings, read from its spec; needs no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import InvalidSettingError
from core.settings import EncoderChoice, OutputType

if TYPE_CHECKING:
    from core.encoders.protocol import Encoder
    from core.encoders.spec import EncoderSpec

_FORM = "ID:output=int8, ID:dimension=256, ID:centred or ID:default"


def dimensions_offered(spec: EncoderSpec) -> tuple[int, ...]:
    """Return the shorter lengths that an encoder's embedding may be cut to, ascending."""
    return tuple(sorted(size for size in spec.matryoshka_dimensions if size < spec.dimension))


def require_offered(spec: EncoderSpec, choice: EncoderChoice) -> None:
    """Refuse what an encoder was not made for.

    Raises:
        InvalidSettingError: Says what it offers.
    """
    if choice.output not in spec.outputs:
        offered = ", ".join(output.value for output in spec.outputs)
        msg = (
            f"{spec.label} has no {choice.output.value} output: its recipe gives {offered}. Only "
            "encoders trained for a quantised output keep their quality in it."
        )
        raise InvalidSettingError(msg)
    dimensions = dimensions_offered(spec)
    if choice.dimension and choice.dimension not in (*dimensions, spec.dimension):
        if not dimensions:
            msg = (
                f"{spec.label} was not trained for shorter embeddings; keep its {spec.dimension:,} "
                "dimensions."
            )
        else:
            sizes = ", ".join(f"{size}" for size in dimensions)
            msg = (
                f"{spec.label} cannot be cut to {choice.dimension} dimensions; choose from {sizes}."
            )
        raise InvalidSettingError(msg)
    if choice.centred and not spec.raw:
        msg = (
            f"{spec.label} was trained for retrieval and is not mean-centred; that is for raw "
            "language models, whose vectors all point much the same way."
        )
        raise InvalidSettingError(msg)


def choice_of(encoder: Encoder) -> EncoderChoice:
    """Return what was chosen for an encoder that is in memory; the defaults for a fake one."""
    spec = encoder.spec
    options = getattr(encoder, "options", None)
    if options is None:
        return EncoderChoice(spec.encoder_id)
    return EncoderChoice(
        spec.encoder_id,
        output=options.output,
        dimension=options.dimension,
        centred=options.centre is not None,
    )


def labelled(spec: EncoderSpec, choice: EncoderChoice) -> str:
    """Return an encoder's name with what was chosen for it: ``GPT-2 small (mean-centred)``."""
    return f"{spec.label} ({choice.words})" if choice.words else spec.label


def parse_choice(text: str, before: EncoderChoice | None = None) -> EncoderChoice:
    """Return the choice that ``ID:name=value,name`` means, as the command line takes it.

    Args:
        text: For instance ``pplx-embed-0.6b:output=int8,dimension=256`` or ``gpt2:centred``.
        before: What it changes; the defaults unless given.

    Raises:
        InvalidSettingError: If it is not of that form.
    """
    # The id may hold colons of its own: a name of an option never does.
    encoder_id, colon, said = text.rpartition(":")
    if not colon or not encoder_id or not said:
        msg = f"The encoder option {text!r} is not understood; write {_FORM}."
        raise InvalidSettingError(msg)
    choice = before or EncoderChoice(encoder_id)
    for part in said.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name == "default" and not value:
            choice = EncoderChoice(encoder_id)
        elif name == "centred":
            choice = replace(choice, centred=value.lower() not in {"no", "off", "false", "0"})
        elif name == "dimension" and value.isdigit():
            choice = replace(choice, dimension=int(value))
        elif name == "output" and value in set(OutputType):
            choice = replace(choice, output=OutputType(value))
        else:
            msg = f"The encoder option {part.strip()!r} in {text!r} is not known; write {_FORM}."
            raise InvalidSettingError(msg)
    return choice
