"""Endpoints: visitors, libraries and their documents."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from core.visitors import OWN_ID
from demo.api.door import MOST_AT_ONCE, Door, fields, listed, told, verb
from demo.toolkit import address, gr


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
        """Return what a library remembers: pair, depth, chunking, instruction, token limit.

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
    """Uploads need a file component: it checks that what comes in was uploaded, not named."""
    files = gr.File(file_count="multiple", visible=False, label="files")
    library = gr.Textbox("", visible=False, label="library")
    password = gr.Textbox("", visible=False, label="password")
    visitor = gr.Textbox("", visible=False, label="visitor")
    report = gr.JSON(visible=False, label="report")
    trigger = gr.Button(visible=False)

    def index(
        files: list[str], library: str = "", password: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Read, chunk and embed uploaded files with both encoders.

        Args:
            files: PDFs, plain text or Markdown.
            library: Id; empty for the visitor's own library.
            password: For encrypted PDFs.
            visitor: From `start`; empty when run locally.

        Returns:
            The ingestion report: documents, what was skipped and why, passages embedded.
        """
        known = door.visitor(visitor or "")
        target = library or OWN_ID
        paths = [Path(name) for name in files or ()]
        job = door.handlers.indexing.index_files(known, target, paths, password or None)
        return {"library": target, **fields(job.outcome())}

    trigger.click(
        told(index),
        [files, library, password, visitor],
        report,
        api_name="index",
        concurrency_limit=MOST_AT_ONCE,
    )
