"""Whether a threshold on the first hit's score can tell off-topic queries from known-right hits.

``python -m tests.tools.off_topic ../shared/data/eval`` embeds 160 queries and as many documents of two
collections and the sample library's queries, and prints the table of docs/numbers.md. Queries of
one collection are off-topic in the others. A word ("weak") would have to catch 95 % of them at 5 %
false alarms where the first hit is right.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.cli.output import make_pool, opened
from core.encoders.spec import Encoder, TextKind
from core.evaluation.beir import read_beir
from core.library.sample import load_sample_queries, sample_qrels
from core.library.shipped import SAMPLE_FOLDER, seed_sample
from core.settings import ASSETS, DEFAULT_PAIR

COLLECTIONS = ("theoremqa_theorems", "scitldr_test")
TAKEN = 160
CHARS = 480
Encode = Callable[[Sequence[str], TextKind], NDArray[np.float32]]


@dataclass(frozen=True)
class Collection:
    """Texts by name, queries, and which documents are right for each query."""

    name: str
    documents: dict[str, str]
    queries: list[str]
    right: list[set[str]]


def main() -> None:
    """Print the table as Markdown."""
    collections = [sample(), *(taken(Path(sys.argv[1]) / name) for name in COLLECTIONS)]
    pool = make_pool(offline=True)
    head = (
        "collection", "encoder", "first hits right", "median off-topic / right",
        "false alarms when 95 % of off-topic are caught", "caught at 5 % false alarms",
    )  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for spec in pool.registry.specs_of(DEFAULT_PAIR):
        encode = partial(_encoded, pool.get(spec.encoder_id))
        lines += [(name, spec.family.value, *more) for name, *more in rows(collections, encode)]
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _encoded(encoder: Encoder, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
    return encoder.encode(texts, kind=kind)


def rows(collections: Sequence[Collection], encode: Encode) -> list[list[str]]:
    """Return a row per collection for one encoder."""
    queries = {part.name: encode(part.queries, TextKind.QUERY) for part in collections}
    table = []
    for part in collections:
        documents = encode(list(part.documents.values()), TextKind.PASSAGE)
        ids = list(part.documents)
        scores = queries[part.name] @ documents.T
        firsts = [ids[place] for place in scores.argmax(1)]
        is_right = [first in right for first, right in zip(firsts, part.right, strict=True)]
        right = scores.max(1)[np.array(is_right)]
        others = [vectors for name, vectors in queries.items() if name != part.name]
        off_topic = (np.concatenate(others) @ documents.T).max(1)
        false_alarms = np.mean(right <= np.quantile(off_topic, 0.95))
        caught = np.mean(off_topic <= np.quantile(right, 0.05))
        table.append(
            [
                part.name,
                f"{len(right)} of {len(firsts)}",
                f"{np.median(off_topic):.2f} / {np.median(right):.2f}",
                f"{false_alarms:.0%}",
                f"{caught:.0%}",
            ]
        )
    return table


def sample() -> Collection:
    """Return the sample library's passages and queries."""
    folder = ASSETS / SAMPLE_FOLDER
    with tempfile.TemporaryDirectory() as scratch, opened(Path(scratch) / "w", create=True) as lib:
        seed_sample(lib, folder)
        queries = load_sample_queries(folder)
        documents = [lib.document(line.doc_id) for line in lib.documents()]
        qrels = sample_qrels(queries, documents, lib.passages())
        return Collection(
            "sample library",
            {passage.passage_id: passage.text for passage in lib.passages()},
            [query.text for query in queries],
            [set(qrels[query.query_id]) for query in queries],
        )


def taken(folder: Path) -> Collection:
    """Return `TAKEN` queries of a BEIR folder, drawn at random, and documents with all right ones."""
    whole = read_beir(folder).whole
    asked = sorted(whole.qrels)
    random.Random(0).shuffle(asked)
    right = [
        {name for name, grade in whole.qrels[query].items() if grade} for query in asked[:TAKEN]
    ]
    needed = set().union(*right)
    rest = [doc_id for doc_id in whole.documents if doc_id not in needed]
    kept = needed | set(rest[: max(0, TAKEN - len(needed))])
    texts = {doc_id: text[:CHARS] for doc_id, text in whole.documents.items() if doc_id in kept}
    return Collection(folder.name, texts, [whole.queries[query] for query in asked[:TAKEN]], right)


if __name__ == "__main__":
    main()
