"""Texts and pairs to train on, read from a folder of gzipped files in a fixed, seeded order."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s  # type: ignore[import-untyped]
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from core.errors import DatasetError

# Stories some test sets use, and the haystack of the passkey and needle sets.
EXCLUDED_TEXTS = ("fairytales", "public_domain_books")
_PIECE_CHARS = 4000
_TOKENISER_BATCH = 512


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A query and the text that answers it.

    Attributes:
        query: The question.
        positive: The text that answers it.
        source: Name of the file it came from; batches are drawn from one source.
    """

    query: str
    positive: str
    source: str


# Pairs of each source in the mix. Very short or templated sources are capped hard; scifact_train is
# left out so that SciFact stays zero-shot.
PAIR_CAPS: Mapping[str, int] = {
    "wikipedia_title_section": 24_000,
    "medquad": 14_000,
    "squad_nqg_sentences": 14_000,
    "debian_descriptions": 8_000,
    "debian_doc_sections": 12_000,
    "linux_kernel_doc_sections": 6_000,
    "linux_manpages": 1_097,
    "wordnet_glosses": 8_000,
    "tldr_pages": 12_000,
    "reasonaug": 6_232,
    "scitldr": 1_985,
    "stacks_statement_proof": 8_000,
    "gsm8k": 4_000,
    "fairytaleqa_train": 4_000,
    "strategyqa_facts": 2_060,
    "qmsum_train": 2_156,
    "openstax_sections_ccby": 974,
    "openstax_glossary_ccby": 531,
    "selqa_dev": 782,
    "mbpp_train": 471,
    "exercism": 89,
}


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Texts as the backbone gets them, padded on the right.

    Attributes:
        token_ids: ``(batch, length)`` int64.
        attention_mask: ``(batch, length)`` int64, 1 for real tokens.
        pooled: ``(batch, length)`` int64, 1 for tokens of the text itself, 0 for the prompt's.
    """

    token_ids: Tensor
    attention_mask: Tensor
    pooled: Tensor


def text_files(folder: Path) -> list[Path]:
    """Files of plain text to adapt on, sorted by name.

    Raises:
        DatasetError: If there are none.
    """
    paths = [
        path for path in sorted(folder.glob("*.txt.gz")) if not path.name.startswith(EXCLUDED_TEXTS)
    ]
    if not paths:
        msg = f"{folder} holds no *.txt.gz to train on."
        raise DatasetError(msg)
    return paths


def token_stream(
    paths: Sequence[Path], tokenizer: Tokenizer, *, chars: Mapping[str, int], others: int
) -> NDArray[np.uint16]:
    """Token ids of the beginnings of some files, one after the other.

    Args:
        paths: Gzipped UTF-8 text.
        tokenizer: Vocabulary of at most 65,536 entries.
        chars: Characters to read of the files whose names begin so.
        others: Characters to read of every other file.

    Returns:
        ``(n,)`` uint16.
    """
    parts: list[NDArray[np.uint16]] = []
    for path in paths:
        wanted = next((n for name, n in chars.items() if path.name.startswith(name)), others)
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            text = stream.read(wanted)
        pieces = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
        for at in range(0, len(pieces), _TOKENISER_BATCH):
            encodings = tokenizer.encode_batch_fast(
                pieces[at : at + _TOKENISER_BATCH], add_special_tokens=False
            )
            parts += [np.array(encoding.ids, dtype=np.uint16) for encoding in encodings]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16)


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


def tokenised(
    texts: Sequence[str],
    *,
    prompt: str,
    tokenizer: Tokenizer,
    max_tokens: int,
    padding_id: int,
) -> TokenBatch:
    """Prefix, tokenise, truncate and pad some texts.

    A token belongs to the text when it reaches past the prompt's last character, so that a space
    shared by both counts with the word that follows.
    """
    encodings = tokenizer.encode_batch([prompt + text for text in texts], add_special_tokens=False)
    rows = []
    for encoding in encodings:
        ids = list(encoding.ids[:max_tokens]) or [padding_id]
        inside = [int(end > len(prompt)) for _, end in encoding.offsets[: len(ids)]] or [1]
        rows.append((ids, inside))
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    token_ids = torch.full(shape, padding_id, dtype=torch.int64)
    attention_mask = torch.zeros(shape, dtype=torch.int64)
    pooled = torch.zeros(shape, dtype=torch.int64)
    for row, (ids, inside) in enumerate(rows):
        token_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
        pooled[row, : len(ids)] = torch.tensor(inside)
    return TokenBatch(token_ids=token_ids, attention_mask=attention_mask, pooled=pooled)


def neighbour_batches(
    pairs: Sequence[TrainingPair], *, batch: int, group: int, seed: int
) -> list[list[TrainingPair]]:
    """Batches of one source each, made of groups of pairs whose texts resemble each other.

    Every pair's hard negatives thus sit in its own batch and cost no extra tokens. Resemblance is
    BM25 between a query and the other pairs' positives (mining as in the paper's ReasonAug).

    Args:
        pairs: All pairs.
        batch: Pairs a batch.
        group: Pairs a group; 1 mines nothing.
        seed: Of all choices.

    Returns:
        Batches in a seeded order; what does not fill a batch of its source is left out.
    """
    generator = np.random.default_rng(seed)
    by_source: dict[str, list[TrainingPair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    batches: list[list[TrainingPair]] = []
    for source in sorted(by_source):
        members = by_source[source]
        groups = _groups(members, group=group, seed=seed)
        ordered = [
            members[place] for at in generator.permutation(len(groups)) for place in groups[at]
        ]
        batches += [ordered[at : at + batch] for at in range(0, len(ordered) - batch + 1, batch)]
    return [batches[at] for at in generator.permutation(len(batches))]


def _groups(pairs: Sequence[TrainingPair], *, group: int, seed: int) -> list[list[int]]:
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    if group <= 1:
        return [[place] for place in order]
    index = bm25s.BM25()
    positives = [pair.positive for pair in pairs]
    index.index(bm25s.tokenize(positives, show_progress=False), show_progress=False)
    queries = bm25s.tokenize([pair.query for pair in pairs], show_progress=False)
    near, _ = index.retrieve(queries, k=min(len(pairs), 8 * group), show_progress=False)
    free = set(order)
    groups: list[list[int]] = []
    for place in order:
        if place not in free:
            continue
        free.discard(place)
        chosen = [place]
        for candidate in map(int, near[place]):
            if len(chosen) == group:
                break
            if candidate in free and positives[candidate] != positives[place]:
                free.discard(candidate)
                chosen.append(candidate)
        groups.append(chosen)
    return groups


def known_duplicates(pairs: Sequence[TrainingPair]) -> NDArray[np.bool_]:
    """``(n, n)``: whether pair j's positive or query equals pair i's, the diagonal excepted."""
    same = np.zeros((len(pairs), len(pairs)), dtype=np.bool_)
    for texts in ([pair.positive for pair in pairs], [pair.query for pair in pairs]):
        numbers: dict[str, int] = {}
        column = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
        same |= column[:, None] == column[None]
    np.fill_diagonal(same, val=False)
    return same
