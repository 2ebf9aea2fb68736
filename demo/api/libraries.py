"""Endpoints: visitors, libraries and their documents."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gradio.components.api_component import Api
from gradio_client.utils import is_file_obj_with_meta  # type: ignore[import-untyped]

from core.errors import UsageError
from core.settings import OWN_ID
from demo.api.door import MOST_AT_ONCE, Door, checked, fields, listed, verb
from demo.toolkit import address, gr

# Clients without an upload (MCP) give files inline; no other shape passes their check.
FILES: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "base64": {"type": "string"}},
        "required": ["name", "base64"],
        "additionalProperties": {"type": "null"},  # nothing, in words that the toolkit reads
    },
}


def add(door: Door) -> None:
    """Add the endpoints."""
    services = door.handlers.services

    @verb
    def start() -> str:
        """Begin as a new visitor.

        Returns:
            The visitor's id, to be passed to every other endpoint. Keep it: it is the only key.
        """
        return services.visitors.new(address())

    @verb
    def libraries(visitor: str = "") -> list[dict[str, Any]]:
        """List the visitor's libraries.

        Args:
            visitor: From `start`; empty when run locally.
        """
        return [fields(line) for line in services.visitors.libraries(door.visitor(visitor))]

    @verb
    def create_library(label: str, visitor: str = "") -> dict[str, Any]:
        """Make an empty library.

        Args:
            label: Its name.
            visitor: From `start`; empty when run locally.
        """
        return fields(services.visitors.create(door.visitor(visitor), label))

    @verb
    def delete_library(library: str, visitor: str = "") -> bool:
        """Delete one of the visitor's own libraries with everything in it.

        Args:
            library: Id.
            visitor: From `start`; empty when run locally.
        """
        door.handlers.libraries.delete(door.visitor(visitor), library)
        return True

    @verb
    def documents(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List a library's documents: pages, pages with text, passages, warnings.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return listed(lent.documents())

    @verb
    def remove_document(doc_id: str, library: str, visitor: str = "") -> bool:
        """Forget a document of one of the visitor's own libraries.

        Args:
            doc_id: From `documents`.
            library: Id.
            visitor: From `start`; empty when run locally.
        """
        door.handlers.libraries.remove_document(door.visitor(visitor), library, doc_id)
        return True

    @verb
    def settings(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Settings of a library: pair, depth, chunking, instruction, token limit.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return fields(lent.settings)

    @verb
    def page_image(
        doc_id: str, page: int = 1, width: int = 1000, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Return a page as a PNG in base64.

        Args:
            doc_id: From `documents`.
            page: Counts from 1.
            width: In pixels, 100 to 2000.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        pixels = max(100, min(int(width), 2000))
        with door.library(visitor, library, look=True) as lent:
            view = lent.page_view(doc_id, page, width_pixels=pixels)
        return {"media_type": "image/png", "base64": base64.b64encode(view.png).decode("ascii")}

    _index(door)


def _index(door: Door) -> None:
    """Add the one endpoint that takes files: uploaded ones, or given inline."""
    files = Api(None, FILES, label="files")
    library = gr.Textbox("", visible=False, label="library")
    password = gr.Textbox("", visible=False, label="password")
    visitor = gr.Textbox("", visible=False, label="visitor")
    report = gr.JSON(visible=False, label="report")
    trigger = gr.Button(visible=False)

    def index(
        files: list[Any], library: str = "", password: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Read, chunk and embed files with both encoders.

        Args:
            files: Uploaded, or inline as name and base64.
            library: Id; empty for the visitor's own library.
            password: For encrypted PDFs.
            visitor: From `start`; empty when run locally.

        Returns:
            The ingestion report: documents, what was skipped and why, passages embedded.
        """
        known = door.visitor(visitor)
        target = library or OWN_ID
        with TemporaryDirectory() as folder:
            paths = [_file(file, Path(folder, str(i))) for i, file in enumerate(files)]
            job = door.handlers.indexing.index_files(known, target, paths, password or None)
            return {"library": target, **fields(job.outcome())}

    trigger.click(
        checked(index),
        [files, library, password, visitor],
        report,
        api_name="index",
        concurrency_limit=MOST_AT_ONCE,
    )


def _file(given: object, folder: Path) -> Path:
    """Return the path of an uploaded file, or of an inline one, written to a new folder.

    The toolkit has checked by now that the path of what is marked as a file was uploaded.
    """
    if is_file_obj_with_meta(given):
        return Path(given["path"])  # type: ignore[index]  # that is what was asked
    from core.documents import clean_name  # late: it brings the PDF libraries along

    folder.mkdir()
    try:
        path = folder / clean_name(given["name"])  # type: ignore[index]
        path.write_bytes(base64.b64decode(given["base64"], validate=True))  # type: ignore[index]
    except (TypeError, KeyError, ValueError, AttributeError, OSError) as exc:
        raise UsageError("Give each file as its upload, or as name and base64.") from exc
    return path
