"""What the page is given: callables and facts. `app.py` builds one; tests build another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.settings import MEBIBYTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from core.encoders.catalogue import EncoderRequest
    from core.encoders.spec import EncoderSpec, Pair
    from core.library import Library


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """A line of the library picker.

    Attributes:
        library_id: Opaque.
        label: Name for people.
        documents: How many it holds.
        passages: Under its current chunking.
        is_sample: It came with Bifocal and takes no uploads.
    """

    library_id: str
    label: str
    documents: int = 0
    passages: int = 0
    is_sample: bool = False


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What one visitor may ask of this server.

    Attributes:
        upload_bytes: Largest file.
        files_per_upload: Most files in one go.
        queue_size: Most requests waiting.
        concurrency: Most quick requests served at once.
        heavy_at_once: Most long jobs (indexing, experiments) at once; others wait their turn.
    """

    upload_bytes: int = 200 * MEBIBYTE
    files_per_upload: int = 200
    queue_size: int = 64
    concurrency: int = 8
    heavy_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the page needs from the rest of the program.

    Attributes:
        open_library: ``(visitor_id, library_id) -> Library``. Raises `UnknownNameError` when
            the visitor has no such library: this is where one visitor is kept from another.
        libraries: ``visitor_id ->`` their libraries, the sample first.
        create_library: ``(visitor_id, label) -> LibraryEntry``.
        delete_library: ``(visitor_id, library_id) -> None``; None where it is not offered.
        pairs: ``() ->`` the pairs on offer, the default first.
        new_visitor: Makes an opaque id that cannot be guessed. Locally always the same one.
        known_visitor: Whether an id is one this server gave out and still keeps.
        upload_library_id: ``visitor_id ->`` the library that uploads go to by default.
        hosted: Many visitors, each with a workspace of their own that is removed after a time.
        keep_hours: How long a visitor's workspace is kept when hosted.
        version: Of Bifocal.
        benchmarks: Folder with the measured figures as JSON.
        official: Folder of mteb results, of this machine's user; None on a shared server.
        known_encoders: ``() ->`` every encoder by id, for labels.
        add_encoder: Adds an encoder of the visitor's own; None where it is not offered.
        remove_encoder: Removes one by id; None where it is not offered.
        added_encoders: ``() ->`` those that were added.
        refresh_encoders: Takes in what was added elsewhere; a problem to tell, "" when none.
        encoder_folders: Whether a visitor may name folders of this machine.
        library_report: ``(visitor_id, library_id) -> str``; a problem to tell, "" when none.
    """

    open_library: Callable[[str, str], Library]
    libraries: Callable[[str], tuple[LibraryEntry, ...]]
    create_library: Callable[[str, str], LibraryEntry]
    pairs: Callable[[], tuple[Pair, ...]]
    new_visitor: Callable[[], str]
    known_visitor: Callable[[str], bool]
    upload_library_id: Callable[[str], str]
    default_library_id: str = "sample"
    delete_library: Callable[[str, str], None] | None = None
    hosted: bool = False
    keep_hours: int = 24
    version: str = ""
    benchmarks: Path | None = None
    official: Path | None = None
    known_encoders: Callable[[], Mapping[str, EncoderSpec]] = dict
    limits: PageLimits = field(default_factory=PageLimits)
    add_encoder: Callable[[EncoderRequest], EncoderSpec] | None = None
    remove_encoder: Callable[[str], EncoderSpec] | None = None
    added_encoders: Callable[[], tuple[EncoderSpec, ...]] = tuple
    refresh_encoders: Callable[[], str] = str
    encoder_folders: bool = True
