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

from core.encoders.catalogue import CATALOGUE_FILE, Catalogue
from core.encoders.pins import PINS_FILE, Pins
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, Pair, TextKind
from core.records import Family
from core.settings import DEFAULT_PAIR
from core.visitors import Visitors
from demo.services import Services
from demo.ui import build_app, launch_options
from tests.encoders.fake import FakeEncoder, fake_spec

ASSETS = Path(__file__).resolve().parents[2] / "assets"


class SlowEncoder(FakeEncoder):
    """A counting encoder that takes its time where a file's text asks for it."""

    @override
    def encode(self, texts: Any, *, kind: Any, monitor: Any = None, **options: Any) -> Any:
        # Passages alone: what a background draws from them is quick.
        words = {w for text in texts for w in text.split() if kind is TextKind.PASSAGE}
        if tenths := 60 * ("SLOW-FILE" in words) or 20 * ("SLOW-ISH" in words):
            for _ in range(tenths):
                if monitor is not None and monitor.stop_requested():
                    break
                time.sleep(0.1)
        return super().encode(texts, kind=kind, monitor=monitor, **options)

    def with_options(self, options: Any) -> SlowEncoder:
        """The same with a lower limit, or shorter; it has nothing else to choose."""
        limit = options.max_tokens or self.spec.max_tokens
        size = options.dimension or self.spec.dimension
        return SlowEncoder(dataclasses.replace(self.spec, max_tokens=limit, dimension=size))


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
        dataclasses.replace(
            fake_spec(encoder_id="count-ref", family=Family.REFERENCE, dimension=256),
            label="Counting, for reference",
            matryoshka_dimensions=(64, 128),
        ),
    )
    pair = Pair(DEFAULT_PAIR, "Counters", "count-dif", "count-aut", matched="all", unmatched="")
    return Registry({spec.encoder_id: spec for spec in specs}, {DEFAULT_PAIR: pair})


def with_hub_pair(registry: Any) -> Any:
    """The same two encoders once more, under names that have to be fetched from HF_ENDPOINT."""
    one, two = registry.specs_of(DEFAULT_PAIR)
    for spec, name in ((one, "far-dif"), (two, "far-aut")):
        registry = registry.with_encoder(
            dataclasses.replace(
                spec, encoder_id=name, checkpoint=f"owner/{name}", revision="main", parameters=10**7
            )
        )
    far = Pair("far", "A far pair", "far-dif", "far-aut", matched="Size.", unmatched="Their data.")
    return dataclasses.replace(registry, pairs={**registry.pairs, "far": far})


def with_unequal_limits(registry: Any) -> Any:
    """The same pair, one of which reads far less of a passage than the other."""
    _, two = registry.specs_of(DEFAULT_PAIR)
    return registry.with_encoder(dataclasses.replace(two, max_tokens=40))


def main(folder: Any, *, hosted: Any, hub: Any, unequal: Any) -> None:
    registry = counting_registry()
    if unequal:
        registry = with_unequal_limits(registry)
    pool = EncoderPool(
        assets=ASSETS,
        registry=with_hub_pair(registry) if hub else registry,
        load=counting,
        device="cpu",
        pins=Pins(Path(folder) / PINS_FILE),
    )
    visitors = Visitors(
        Path(folder),
        pool=pool,
        count_tokens=lambda texts: [len(text.split()) * 4 // 3 for text in texts],
        assets=ASSETS,
        hosted=hosted,
    )
    services = Services(
        visitors,
        Catalogue(Path(folder) / CATALOGUE_FILE, pool),
        benchmarks=ASSETS / "benchmarks",
        official=None if hosted else Path(folder) / "benchmarks",
        runs=None if hosted else Path(folder),
        adding=not hosted,
    )
    visitors.prepare()
    visitors.complete()
    threading.excepthook = lambda _: None
    page = build_app(services)
    _, url, _ = page.launch(prevent_thread_lock=True, **launch_options(services, port=0))
    print(url, flush=True)  # noqa: T201  whoever started this reads it
    page.block_thread()


if __name__ == "__main__":
    asked = {name: f"--{name}" in sys.argv for name in ("hosted", "hub", "unequal")}
    main(sys.argv[1], **asked)
