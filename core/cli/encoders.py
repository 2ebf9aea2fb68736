"""Commands about encoders: list all, add your own, remove it, choose for a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer
from typer import Argument, Option, echo

from core.cli.output import (
    ConsoleMonitor,
    DeviceOption,
    EncoderOption,
    JsonOption,
    OfflineOption,
    WorkspaceOption,
    answer,
    catalogue_of,
    cli,
    make_pool,
    number_list,
    opened,
    plain,
    print_json,
)
from core.encoders.catalogue import EncoderRequest
from core.encoders.spec import Attention, EncoderSpec, Pooling, parse_choice, require_offered
from core.errors import UnknownNameError
from core.records import Family
from core.settings import EncoderChoice, WorkspaceSettings

group = typer.Typer(
    help="Encoders: list, add your own, remove, choose.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
cli.add_typer(group, name="encoders")


@group.command("list")
def list_encoders(*, json: JsonOption = False) -> None:
    """List every encoder: family, checkpoint, options, and the ones you added."""
    pool = make_pool()
    added = {spec.encoder_id for spec in catalogue_of(pool).added()}
    specs = tuple(pool.registry.encoders.values())
    answer(
        [{"spec": spec, "added": spec.encoder_id in added} for spec in specs],
        (
            f"{spec.encoder_id}{'  (added)' if spec.encoder_id in added else ''}\n  {facts(spec)}"
            for spec in specs
        ),
        json=json,
    )


def facts(spec: EncoderSpec) -> str:
    """Return one line about an encoder."""
    parts = [
        f"{plain(spec.label)}: {spec.family}, {plain(spec.checkpoint)}",
        f"{spec.attention}, {spec.pooling}, {spec.max_tokens:,} tokens, {spec.dimension:,} numbers",
    ]
    if len(spec.outputs) > 1:
        parts.append(f"outputs {', '.join(spec.outputs)}")
    if spec.shorter_dimensions:
        parts.append(f"dimensions {', '.join(str(size) for size in spec.shorter_dimensions)}")
    if spec.raw:
        parts.append("raw language model: can be mean-centred")
    if spec.late_chunking:
        parts.append("late chunking")
    if spec.adapter:
        parts.append(f"adapter {plain(spec.adapter)}")
    return "; ".join(parts)


@group.command()
def add(
    source: Annotated[str, Argument(help="A folder, a hub id, or a known encoder's id to vary.")],
    *,
    family: Annotated[Family | None, Option(help="diffusion, autoregressive or reference.")] = None,
    label: Annotated[str, Option(help="Name for people; the id is made of it.")] = "",
    adapter: Annotated[str, Option(help="Folder of a PEFT LoRA adapter to merge.")] = "",
    attention: Annotated[Attention | None, Option(help="How it attends.")] = None,
    pooling: Annotated[Pooling | None, Option(help="How it pools.")] = None,
    query_prompt: Annotated[str | None, Option(help="Prefix of queries.")] = None,
    passage_prompt: Annotated[str | None, Option(help="Prefix of passages.")] = None,
    max_tokens: Annotated[int, Option(help="Its limit; 0: as its files say.")] = 0,
    revision: Annotated[str, Option(help="Commit on the hub.")] = "",
    dimensions: Annotated[str, Option(help="Shorter lengths it has: 256,64.")] = "",
    end_token: Annotated[
        int, Option(help="Id that closes every text; -1: as the source has it.")
    ] = -1,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Add an encoder of your own; the page and every command offer it from then on."""
    pool = make_pool(offline=offline)
    spec = catalogue_of(pool).add(
        EncoderRequest(
            source=source,
            family=family,
            label=label,
            adapter=adapter,
            attention=attention,
            pooling=pooling,
            query_prompt=query_prompt,
            passage_prompt=passage_prompt,
            max_tokens=max_tokens,
            revision=revision,
            dimensions=number_list(dimensions, option="--dimensions"),
            end_token=None if end_token < 0 else end_token,
        )
    )
    answer(spec, [f"{spec.encoder_id} was added.", f"  {facts(spec)}"], json=json)


@group.command()
def remove(encoder_id: Annotated[str, Argument(help="As `encoders list` has it.")]) -> None:
    """Remove an encoder that you added; its files and stored vectors stay."""
    catalogue_of(make_pool()).remove(encoder_id)
    echo(f"{encoder_id} was removed.")


@group.command()
def use(
    workspace: WorkspaceOption,
    *,
    pair: Annotated[str, Option(help="Pair id, or A+B of any two encoders.")] = "",
    also: Annotated[list[str] | None, Option(help="Further columns; 'none' for none.")] = None,
    encoder_option: EncoderOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Choose a workspace's encoders and their options, and embed the passages that they lack."""
    with ConsoleMonitor() as monitor, opened(workspace, device=device, offline=offline) as library:
        after = chosen(library.settings, pair=pair, also=also, options=encoder_option)
        if after != library.settings:
            library.change_settings(after, monitor=monitor)
        kept, encoders = library.settings, library.encoder_status()
    if json:
        print_json({"settings": kept, "columns": encoders})
        return
    for encoder in encoders:
        problem = f": {plain(encoder.problem)}" if encoder.problem else ""
        echo(
            f"{encoder.system_id}  {plain(encoder.label)}  {encoder.passages_embedded:,} of "
            f"{encoder.passages:,} passages embedded{problem}"
        )


def chosen(
    before: WorkspaceSettings,
    *,
    pair: str = "",
    also: list[str] | None = None,
    options: list[str] | None = None,
) -> WorkspaceSettings:
    """Settings with the command line's choices; "" and None leave a part as it is.

    Raises:
        InvalidSettingError: If it cannot be understood.
    """
    columns = before.also if also is None else tuple(name for name in also if name != "none")
    after = replace(before, pair_id=pair or before.pair_id, also=columns)
    for text in options or ():
        encoder_id = text.rpartition(":")[0]
        after = after.with_choice(parse_choice(text, after.choice(encoder_id)))
    return after


def choices_of(options: list[str] | None, specs: Sequence[EncoderSpec]) -> dict[str, EncoderChoice]:
    """Choices by encoder id for a run without a workspace.

    Raises:
        InvalidSettingError: If it cannot be understood, or an encoder does not offer it.
        UnknownNameError: If no encoder of the run has that id.
    """
    known = {spec.encoder_id: spec for spec in specs}
    found: dict[str, EncoderChoice] = {}
    for text in options or ():
        encoder_id = text.rpartition(":")[0]
        choice = parse_choice(text, found.get(encoder_id))
        if encoder_id not in known:
            raise UnknownNameError(
                f"There is no encoder {encoder_id!r} in this run: {', '.join(known)}."
            )
        require_offered(known[encoder_id], choice)
        found[encoder_id] = choice
    return found
