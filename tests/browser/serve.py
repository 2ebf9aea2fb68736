"""Serve the real page over the real rooms, with encoders that count words: for tests of the page.

``python -m tests.browser.serve DATA_FOLDER [--hosted] [--hub]``. The sample library is read for real; only
the weights are replaced, so that a browser test takes seconds and needs no checkpoint.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="bifocal-test-")

from typing_extensions import override

from core.encoders.fake import FakeEncoder, fake_spec
from core.encoders.pins import PINS_FILE, Pins
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, Pair
from core.records import Family
from core.settings import DEFAULT_PAIR
from core.shelf import OWN_ID, SAMPLE_ID, Shelves
from demo.services import LibraryEntry, Services
from demo.ui import build_app, launch_options

ASSETS = Path(__file__).resolve().parents[2] / "assets"


class SlowEncoder(FakeEncoder):
    """A counting encoder that takes its time where a file's text asks for it."""

    @override
    def encode(self, texts: Any, *, kind: Any, monitor: Any = None, **options: Any) -> Any:
        if any("SLOW-FILE" in text for text in texts):
            for _ in range(60):
                if monitor is not None and monitor.stop_requested():
                    break
                time.sleep(0.1)
        return super().encode(texts, kind=kind, monitor=monitor, **options)


def counting(spec: Any, **_options: Any) -> Any:
    return SlowEncoder(spec)


def counting_registry() -> Any:
    specs = (
        dataclasses.replace(
            fake_spec(encoder_id="count-dif", query_prompt="query: ", dimension=256),
            label="Counting, both directions",
        ),
        dataclasses.replace(
            fake_spec(
                encoder_id="count-aut",
                family=Family.AUTOREGRESSIVE,
                attention=Attention.CAUSAL,
                query_prompt="query: ",
                dimension=256,
            ),
            label="Counting, left to right",
        ),
    )
    pair = Pair(DEFAULT_PAIR, "Counters", "count-dif", "count-aut", matched="all", unmatched="")
    return Registry({spec.encoder_id: spec for spec in specs}, {DEFAULT_PAIR: pair})


def with_hub_pair(registry: Any) -> Any:
    """The same two encoders once more, under names that have to be fetched from HF_ENDPOINT."""
    one, two = registry.arms(DEFAULT_PAIR)
    for spec, name in ((one, "far-dif"), (two, "far-aut")):
        registry = registry.with_encoder(
            dataclasses.replace(
                spec, encoder_id=name, checkpoint=f"owner/{name}", revision="main", parameters=10**7
            )
        )
    return registry.with_pair(
        Pair("far", "A far pair", "far-dif", "far-aut", matched="Size.", unmatched="Their data.")
    )


def main(folder: Any, *, hosted: Any, hub: Any) -> None:
    registry = counting_registry()
    pool = EncoderPool(
        assets=ASSETS,
        registry=with_hub_pair(registry) if hub else registry,
        load=counting,
        device="cpu",
        pins=Pins(Path(folder) / PINS_FILE),
    )
    shelves = Shelves(
        Path(folder),
        pool=pool,
        count_tokens=lambda texts: [len(text.split()) * 4 // 3 for text in texts],
        assets=ASSETS,
        hosted=hosted,
    )
    services = Services(
        open_library=lambda visitor, library: shelves.shelf(visitor).open(library),
        libraries=lambda visitor: tuple(
            LibraryEntry(line.library_id, line.label, line.documents, line.passages, line.is_sample)
            for line in shelves.shelf(visitor).lines()
        ),
        create_library=lambda visitor, label: LibraryEntry(
            (made := shelves.shelf(visitor).create(label)).library_id, made.label
        ),
        delete_library=lambda visitor, library: shelves.shelf(visitor).delete(library),
        pairs=lambda: tuple(pool.registry.pairs.values()),
        new_visitor=shelves.new_visitor,
        known_visitor=shelves.known_visitor,
        upload_library_id=lambda _: OWN_ID,
        default_library_id=SAMPLE_ID,
        hosted=hosted,
        benchmarks=ASSETS / "benchmarks",
    )
    shelves.prepare()
    shelves.complete()
    threading.excepthook = lambda _: None
    page = build_app(services)
    _, url, _ = page.launch(prevent_thread_lock=True, **launch_options(services, port=0))
    print(url, flush=True)  # noqa: T201  whoever started this reads it
    page.block_thread()


if __name__ == "__main__":
    main(sys.argv[1], hosted="--hosted" in sys.argv, hub="--hub" in sys.argv)
