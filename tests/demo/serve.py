"""Serve the page over a workbench in memory: ``python -m tests.demo.serve [hosted] [mcp]``."""

from __future__ import annotations

import os
import sys
import tempfile

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="bifocal-test-")

from demo.ui import build_app, launch_options
from tests.demo.fakes import FakeLibraries

if __name__ == "__main__":
    libraries = FakeLibraries(hosted="hosted" in sys.argv)
    if not libraries.hosted:
        libraries.new_visitor()
    services = libraries.services()
    page = build_app(services)
    options = launch_options(services, port=0, mcp="mcp" in sys.argv)
    _server, url, _share = page.launch(prevent_thread_lock=True, **options)
    print(url, flush=True)  # noqa: T201  whoever started this reads it
    page.block_thread()
