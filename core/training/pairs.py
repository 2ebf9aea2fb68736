"""From pairs to batches: token ids, mined neighbours in the same batch, long positives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bm25s  # type: ignore[import-untyped]
import numpy as np
import torch

from core.training.corpus import TrainingPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor

_NAMES_FIRST = (
    "Ada",
    "Boris",
    "Clara",
    "Dmitri",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
)
_NAMES_LAST = (
    "Abel",
    "Brandt",
    "Castro",
    "Dahl",
    "Egger",
    "Fontaine",
    "Grant",
    "Holm",
    "Ivers",
    "Jansen",
)
_LONG_KINDS = ("joined", "key", "joined", "natural")


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


def tokenised(
    texts: Sequence[str],
    *,
    prompt: str,
    tokenizer: Tokenizer,
    max_tokens: int,
    padding_id: int,
) -> TokenBatch:
    """Prefix, tokenise, cut and pad some texts.

    A token belongs to the text when it reaches past the prompt's last character, so that a space
    shared by both counts with the word that follows.
    """
    encodings = tokenizer.encode_batch([prompt + text for text in texts], add_special_tokens=False)
    rows = []
    for encoding in encodings:
        ids = list(encoding.ids[:max_tokens]) or [padding_id]
        inside = [int(end > len(prompt)) for _, end in encoding.offsets[: len(ids)]] or [1]
        rows.append((ids, inside))
    length = max(len(ids) for ids, _ in rows)
    shape = (len(rows), length)
    token_ids = torch.full(shape, padding_id, dtype=torch.int64)
    attention_mask = torch.zeros(shape, dtype=torch.int64)
    pooled = torch.zeros(shape, dtype=torch.int64)
    for row, (ids, inside) in enumerate(rows):
        token_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
        pooled[row, : len(ids)] = torch.tensor(inside)
    return TokenBatch(token_ids=token_ids, attention_mask=attention_mask, pooled=pooled)


def neighbour_batches(
    pairs: Sequence[TrainingPair],
    *,
    batch: int,
    group: int,
    seed: int,
) -> list[list[int]]:
    """Batches of one source each, made of groups of pairs whose texts resemble each other.

    Every pair's hard negatives thus sit in its own batch and cost no extra tokens. Resemblance is
    BM25 between a query and the other pairs' positives (mining as in the paper's ReasonAug).

    Args:
        pairs: All pairs.
        batch: Pairs a batch.
        group: Pairs a group; 1 mines nothing.
        seed: Of all choices.

    Returns:
        Positions in ``pairs``, batch by batch, in a seeded order; what does not fill a batch of its
        source is left out.
    """
    generator = np.random.default_rng(seed)
    by_source: dict[str, list[int]] = {}
    for position, pair in enumerate(pairs):
        by_source.setdefault(pair.source, []).append(position)
    batches: list[list[int]] = []
    for source in sorted(by_source):
        members = by_source[source]
        groups = _groups([pairs[position] for position in members], group=group, seed=seed)
        mixed = [groups[at] for at in generator.permutation(len(groups))]
        ordered = [members[place] for places in mixed for place in places]
        batches += [ordered[at : at + batch] for at in range(0, len(ordered) - batch + 1, batch)]
    return [batches[at] for at in generator.permutation(len(batches))]


def _groups(pairs: Sequence[TrainingPair], *, group: int, seed: int) -> list[list[int]]:
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    if group <= 1:
        return [[place] for place in order]
    positives = bm25s.tokenize([pair.positive for pair in pairs], show_progress=False)
    index = bm25s.BM25()
    index.index(positives, show_progress=False)
    queries = bm25s.tokenize([pair.query for pair in pairs], show_progress=False)
    depth = min(len(pairs), 8 * group)
    near, _ = index.retrieve(queries, k=depth, show_progress=False)
    free = set(order)
    groups: list[list[int]] = []
    for place in order:
        if place not in free:
            continue
        free.discard(place)
        chosen = [place]
        for other in near[place]:
            if len(chosen) == group:
                break
            candidate = int(other)
            if candidate in free and pairs[candidate].positive != pairs[place].positive:
                free.discard(candidate)
                chosen.append(candidate)
        groups.append(chosen)
    return groups


def long_batches(
    pairs: Sequence[TrainingPair],
    *,
    count: int,
    batch: int,
    lengths: Sequence[int],
    seed: int,
) -> list[list[TrainingPair]]:
    """Batches whose positives are long and whose answer may stand anywhere in them.

    A batch has one kind, one source and one length, so that neither style nor length tells its
    positives apart. Kinds take turns: true positives joined, at a random depth, with others of
    their source; generated key sentences hidden in such texts; joined ones again; positives that
    are long by themselves (joined ones where a source has none).

    Args:
        pairs: Where texts are taken from.
        count: How many batches to make.
        batch: Pairs a batch.
        lengths: Characters aimed at, taken in turn.
        seed: Of all choices.
    """
    generator = np.random.default_rng(seed)
    by_source: dict[str, list[TrainingPair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    rich = [one for one in by_source.values() if len(one) >= 2 * batch] or [list(pairs)]
    natural = {
        length: [one for one in pairs if len(one.positive) >= length] for length in set(lengths)
    }
    made: list[list[TrainingPair]] = []
    for number in range(count):
        kind, length = _LONG_KINDS[number % len(_LONG_KINDS)], lengths[number % len(lengths)]
        source = rich[int(generator.integers(len(rich)))]
        if kind == "natural" and len(natural[length]) >= batch:
            chosen = generator.permutation(len(natural[length]))[:batch]
            own = [natural[length][place] for place in chosen]
            made.append([_long(one.query, one.positive[:length]) for one in own])
            continue
        askers = [source[place] for place in generator.permutation(len(source))[:batch]]
        names = generator.permutation(len(_NAMES_FIRST) * len(_NAMES_LAST))
        found = []
        for asker, name in zip(askers, names.tolist(), strict=False):
            query, answer = asker.query, asker.positive
            if kind == "key":
                query, answer = _key(name, int(generator.integers(10_000, 100_000)))
            filler = _filler(source, avoid=asker.positive, length=length, generator=generator)
            filler.insert(int(generator.integers(len(filler) + 1)), answer)
            found.append(_long(query, "\n\n".join(filler)))
        made.append(found)
    return made


def _filler(
    source: Sequence[TrainingPair], *, avoid: str, length: int, generator: np.random.Generator
) -> list[str]:
    """Positives of a source, each at most a quarter of the length, that reach it together."""
    filler: list[str] = []
    total = 0
    while total < length:
        mate = source[int(generator.integers(len(source)))].positive
        if mate == avoid and len(source) > 1:
            continue
        filler.append(mate[: length // 4])
        total += len(filler[-1])
    return filler


def _key(name: int, key: int) -> tuple[str, str]:
    first, last = divmod(name, len(_NAMES_LAST))
    called = f"{_NAMES_FIRST[first]} {_NAMES_LAST[last]}"
    return (
        f"what is the pass key of {called}?",
        f"The pass key of {called} is {key}. Remember it.",
    )


def _long(query: str, positive: str) -> TrainingPair:
    return TrainingPair(query=query, positive=positive, source="long")


def known_duplicates(pairs: Sequence[TrainingPair]) -> NDArray[np.bool_]:
    """``(n, n)``: whether pair j's positive or query equals pair i's, the diagonal excepted."""
    positives = _numbered([pair.positive for pair in pairs])
    queries = _numbered([pair.query for pair in pairs])
    same: NDArray[np.bool_] = (positives[:, None] == positives[None]) | (
        queries[:, None] == queries[None]
    )
    np.fill_diagonal(same, val=False)
    return same


def _numbered(texts: Sequence[str]) -> NDArray[np.int64]:
    """A number for each text, the same for equal texts."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)
