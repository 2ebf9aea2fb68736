"""The options of ``python app.py``: one table for the parser, the environment and the README."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InvalidSettingError


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    name: str  # field of `AppOptions`
    kind: Callable[[str], Any]  # turns text into the value; `bool` makes a flag
    default: Any  # value when neither argument nor environment gives one
    help: str  # one sentence

    @property
    def flag(self) -> str:
        """As typed on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Name in the environment."""
        return "BIFOCAL_" + self.name.upper()

    @property
    def shown_default(self) -> str:
        """For the README."""
        if self.kind is bool:
            return "off"
        return str(self.default) if self.default not in (None, "", ()) else "(see text)"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _switch(name: str, text: str) -> Option:
    return Option(name, bool, default=False, help=text)


OPTIONS: tuple[Option, ...] = (
    Option("host", str, "127.0.0.1", "Address to listen on; only this machine by default."),
    Option(
        "allow_host",
        _names,
        (),
        "Names under which it may be reached besides --host, with commas; * for any.",
    ),
    Option("port", int, 7860, "Port; 0 takes any free one."),
    Option("data", Path, None, "Folder for libraries; the user's data folder unless given."),
    Option("device", str, "auto", "Where encoders run: auto, cpu, cuda or mps."),
    _switch("hosted", "Give each visitor a workspace of their own (on in a Space)."),
    Option("keep_hours", int, 24, "Hours after which a visitor's workspace is removed, if hosted."),
    Option("upload_mebibytes", int, 200, "Largest file that is taken."),
    Option("threads", int, 0, "CPU threads for the encoders; 0 takes every physical core."),
    _switch("open", "Open the page in the default browser."),
    _switch("mcp", "Offer the verbs as an MCP server too (needs the extra `mcp`)."),
    _switch("offline", "Never ask a model hub for anything."),
    _switch("visitor_encoders", "Hosted: let visitors add encoders by hub id, for all to see."),
)


@dataclass(frozen=True, slots=True)
class AppOptions:
    """Options of `app.py`, field by field as in `OPTIONS`."""

    host: str
    allow_host: tuple[str, ...]
    port: int
    data: Path | None
    device: str
    hosted: bool
    keep_hours: int
    upload_mebibytes: int
    threads: int
    open: bool
    mcp: bool
    offline: bool
    visitor_encoders: bool = False

    def __post_init__(self) -> None:
        if self.device not in {"auto", "cpu", "cuda", "mps"}:
            raise InvalidSettingError(
                f"--device is {self.device!r}; choose auto, cpu, cuda or mps."
            )
        for name, value, low, high in (
            ("--port", self.port, 0, 65535),
            ("--keep-hours", self.keep_hours, 1, 24 * 365),
            ("--upload-mebibytes", self.upload_mebibytes, 1, 4096),
            ("--threads", self.threads, 0, 1024),
        ):
            if not low <= value <= high:
                raise InvalidSettingError(
                    f"{name} is {value}; choose a whole number from {low} to {high}."
                )


def _truth(text: str) -> bool:
    return text.strip().lower() not in {"", "0", "no", "off", "false"}


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> AppOptions:
    """Return the options: argument first, then environment, then default.

    Raises:
        InvalidSettingError: A value in the environment or an argument that cannot work.
        SystemExit: From argparse, on an unknown option or ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Bifocal: your documents through two lenses."
    )
    for option in OPTIONS:
        text = f"{option.help} [{option.variable}]"
        if option.kind is bool:
            parser.add_argument(option.flag, action="store_true", default=None, help=text)
        else:
            parser.add_argument(option.flag, type=option.kind, default=None, help=text)
    given = vars(parser.parse_args(list(arguments)))
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = given[option.name]
        if value is None and option.variable in environment:
            text = environment[option.variable]
            try:
                value = _truth(text) if option.kind is bool else option.kind(text)
            except ValueError as exc:
                raise InvalidSettingError(f"{option.variable} is {text!r}: {option.help}") from exc
        values[option.name] = option.default if value is None else value
    if "SPACE_ID" in environment:  # set by Hugging Face in every Space
        values["hosted"] = True
        if given["host"] is None and "BIFOCAL_HOST" not in environment:
            values["host"] = "0.0.0.0"  # noqa: S104  a Space's proxy reaches it from outside
        if not values["allow_host"]:  # behind that proxy, which knows the Space's names
            values["allow_host"] = _names(environment.get("SPACE_HOST", "") + ",*")
    return AppOptions(**values)
