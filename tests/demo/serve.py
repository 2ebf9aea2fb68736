"""Serve the page over encoders that count letters: ``python -m tests.demo.serve [hosted] [mcp]``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="bifocal-test-")

from demo.ui import build_app, launch_options
from tests.demo.world import make_world, write_sample

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="bifocal-test-data-"))
    world = make_world(
        folder / "data", assets=write_sample(folder / "assets"), hosted="hosted" in sys.argv
    )
    world.visitors.prepare()
    world.visitors.complete()
    page = build_app(world.services)
    options = launch_options(world.services, port=0, mcp="mcp" in sys.argv)
    _server, url, _share = page.launch(prevent_thread_lock=True, **options)
    print(url, flush=True)  # noqa: T201  whoever started this reads it
    page.block_thread()
