"""Texts and pairs to train on, read from a folder of gzipped files in a fixed, seeded order."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

# Stories some test sets use, and the haystack of the passkey and needle sets.
EXCLUDED_TEXTS = ("fairytales", "public_domain_books")
_PIECE_CHARS = 4000
_TOKENISER_BATCH = 512


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A query and the text that answers it.

    Attributes:
        query: What is asked.
        positive: What answers it.
        source: Name of the file it came from; batches are drawn from one source.
    """

    query: str
    positive: str
    source: str


# How many pairs of each source enter the mix. Very short or templated sources are capped hard;
# scifact_train is left out so that SciFact stays zero-shot.
PAIR_CAPS: Mapping[str, int] = {
    "wikipedia_title_section": 9000,
    "medquad": 6000,
    "squad_nqg_sentences": 5000,
    "debian_descriptions": 3000,
    "debian_doc_sections": 3000,
    "linux_kernel_doc_sections": 2000,
    "linux_manpages": 1000,
    "wordnet_glosses": 3000,
    "tldr_pages": 2000,
    "reasonaug": 6000,
    "scitldr": 1985,
    "stacks_statement_proof": 3000,
    "gsm8k": 2000,
    "fairytaleqa_train": 2000,
    "strategyqa_facts": 2060,
    "qmsum_train": 1000,
    "openstax_sections_ccby": 974,
    "openstax_glossary_ccby": 531,
    "selqa_dev": 782,
    "mbpp_train": 471,
}


def text_files(folder: Path) -> list[Path]:
    """Files of plain text to adapt on, sorted by name.

    Raises:
        DatasetError: If there are none.
    """
    found = [
        path for path in sorted(folder.glob("*.txt.gz")) if not path.name.startswith(EXCLUDED_TEXTS)
    ]
    if not found:
        msg = f"{folder} holds no *.txt.gz to train on."
        raise DatasetError(msg)
    return found


def token_stream(
    paths: list[Path],
    tokenizer: Tokenizer,
    *,
    chars_per_file: int,
) -> NDArray[np.uint16]:
    """Token ids of the beginnings of some files, one after the other.

    Args:
        paths: Gzipped UTF-8 text.
        tokenizer: Vocabulary of at most 65,536 entries.
        chars_per_file: How much of each file is read.

    Returns:
        ``(n,)`` uint16.
    """
    found: list[NDArray[np.uint16]] = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            text = stream.read(chars_per_file)
        pieces = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
        for at in range(0, len(pieces), _TOKENISER_BATCH):
            encodings = tokenizer.encode_batch_fast(
                pieces[at : at + _TOKENISER_BATCH], add_special_tokens=False
            )
            found += [np.array(encoding.ids, dtype=np.uint16) for encoding in encodings]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint16)


def windows(stream: NDArray[np.uint16], *, length: int, seed: int) -> NDArray[np.int64]:
    """Cut a stream into windows of equal length, in an order decided by the seed.

    Returns:
        ``(n, length)`` int64; the remainder of the stream is dropped.
    """
    count = len(stream) // length
    order = np.random.default_rng(seed).permutation(count)
    return stream[: count * length].reshape(count, length)[order].astype(np.int64)


def token_weights(
    stream: NDArray[np.uint16], *, vocabulary: int, window: int
) -> NDArray[np.float32]:
    """How telling each vocabulary entry is: its inverse document frequency in running text.

    ``ln((windows + 1) / (windows that hold it + 1))``, at least 0.05 so that no text is empty.

    Args:
        stream: Token ids of plain text.
        vocabulary: Number of entries.
        window: Tokens that count as one document.

    Returns:
        ``(vocabulary,)`` float32, scaled so that the largest is 1.
    """
    count = max(len(stream) // window, 1)
    holding = np.zeros(vocabulary, dtype=np.int64)
    for piece in np.array_split(stream, count):
        holding[np.unique(piece)] += 1
    weights: NDArray[np.float32] = np.log((count + 1) / (holding + 1)).clip(min=0.05)
    scaled: NDArray[np.float32] = (weights / weights.max()).astype(np.float32)
    return scaled


def read_pairs(folder: Path, caps: Mapping[str, int], *, seed: int) -> list[TrainingPair]:
    """Pairs of all sources with a cap, a seeded choice where a source has more.

    Rows that share concepts with an evaluation set (``in_theoremqa``) are dropped.

    Raises:
        DatasetError: If a file is missing or a line is not a pair.
    """
    pairs: list[TrainingPair] = []
    for source, cap in caps.items():
        rows = list(_rows(folder / f"{source}.jsonl.gz", source))
        # One generator per source: a changed cap leaves the other sources' choice alone.
        generator = np.random.default_rng([seed, *source.encode()])
        pairs += [rows[place] for place in generator.permutation(len(rows))[:cap]]
    return pairs


def _rows(path: Path, source: str) -> Iterator[TrainingPair]:
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                number += 1
                row = json.loads(line)
                if row.get("in_theoremqa"):
                    continue
                query, positive = str(row["query"]).strip(), str(row["positive"]).strip()
                if query and positive:
                    yield TrainingPair(query=query, positive=positive, source=source)
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror or exc}."
        raise DatasetError(msg) from exc
    except (ValueError, KeyError) as exc:
        msg = f"{path}, line {number}: not a pair with query and positive ({exc})."
        raise DatasetError(msg) from exc
