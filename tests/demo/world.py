"""The real rooms with two encoders that count letters, and a sample library of three short PDFs.

The encoders are arithmetic a reader can follow: both count the letter triples of a text; the first
weighs them evenly, the second the later the more (a caricature of reading left to right).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from core.encoders.catalogue import CATALOGUE_FILE, Catalogue
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, EncoderSpec, Pair
from core.errors import EncoderUnavailableError
from core.library.library import Library
from core.records import Family
from core.settings import DEFAULT_PAIR, OWN_ID
from core.visitors import Visitors
from demo.handlers import Handlers
from demo.services import Services
from tests.encoders.fake import FakeEncoder, fake_spec
from tests.pdfs import plain_pdf

STORIES = {
    "tides": (
        "The tide turns twice a day. Boats wait for it behind the bar. A low spring tide bares the "
        "old sluice gate.\n\nThe sluice gate was built of oak and iron. Its hinges rusted shut in "
        "the winter of the great frost.\n\nKeepers of the gate were paid in barley. One of them "
        "kept a diary of every flood."
    ),
    "bread": (
        "Sourdough rises slowly. Flour and water ferment for a day.\n\nAn oven of brick holds its "
        "heat through the night. Bakers sweep the ash and wait.\n\nSalt tightens the dough. Too "
        "much of it stops the yeast."
    ),
    "clocks": (
        "A tower clock needs a weight and a patient man. Every week the weight is wound up by hand. "
        "Oil thickens in the frost and the clock falls behind.\n\nThe bell strikes the hours alone. "
        "Quarters were added when the town grew rich."
    ),
    "honey": (
        "Bees make honey out of the nectar of flowers. They fan it with their wings until it is "
        "thick.\n\nA hive of oak keeps the winter out. The keeper leaves them enough to eat."
    ),
    "hostile <b>name": (
        "<script>alert(1)</script> stands in this text. <img src=x onerror=alert(2)> as well."
        "\n\n{{constructor}} and ${7*7} and `backtick` are templates. javascript:alert(3) is a link."
    ),
}
QUERIES = (
    ("lookup", "sluice gate built of oak", "tides", "built of oak and iron"),
    ("paraphrase", "how does dough become light?", "bread", "Sourdough rises slowly"),
    ("long-range", "what was its keeper paid?", "tides", "paid in barley"),
    ("reasoning", "why can a baker sleep at night?", "bread", "heat through the night"),
)
DIMENSION = 512


def triples(text: str, *, late: bool) -> np.ndarray:
    vector = np.zeros(DIMENSION, np.float32)
    low = text.lower()
    for place in range(len(low) - 2):
        weight = (place + 1) / len(low) if late else 1.0
        vector[zlib.crc32(low[place : place + 3].encode("utf-8", "replace")) % DIMENSION] += weight
    norm = np.linalg.norm(vector)
    return vector / norm if norm else np.eye(1, DIMENSION, dtype=np.float32)[0]


class LetterEncoder(FakeEncoder):
    """Counts letter triples; fails, or waits, where a test says so."""

    failing = ""
    hold: threading.Event | None = None

    @override
    def encode(self, texts: Sequence[str], **_options: Any) -> Any:
        if self.failing:
            raise EncoderUnavailableError(self.failing)
        if self.hold is not None:
            self.hold.wait(20)
        late = self.spec.family is Family.AUTOREGRESSIVE
        return np.array([triples(text, late=late) for text in texts]).reshape(-1, DIMENSION)

    def with_options(self, _options: object) -> LetterEncoder:
        return self


def letter_encoders() -> dict[str, LetterEncoder]:
    """The pair."""
    even = fake_spec(
        encoder_id="even", query_prompt="query: ", passage_prompt="passage: ", dimension=DIMENSION
    )
    late = replace(
        even, encoder_id="late", family=Family.AUTOREGRESSIVE, attention=Attention.CAUSAL
    )
    return {
        "even": LetterEncoder(replace(even, label="Even letter counter")),
        "late": LetterEncoder(replace(late, label="Late letter counter")),
    }


def pool_of(encoders: Mapping[str, Any], folder: Path) -> EncoderPool:
    """A pool of encoders that are there already; the first two are the pair."""
    first, second, *_ = encoders
    pair = Pair(DEFAULT_PAIR, "Letter counters", first, second, matched="all", unmatched="")
    specs: dict[str, EncoderSpec] = {name: encoder.spec for name, encoder in encoders.items()}
    twins = dataclasses.replace(pair, pair_id="twins", diffusion=second, autoregressive=first)
    pool = EncoderPool(
        assets=folder,
        registry=Registry(specs, {DEFAULT_PAIR: pair, "twins": twins}),
        load=lambda spec, **_options: encoders.get(spec.encoder_id) or FakeEncoder(spec),  # type: ignore[arg-type]
    )
    pool._set_threads = lambda: None  # type: ignore[method-assign]  # other tests share torch
    return pool


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def write_sample(assets: Path) -> Path:
    """The folder of assets, with the sample library's files in it."""
    (assets / "sample" / "pdf").mkdir(parents=True, exist_ok=True)
    for name, text in STORIES.items():
        (assets / "sample" / "pdf" / f"{name}.pdf").write_bytes(plain_pdf([text]))
    lines = [
        json.dumps({"query_id": f"q{number}", "group": group, "text": text, "document": document,
                    "answer": [answer], "note": "words"})
        for number, (group, text, document, answer) in enumerate(QUERIES, start=1)
    ]  # fmt: skip
    (assets / "sample" / "queries.jsonl").write_text("\n".join(lines))
    return assets


def lent(services: Services, visitor: str, library_id: str) -> Library:
    """A library as it is; the lease is over, which is fine while nothing is tidied."""
    with services.visitors.library(visitor, library_id) as library:
        return library


@dataclass
class World:
    """A page's services over the real rooms, and the encoders in them."""

    services: Services
    encoders: Mapping[str, Any]

    @property
    def visitors(self) -> Visitors:
        return self.services.visitors

    def handlers(self, **changes: Any) -> Handlers:
        return Handlers(replace(self.services, **changes))

    def library(self, library_id: str = OWN_ID, visitor: str = "local") -> Library:
        return lent(self.services, visitor, library_id)


def make_world(
    folder: Path,
    *,
    assets: Path,
    hosted: bool = False,
    encoders: Mapping[str, Any] | None = None,
    pool: EncoderPool | None = None,
    **services: Any,
) -> World:
    encoders = letter_encoders() if encoders is None else encoders
    pool = pool or pool_of(encoders, folder)
    visitors = Visitors(folder, pool=pool, count_tokens=count_words, assets=assets, hosted=hosted)
    catalogue = Catalogue(folder / CATALOGUE_FILE, pool)
    return World(
        Services(visitors, catalogue, version="0.1.0", adding=not hosted, **services), encoders
    )


def copied(made: Path, folder: Path) -> Path:
    """A copy of a data folder that was made ready before."""
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("*.lock", "*.owner"))
    return folder


def upload(
    folder: Path, name: str, data: bytes = b"The tide turns twice a day. Boats wait."
) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


Maker = Callable[..., World]
