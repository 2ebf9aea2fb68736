"""The sidebar's Encoders part: columns, options of their embeddings, and your own encoders."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.encoders.catalogue import MAX_LABEL_CHARS, MAX_PROMPT_CHARS, EncoderRequest
from core.encoders.spec import Attention, Pooling
from core.errors import CoreError, InvalidSettingError
from core.records import Family
from core.settings import MAX_FURTHER_ENCODERS, OutputType, WorkspaceSettings
from demo import texts
from demo.choosing import Choosing, EncodersScreen
from demo.fetching import Fetching
from demo.presenters import encoders, frame, library
from demo.services import Services
from demo.toolkit import gr
from demo.views.sidebar import Sidebar, screen_outputs, screen_values
from demo.views.wiring import PRIVATE, Shared, html_part

OPEN = ""  # a choice that leaves it to the checkpoint's files


@dataclass(frozen=True, slots=True)
class OwnEncoder:
    """The form for an encoder of one's own, in the order of its fields."""

    source: gr.Textbox
    family: gr.Radio
    label: gr.Textbox
    adapter: gr.Textbox
    attention: gr.Dropdown
    pooling: gr.Dropdown
    query_prompt: gr.Textbox
    passage_prompt: gr.Textbox
    max_tokens: gr.Number
    dimensions: gr.Textbox
    add: gr.Button


@dataclass(frozen=True, slots=True)
class EncodersPart:
    """The part's components."""

    box: gr.Accordion
    said: gr.HTML
    in_use: gr.HTML
    first: gr.Dropdown
    second: gr.Dropdown
    also: gr.Dropdown
    use: gr.Button
    confirmed: gr.State
    which: gr.Dropdown
    output: gr.Radio
    dimension: gr.Dropdown
    centred: gr.Checkbox
    why: gr.HTML
    keep: gr.Button
    own: OwnEncoder | None
    added: gr.Dropdown
    remove: gr.Button


def build(services: Services) -> EncodersPart:
    """Place the part, below the sidebar's others."""
    with gr.Accordion(texts.ENCODERS, open=False, elem_id="bf-encoders") as box:
        said = html_part("bf-encoders-said")
        in_use = html_part("bf-encoders-use")
        first = gr.Dropdown([], label="First encoder", elem_id="bf-encoder-first")
        second = gr.Dropdown([], label="Second encoder", elem_id="bf-encoder-second")
        also = gr.Dropdown(
            [],
            label=f"Further columns, at most {MAX_FURTHER_ENCODERS}",
            multiselect=True,
            max_choices=MAX_FURTHER_ENCODERS,
            elem_id="bf-also",
        )
        use = gr.Button("Use these columns", size="sm", elem_id="bf-use")
        confirmed = gr.State("")
        with gr.Accordion("Options of an encoder", open=False, elem_id="bf-options"):
            which = gr.Dropdown([], label="Of", elem_id="bf-option-of")
            output = gr.Radio([OutputType.FLOAT.value], label="Output", elem_id="bf-output")
            dimension = gr.Dropdown([], label="Dimensions", elem_id="bf-dimension")
            centred = gr.Checkbox(label="Subtract this library's mean", elem_id="bf-centred")
            why = html_part("bf-options-why")
            keep = gr.Button("Keep", size="sm", elem_id="bf-options-keep")
        with gr.Accordion("Add an encoder of your own", open=False, elem_id="bf-own"):
            own = _form(services) if services.adding else None
            if own is None:
                html_part("bf-own-closed", frame.hint(texts.ENCODERS_CLOSED))
        offered = not services.hosted
        with gr.Accordion("Remove an encoder", open=False, elem_id="bf-unown", visible=offered):
            added = gr.Dropdown([], label="Added by you", elem_id="bf-added")
            remove = gr.Button("Remove", size="sm", elem_id="bf-added-remove")
    return EncodersPart(
        box, said, in_use, first, second, also, use, confirmed, which, output, dimension, centred,
        why, keep, own, added, remove,
    )  # fmt: skip


def _form(services: Services) -> OwnEncoder:
    folders = not services.hosted
    html_part("bf-own-how", frame.hint(texts.OWN_ENCODER if folders else texts.OWN_ENCODER_HOSTED))
    families = (Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE)
    return OwnEncoder(
        source=gr.Textbox(
            label="Folder or hub id" if folders else "Hub id",
            placeholder="owner/name",
            max_length=4096,
            elem_id="bf-own-source",
        ),
        family=gr.Radio(
            [family.value for family in families],
            value=None,
            label="Family (none: reference, or a known encoder's own)",
            elem_id="bf-own-family",
        ),
        label=gr.Textbox(label="Name (its own unless given)", max_length=MAX_LABEL_CHARS),
        adapter=gr.Textbox(
            label="LoRA adapter folder (optional)", max_length=4096, visible=folders
        ),
        attention=gr.Dropdown(
            [("as its family and files say", OPEN)]
            + [(kind.value, kind.value) for kind in (Attention.BIDIRECTIONAL, Attention.CAUSAL)],
            value=OPEN,
            label="Attention",
        ),
        pooling=gr.Dropdown(
            [("as its files say, else mean", OPEN)]
            + [
                (kind.value, kind.value)
                for kind in (Pooling.MEAN, Pooling.LAST_TOKEN, Pooling.FIRST_TOKEN)
            ],
            value=OPEN,
            label="Pooling",
        ),
        query_prompt=gr.Textbox(
            label="Query prompt (empty: as its files say)", max_length=MAX_PROMPT_CHARS
        ),
        passage_prompt=gr.Textbox(
            label="Passage prompt (empty: as its files say)", max_length=MAX_PROMPT_CHARS
        ),
        max_tokens=gr.Number(label="Token limit (0: as its files say)", value=0, precision=0),
        dimensions=gr.Textbox(
            label="Shorter lengths it was trained for", placeholder="64, 128, 256", max_length=200
        ),
        add=gr.Button("Add", size="sm", elem_id="bf-own-add"),
    )


def wire(  # noqa: C901  closures over the components, wired at the end
    part: EncodersPart,
    shared: Shared,
    side: Sidebar,
    examples: gr.HTML,
    offer: gr.HTML,
    choosing: Choosing,
    watched: Callable[..., Any],
) -> None:
    """Connect the part to its handlers."""
    handlers = shared.handlers
    fetching = Fetching(handlers)
    screen = screen_outputs(side, shared, examples)
    idle = gr.update(visible=False)
    shown = [part.in_use, part.first, part.second, part.also, part.which, part.added]
    still = [gr.skip()] * (3 + len(screen))  # the offer, progress, Stop, the library's parts
    rest = [*still, *([gr.skip()] * len(shown))]

    def refreshed(visitor: Any, library_id: str, which: str | None = None) -> list[Any]:  # noqa: ANN401
        try:
            return _values(choosing.screen(visitor, library_id), which)
        except CoreError:
            return [gr.skip()] * len(shown)

    def kept(
        visitor: Any,  # noqa: ANN401
        library_id: str,
        settings: WorkspaceSettings,
        which: str | None,
    ) -> Iterator[Any]:
        """Keep settings, show the work that they need, and then everything as it is."""
        same = [gr.skip()] * len(shown)
        if handlers.indexing.change_settings(visitor, library_id, settings) is not None:
            for row in watched(visitor, library_id):
                yield "", "", "", *row, *same
        else:
            now = handlers.libraries.screen(visitor, library_id)
            yield "", "", "", library.notice(texts.SETTINGS_KEPT), idle, *screen_values(now), *same
        yield "", "", *still, *refreshed(visitor, library_id, which)

    def use(
        visitor: Any,  # noqa: ANN401
        library_id: str,
        first: str,
        second: str,
        also: list[str] | None,
        confirmed: str,
        which: str | None,
    ) -> Iterator[tuple[Any, ...]]:
        """Choose columns; downloads are announced first."""
        columns = tuple(also or ())
        try:
            settings = choosing.settings(visitor, library_id, first or "", second or "", columns)
            cost = choosing.unfetched(visitor, settings.also)
            if cost and cost != confirmed:
                yield library.trouble(cost), cost, *rest
                return
            html = fetching.shown(visitor, library_id, settings.pair_id)
            if html is not None:
                yield library.trouble(texts.FETCH_FIRST), "", html, *rest[1:]
                return
            yield from kept(visitor, library_id, settings, which)
        except CoreError as error:
            yield library.trouble(str(error)), "", *rest

    def look(visitor: Any, library_id: str, encoder_id: str | None) -> tuple[Any, ...]:  # noqa: ANN401
        if not encoder_id:
            return gr.skip(), gr.skip(), gr.skip(), ""
        try:
            found = choosing.options(visitor, library_id, encoder_id)
        except CoreError as error:
            return gr.skip(), gr.skip(), gr.skip(), library.trouble(str(error))
        return (
            gr.update(choices=list(found.outputs), value=found.choice.output.value),
            gr.update(choices=list(found.dimensions), value=found.choice.dimension),
            gr.update(value=found.choice.centred, interactive=found.can_centre),
            found.words,
        )

    def keep(
        visitor: Any,  # noqa: ANN401
        library_id: str,
        encoder_id: str | None,
        output: str,
        dimension: int | None,
        centred: bool,  # noqa: FBT001  a checkbox's value
    ) -> Iterator[tuple[Any, ...]]:
        try:
            if not encoder_id:
                raise InvalidSettingError(texts.WHICH_ENCODER)
            settings = choosing.with_choice(
                visitor,
                library_id,
                encoder_id,
                output=output or OutputType.FLOAT.value,
                dimension=int(dimension or 0),
                centred=bool(centred),
            )
            yield from kept(visitor, library_id, settings, encoder_id)
        except CoreError as error:
            yield library.trouble(str(error)), "", *rest

    def add(visitor: Any, library_id: str, *fields: Any) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            spec = choosing.add(visitor, request_of(*fields))
        except CoreError as error:
            return library.trouble(str(error)), *([gr.skip()] * len(shown))
        return encoders.described(spec), *_values(choosing.screen(visitor, library_id))

    def remove(visitor: Any, library_id: str, encoder_id: str | None) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            if not encoder_id:
                raise InvalidSettingError(texts.WHICH_ENCODER)
            choosing.remove(visitor, encoder_id)
        except CoreError as error:
            return library.trouble(str(error)), *([gr.skip()] * len(shown))
        return library.notice(texts.ENCODER_REMOVED), *_values(choosing.screen(visitor, library_id))

    place = [shared.visitor, shared.library]
    state = [part.said, *shown]
    outputs = [part.said, part.confirmed, offer, side.progress, side.stop, *screen, *shown]
    options = [part.output, part.dimension, part.centred, part.why]
    long: dict[str, Any] = {**PRIVATE, "concurrency_limit": 64}
    gr.on(
        [part.box.expand, shared.library.change, shared.pair.change],
        refreshed,
        [*place, part.which],
        shown,
        **PRIVATE,
    ).then(look, [*place, part.which], options, **PRIVATE)
    part.use.click(
        use,
        [*place, part.first, part.second, part.also, part.confirmed, part.which],
        outputs,
        **long,
    ).then(look, [*place, part.which], options, **PRIVATE)
    part.which.input(look, [*place, part.which], options, **PRIVATE)
    part.keep.click(
        keep, [*place, part.which, part.output, part.dimension, part.centred], outputs, **long
    )
    if part.own is not None:
        form = part.own
        part.own.add.click(
            add,
            [
                *place, form.source, form.family, form.label, form.adapter, form.attention,
                form.pooling, form.query_prompt, form.passage_prompt, form.max_tokens,
                form.dimensions,
            ],
            state,
            **PRIVATE,
        )  # fmt: skip
    part.remove.click(remove, [*place, part.added], state, **PRIVATE)


def _values(screen: EncodersScreen, which: str | None = None) -> list[Any]:
    """Values of the part, in the order of its outputs.

    Args:
        screen: Of the library.
        which: Encoder whose options are on show; it stays if it is still a column.
    """
    known = [tuple(choice) for choice in screen.known]
    columns = [tuple(choice) for choice in screen.columns]
    ids = [encoder_id for _, encoder_id in screen.columns]
    trouble = library.trouble(screen.problem) if screen.problem else ""
    return [
        trouble + screen.in_use,
        gr.update(choices=known, value=screen.first or None),
        gr.update(choices=known, value=screen.second or None),
        gr.update(choices=known, value=list(screen.also)),
        gr.update(choices=columns, value=which if which in ids else next(iter(ids), None)),
        gr.update(choices=[tuple(choice) for choice in screen.added], value=None),
    ]


def request_of(
    source: str,
    family: str | None,
    label: str,
    adapter: str,
    attention: str,
    pooling: str,
    query_prompt: str,
    passage_prompt: str,
    max_tokens: float | None,
    dimensions: str,
) -> EncoderRequest:
    """Request of the form; an empty field leaves the choice to the checkpoint's files.

    Raises:
        InvalidSettingError: A value that is not one of those offered.
    """
    sizes = [part.strip() for part in (dimensions or "").split(",") if part.strip()]
    if not all(size.isdigit() and len(size) < 6 for size in sizes):
        raise InvalidSettingError("dimensions: write whole numbers with commas: 64, 128, 256.")
    try:
        return EncoderRequest(
            source=(source or "").strip(),
            family=Family(family) if family else None,
            label=(label or "").strip(),
            adapter=(adapter or "").strip(),
            attention=Attention(attention) if attention else None,
            pooling=Pooling(pooling) if pooling else None,
            query_prompt=query_prompt or None,
            passage_prompt=passage_prompt or None,
            max_tokens=int(max_tokens or 0),
            dimensions=tuple(int(size) for size in sizes),
        )
    except ValueError as exc:
        raise InvalidSettingError(f"{exc}; choose one of those offered.") from exc
