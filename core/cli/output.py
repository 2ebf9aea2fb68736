"""Shared by all commands: the app and its options, errors as exit codes, progress, opening a library."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from platformdirs import user_data_path
from typer import Exit, Option, echo
from typer.core import TyperGroup
from typing_extensions import override

from core.codec import to_jsonable
from core.encoders.catalogue import CATALOGUE_FILE, Catalogue
from core.encoders.pins import PINS_FILE, Pins
from core.encoders.pool import EncoderPool
from core.encoders.tokens import neutral_counter
from core.errors import CoreError, UsageError
from core.library.library import Library
from core.monitor import Progress
from core.settings import ASSETS, DEFAULT_PAIR
from core.store.workspace import Workspace

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3
_data: ContextVar[Path | None] = ContextVar("data", default=None)
_REPORT_EVERY_SECONDS = 0.2
_LINE_CHARS = 100
_EXCERPT_CHARS = 90

WorkspaceOption = Annotated[
    Path, Option("--workspace", "-w", help="Folder of the workspace; made when missing.")
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
PairOption = Annotated[str, Option("--pair", help="Which two encoders; see `pairs`.")]
DeviceOption = Annotated[str, Option("--device", help="auto, cpu, cuda or mps.")]
OfflineOption = Annotated[bool, Option("--offline", help="Never ask a model hub.")]
DepthOption = Annotated[int, Option("-k", help="Depth, 5 to 50.")]
EncoderOption = Annotated[
    list[str] | None,
    Option(
        "--encoder-option",
        help="As in ID:output=int8,dimension=256 or ID:centred; ID:default undoes it. Kept.",
    ),
]
QueriesOption = Annotated[
    Path | None,
    Option("--run-queries", help="Texts of a run's queries: BEIR's jsonl, or id, tab, text."),
]


class Commands(TyperGroup):
    """Commands whose errors are a sentence on stderr and an exit code."""

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CoreError as error:
            echo(f"Error: {plain(str(error))}", err=True)
            raise Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR) from error
        except KeyboardInterrupt:
            echo("Stopped. What was finished is kept.", err=True)
            raise Exit(130) from None


cli = typer.Typer(
    cls=Commands,
    name="python -m core",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class ConsoleMonitor:
    """One line of progress on stderr; nothing when stderr is not a terminal.

    As a context it clears the line at its end, so that what is printed next stands alone.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._written:
            echo("\r" + " " * _LINE_CHARS + "\r", nl=False, err=True)
            self._written = False

    def report(self, progress: Progress) -> None:
        """Show how far the work is, a few times a second."""
        now = time.monotonic()
        if not self._shown or now - self._last < _REPORT_EVERY_SECONDS:
            return
        self._last = now
        share = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        line = f"{progress.stage}{share} {plain(progress.detail)}"[:_LINE_CHARS]
        echo("\r" + line.ljust(_LINE_CHARS), nl=False, err=True)
        self._written = True

    def stop_requested(self) -> bool:
        """Ctrl+C ends a command by itself."""
        return False


def plain(text: str) -> str:
    """Return text fit for a terminal: no control or direction-changing characters, one line."""
    return "".join(c if c.isprintable() else " " for c in text)


def excerpt(text: str) -> str:
    """Return the beginning of a text, fit for one line of a terminal."""
    return plain(text)[:_EXCERPT_CHARS]


def answer(value: object, lines: Iterable[str], *, json: bool) -> None:
    """Print a value as JSON, else its lines."""
    if json:
        print_json(value)
        return
    for line in lines:
        echo(line)


def print_json(value: object) -> None:
    """Print a value as JSON, ASCII only so that every terminal and file can hold it."""
    echo(json.dumps(to_jsonable(value), indent=1, allow_nan=False))


def write(path: Path, text: str) -> None:
    """Write a file, making its folder.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}. Choose another.") from exc


def number_list(numbers: str, *, option: str = "--lengths") -> tuple[int, ...]:
    """Read an option's whole numbers with commas between; none for an empty text.

    Raises:
        UsageError: If one is not a number.
    """
    try:
        return tuple(int(number) for number in numbers.split(",") if number.strip())
    except ValueError as exc:
        raise UsageError(
            f"{option} is {numbers!r}; write whole numbers with commas, as in 256,512."
        ) from exc


def make_pool(*, device: str = "auto", offline: bool = False) -> EncoderPool:
    """Return the encoders."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    # The app's own account of first-fetched commits, so that both run the same weights.
    pins = Pins(data_folder() / PINS_FILE)
    pool = EncoderPool(assets=ASSETS, device=device, offline=offline, pins=pins)
    problem = catalogue_of(pool).register()
    if problem:
        echo(f"Encoders you added are left out. {plain(problem)}", err=True)
    return pool


def data_folder() -> Path:
    """Return the folder that is shared with the app: ``--data``, or the user's data folder."""
    return _data.get() or user_data_path("bifocal", appauthor=False)


@cli.callback()
def common(
    data: Annotated[
        Path | None,
        Option(
            help="Data folder, as the app's --data: encoders you added are kept in it. "
            "The user's own unless given."
        ),
    ] = None,
) -> None:
    """Bifocal: your documents through two lenses."""
    _data.set(None if data is None else data.expanduser().resolve())


def catalogue_of(pool: EncoderPool) -> Catalogue:
    """Return the encoders that the user added."""
    return Catalogue(data_folder() / CATALOGUE_FILE, pool)


def counter() -> Callable[[Sequence[str]], Sequence[int]]:
    """Return the neutral token counter."""
    return neutral_counter(ASSETS, folder=DEFAULT_PAIR)


@contextmanager
def opened(
    workspace: Path, *, create: bool = False, device: str = "auto", offline: bool = False
) -> Iterator[Library]:
    """Lend the library of a workspace folder and close it after."""
    library = Library(
        Workspace.open(workspace, create=create),
        pool=make_pool(device=device, offline=offline),
        count_tokens=counter(),
    )
    try:
        yield library
    finally:
        library.close()
