"""Views and library on the left, work under way above every view, and the Settings page."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import CoreError
from core.records import Unit
from core.settings import CHUNK_TOKENS_RANGE, K_RANGE, WorkspaceSettings
from demo import texts
from demo.indexing import settings_from
from demo.presenters import frame, library
from demo.toolkit import gr
from demo.views.compare import empty
from demo.views.wiring import PRIVATE, Shared, event_text, html_part

if TYPE_CHECKING:
    from demo.libraries import LibraryScreen


IN_LIBRARY_JS = "(chosen) => { window.bifocal && window.bifocal.inLibrary(chosen); return chosen; }"
SURE_JS = (
    "(visitor, library) => [visitor, library, "
    "confirm('Delete this library with everything in it? This cannot be undone.')]"
)


@dataclass(frozen=True, slots=True)
class Sidebar:
    """The components that show a library and its settings, for wiring."""

    drop: gr.File
    folder: gr.UploadButton
    library: gr.Radio
    pair: gr.Radio
    new_name: gr.Textbox
    new_library: gr.Button
    delete: gr.Button
    progress: gr.HTML
    stop: gr.Button
    notice: gr.HTML
    documents: gr.HTML
    k: gr.Slider
    unit: gr.Radio
    chunk: gr.Slider
    overlap: gr.Slider
    instruction: gr.Textbox
    max_tokens: gr.Number
    own_limits: gr.Checkbox
    apply: gr.Button
    saved: gr.HTML


@dataclass(frozen=True, slots=True)
class Work:
    """The running job: progress, Stop, and its outcome."""

    progress: gr.HTML
    stop: gr.Button
    notice: gr.HTML


def build() -> tuple[gr.File, gr.HTML]:
    """Place the sidebar's parts: views, the library's documents, and how files get in."""
    html_part("bf-brand", frame.brand())
    html_part("bf-nav", frame.navigation())
    documents = html_part("bf-documents")
    html_part("bf-add", frame.add_files())
    # Unseen: the page's script hands it what is dropped anywhere, or chosen by the button above.
    drop = gr.File(
        file_count="multiple", type="filepath", show_label=False, height=96, elem_id="bf-drop"
    )
    return drop, documents


def build_work() -> Work:
    """Place the progress of the running job, above every view."""
    with gr.Column(elem_id="bf-work"):
        progress = html_part("bf-progress")
        stop = gr.Button(texts.STOP, variant="stop", size="sm", visible=False, elem_id="bf-stop")
        notice = html_part("bf-notice")
    return Work(progress, stop, notice)


def build_settings(drop: gr.File, documents: gr.HTML, work: Work) -> Sidebar:
    """Place the library's part of the Settings page."""
    html_part("bf-settings-head", frame.settings_head())
    library = gr.Radio([], label="Library", elem_id="bf-library")
    with gr.Row(elem_id="bf-new", elem_classes="controls"):
        new_name = gr.Textbox(label="Name of a new library", max_length=80)
        new_library = gr.Button("Create a library", size="sm", variant="secondary")
        folder = gr.UploadButton(
            texts.FOLDER,
            file_count="directory",
            size="sm",
            variant="secondary",
            elem_id="bf-folder",
        )
        delete = gr.Button("Delete this library", size="sm", variant="secondary", elem_id="bf-del")
    pair = gr.Radio([], label="Pair of encoders", elem_id="bf-pair")
    with gr.Accordion("Reading and retrieval", open=False, elem_id="bf-settings"):
        k = gr.Slider(*K_RANGE, value=10, step=1, label="Depth of the columns (k)", elem_id="bf-k")
        unit = gr.Radio(
            [("passages", Unit.PASSAGE.value), ("whole documents", Unit.DOCUMENT.value)],
            value=Unit.PASSAGE.value,
            label="What is retrieved",
        )
        chunk = gr.Slider(*CHUNK_TOKENS_RANGE, value=160, step=8, label="Passage size in tokens")
        overlap = gr.Slider(0, 512, value=32, step=8, label="Overlap in tokens")
        instruction = gr.Textbox(
            label="Query instruction (for encoders that take one)", lines=2, max_length=2000
        )
        max_tokens = gr.Number(
            label="One token limit for both encoders (0: the smaller of their own)",
            value=0,
            precision=0,
        )
        own_limits = gr.Checkbox(
            label="Let each encoder read to its own limit (unequal)", value=False
        )
        apply = gr.Button("Apply", size="sm", variant="secondary", elem_id="bf-apply")
    with gr.Accordion("Saved comparisons", open=False, elem_id="bf-saved-box"):
        saved = html_part("bf-saved")
    return Sidebar(
        drop, folder, library, pair, new_name, new_library, delete, work.progress, work.stop,
        work.notice, documents, k, unit, chunk, overlap, instruction, max_tokens, own_limits, apply,
        saved,
    )  # fmt: skip


def screen_outputs(side: Sidebar, shared: Shared, examples: gr.HTML) -> list[Any]:
    """Return the components that show one library, in the order of `screen_values`."""
    return [
        shared.library, shared.pair, side.documents, side.notice, side.saved, examples,
        side.k, side.unit, side.chunk, side.overlap, side.instruction, side.max_tokens,
        side.own_limits,
    ]  # fmt: skip


def screen_values(shown: LibraryScreen) -> list[Any]:
    """Values of those components."""
    kept = shown.settings
    chunking = kept.chunking
    return [
        gr.update(choices=[tuple(c) for c in shown.choices], value=shown.library_id),
        gr.update(choices=[tuple(c) for c in shown.pairs], value=kept.pair_id),
        shown.documents, shown.notice, shown.saved, shown.examples,
        kept.k, chunking.unit.value, chunking.chunk_tokens, chunking.overlap_tokens,
        kept.query_instruction, kept.max_tokens, kept.own_limits,
    ]  # fmt: skip


def listed_values(shown: LibraryScreen) -> list[Any]:
    """Values of those components while a job runs: counts and documents."""
    values = [gr.skip() for _ in screen_values(shown)]
    values[0] = gr.update(choices=[tuple(c) for c in shown.choices], value=shown.library_id)
    values[2], values[3] = shown.documents, shown.notice
    return values


def wire(  # noqa: C901  closures over the components, wired at the end
    side: Sidebar, shared: Shared, examples: gr.HTML, compare_screen: list[Any]
) -> Callable[..., Any]:
    """Connect the sidebar to its handlers; returns the watcher that a page load starts too."""
    handlers = shared.handlers
    screen = screen_outputs(side, shared, examples)
    idle = gr.update(visible=False)

    def watched(visitor: Any, library_id: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        """Show the job of a library until it ends, then the library as it is then."""
        seen = listed = False
        try:
            for html, running in handlers.indexing.watch(visitor, library_id):
                seen = True
                if running and not listed and handlers.indexing.files_read(visitor, library_id):
                    listed = True
                    now = listed_values(handlers.libraries.screen(visitor, library_id))
                    yield html, gr.update(visible=True), *now
                elif running:
                    yield html, gr.update(visible=True), *([gr.skip()] * len(screen))
                else:
                    shown = handlers.libraries.screen(visitor, library_id)
                    yield html, idle, *screen_values(shown)
        except CoreError as error:
            yield library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        if not seen:
            yield gr.skip(), idle, *([gr.skip()] * len(screen))

    def upload(files: Any, visitor: Any, library_id: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        keep = [gr.skip()] * len(screen)
        stay = [gr.skip()] * len(compare_screen)
        listed = files if isinstance(files, list) else [files] if files else []
        if not listed:
            return
        try:
            target, _, remark = handlers.indexing.upload(visitor, library_id, listed)
            if remark:
                gr.Info(remark, duration=6)
            shown = handlers.libraries.screen(visitor, target)
        except CoreError as error:
            yield None, library.trouble(str(error)), idle, *keep, *stay
            return
        cleared = stay if target == library_id else empty(shown.blank)
        yield None, gr.skip(), gr.update(visible=True), *screen_values(shown), *cleared
        for row in watched(visitor, target):
            yield gr.skip(), *row, *stay

    def fresh(visitor: Any, library_id: str) -> Any:  # noqa: ANN401
        """Before a first question the screen invites to the library as it is now."""
        blank = handlers.libraries.blank(visitor, library_id)
        return gr.skip() if blank is None else blank

    def noticed(visitor: Any, library_id: str) -> Any:  # noqa: ANN401
        """A question may have had the missing passages embedded: say how things are now."""
        html = handlers.libraries.encoders_notice(visitor, library_id)
        return gr.skip() if html is None else html

    def password(event: gr.EventData, visitor: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        try:
            target, _ = handlers.indexing.password(
                visitor, event_text(event, "token"), event_text(event, "answer")
            )
        except CoreError as error:
            yield library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        yield from watched(visitor, target)

    def ocr(event: gr.EventData, visitor: Any, library_id: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        token, languages = event_text(event, "token"), event_text(event, "answer")
        try:
            target, _ = handlers.indexing.read_scanned(visitor, library_id, token, languages)
        except CoreError as error:
            yield library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        yield from watched(visitor, target)

    def forget(event: gr.EventData, visitor: Any) -> str:  # noqa: ANN401
        try:
            return handlers.indexing.forget_file(visitor, event_text(event, "token"))
        except CoreError as error:
            return library.trouble(str(error))

    def stop(visitor: Any, library_id: str) -> None:  # noqa: ANN401
        handlers.indexing.stop(visitor, library_id)

    def remove(event: gr.EventData, visitor: Any, library_id: str) -> list[Any]:  # noqa: ANN401
        try:
            return screen_values(
                handlers.libraries.remove_document(visitor, library_id, event_text(event, "doc"))
            )
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def embed(visitor: Any, library_id: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        try:
            handlers.indexing.embed(visitor, library_id)
        except CoreError as error:
            yield library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        yield from watched(visitor, library_id)

    def change(visitor: Any, library_id: str, settings: WorkspaceSettings) -> Iterator[Any]:  # noqa: ANN401
        if handlers.indexing.change_settings(visitor, library_id, settings) is not None:
            yield from watched(visitor, library_id)
            return
        shown = handlers.libraries.screen(visitor, library_id)
        yield library.notice(texts.SETTINGS_KEPT), idle, *screen_values(shown)

    def apply(
        visitor: Any,  # noqa: ANN401
        library_id: str,
        k: float,
        unit: str,
        chunk: float,
        overlap: float,
        instruction: str,
        max_tokens: float,
        own_limits: bool,  # noqa: FBT001  a field of the page
    ) -> Iterator[Any]:
        try:
            now = handlers.libraries.screen(visitor, library_id).settings
            settings = settings_from(
                now,
                k=k,
                unit=unit,
                chunk_tokens=chunk,
                overlap_tokens=overlap,
                instruction=instruction or "",
                max_tokens=max_tokens,
                own_limits=own_limits,
            )
            yield from change(visitor, library_id, settings)
        except CoreError as error:
            yield library.trouble(str(error)), idle, *([gr.skip()] * len(screen))

    def choose_library(visitor: Any, library_id: str) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            shown = handlers.libraries.screen(visitor, library_id)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return "", *screen_values(shown), *empty(shown.blank)

    def create(visitor: Any, name: str) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            shown = handlers.libraries.create(visitor, name or "")
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return "", "", *screen_values(shown), *empty(shown.blank)

    def delete(visitor: Any, library_id: str, sure: bool) -> tuple[Any, ...]:  # noqa: ANN401, FBT001
        if not sure:
            return tuple(gr.skip() for _ in range(1 + len(screen) + len(compare_screen)))
        try:
            shown = handlers.libraries.delete(visitor, library_id)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return "", *screen_values(shown), *empty(shown.blank)

    long: dict[str, Any] = {**PRIVATE, "concurrency_limit": 64}
    job = [side.progress, side.stop, *screen]
    place = [shared.visitor, shared.library]
    for source in (side.drop, side.folder):
        outputs = [source, *job, *compare_screen]
        # "multiple": files dropped while others are read are no less the user's.
        source.upload(upload, [source, *place], outputs, trigger_mode="multiple", **long).then(
            fresh, place, compare_screen[-1], **PRIVATE
        )
    shared.bridge.do_password(password, shared.visitor, job, **long)
    shared.bridge.do_ocr(ocr, place, job, **long)
    shared.bridge.do_forget(forget, shared.visitor, side.progress, **PRIVATE)
    shared.bridge.do_embed(embed, place, job, **long)
    shared.bridge.do_remove(remove, place, screen, **PRIVATE)
    shared.token.change(noticed, place, side.notice, **PRIVATE)
    side.stop.click(stop, place, None, queue=False, **PRIVATE)
    shared.bridge.do_stop_index(stop, place, None, queue=False, **PRIVATE)
    side.apply.click(
        apply,
        [
            *place,
            side.k,
            side.unit,
            side.chunk,
            side.overlap,
            side.instruction,
            side.max_tokens,
            side.own_limits,
        ],
        job,
        **long,
    )
    shared.library.input(
        choose_library, place, [side.progress, *screen, *compare_screen], **PRIVATE
    ).then(watched, place, job, **long)
    side.delete.click(
        delete,
        [*place, gr.Checkbox(value=False, visible=False)],
        [side.progress, *screen, *compare_screen],
        js=SURE_JS,
        **PRIVATE,
    )
    side.new_library.click(
        create,
        [shared.visitor, side.new_name],
        [side.new_name, side.progress, *screen, *compare_screen],
        **PRIVATE,
    )
    return watched
