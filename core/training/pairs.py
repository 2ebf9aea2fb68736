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
_KEY_SHARE = 0.25  # of the long pairs


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


def long_pairs(
    pairs: Sequence[TrainingPair],
    *,
    count: int,
    characters: int,
    seed: int,
) -> list[TrainingPair]:
    """Pairs whose positive is long and whose answer may stand anywhere in it.

    Three in four join a true positive, at a random depth, with positives of other pairs of its
    source; one in four hides a generated key sentence in such a text. Qmsum's own long positives
    come through `read_pairs`.

    Args:
        pairs: Where texts are taken from.
        count: How many to make.
        characters: Length aimed at.
        seed: Of all choices.
    """
    generator = np.random.default_rng(seed)
    by_source: dict[str, list[TrainingPair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    made: list[TrainingPair] = []
    while len(made) < count:
        chosen = pairs[int(generator.integers(len(pairs)))]
        mates = by_source[chosen.source]
        filler: list[str] = []
        length = 0
        while length < characters:
            mate = mates[int(generator.integers(len(mates)))]
            if mate.positive == chosen.positive and len(mates) > 1:
                continue
            filler.append(mate.positive)
            length += len(mate.positive)
        query, answer = chosen.query, chosen.positive
        if generator.random() < _KEY_SHARE:
            name = f"{generator.choice(_NAMES_FIRST)} {generator.choice(_NAMES_LAST)}"
            key = generator.integers(10_000, 100_000)
            query = f"what is the pass key of {name}?"
            answer = f"The pass key of {name} is {key}. Remember it."
        filler.insert(int(generator.integers(len(filler) + 1)), answer)
        made.append(
            TrainingPair(query=query, positive="\n\n".join(filler)[: 2 * characters], source="long")
        )
    return made


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
