"""Encoders whose every number can be worked out by hand.

A word is a token; a concept (a set of words) is a dimension. A token's state is its concept's unit
vector plus ``mix`` times the mean of the unit vectors of the *other* tokens it may see. The
embedding is the mean of the states, at unit length. Unknown words have a dimension of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import Attention, EncoderSpec, Pooling, TextKind, TokenTrace
from core.errors import EncodingError
from core.experiments.context import Context, make_context
from core.monitor import Monitor, Progress, raise_if_stopped
from core.records import Document, Family, Page, Passage, ReceivedText, TextSource, make_passage_id

CONCEPTS = {
    word: place
    for place, words in enumerate(
        (
            "gate gates sluice barrier",
            "flood water river",
            "cake bread oven",
            "music violin song",
            "law court judge",
            "opened closed shut",
        )
    )
    for word in words.split()
}
DIMENSION = 8  # six concepts, unknown words, numbers

SPEC = EncoderSpec(
    encoder_id="words-a",
    label="Words A",
    family=Family.DIFFUSION,
    checkpoint="local:words",
    revision="",
    architecture="llama",
    attention=Attention.BIDIRECTIONAL,
    pooling=Pooling.MEAN,
    query_prompt="",
    passage_prompt="",
    max_tokens=4096,
    dimension=DIMENSION,
    licence="CC0-1.0",
    trained_on="nothing",
    parameters=1000,
)


class WordEncoder:
    """See the module. Deterministic, exact, and fast."""

    def __init__(
        self,
        spec: EncoderSpec = SPEC,
        *,
        mix: float = 0.0,
        fails_after: int | None = None,
        deaf_to: frozenset[str] = frozenset(),
    ) -> None:
        self._spec = spec
        self._mix = mix
        self._fails_after = fails_after
        self._deaf_to = deaf_to
        self.encoded = 0

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def fingerprint(self) -> str:
        return f"{self._spec.encoder_id}-{self._mix}"

    @property
    def passage_fingerprint(self) -> str:
        return self.fingerprint

    @property
    def device(self) -> str:
        return "cpu"

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self._spec.dimension), dtype=np.float32)
        for place, found in enumerate(self.trace(texts, kind=kind)):
            if monitor is not None:
                raise_if_stopped(monitor)
                monitor.report(Progress("embedding", place, len(texts)))
            self.encoded += 1
            if self._fails_after is not None and self.encoded > self._fails_after:
                msg = "the machine ran out of memory; close other programs."
                raise EncodingError(msg)
            rows[place] = _unit(found.weights @ found.states)
        return rows

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        prompt = self._prompt(kind)
        found = []
        for text in texts:
            total = len(re.findall(r"\w+", prompt + text))
            found.append(ReceivedText(prompt + text, total, min(total, self._spec.max_tokens)))
        return tuple(found)

    def trace(
        self,
        texts: Sequence[str],
        *,
        kind: TextKind,
        attention: Attention | None = None,
    ) -> tuple[TokenTrace, ...]:
        how = attention or self._spec.attention
        return tuple(self._trace(text, kind, how) for text in texts)

    def _prompt(self, kind: TextKind) -> str:
        return self._spec.query_prompt if kind is TextKind.QUERY else self._spec.passage_prompt

    def _trace(self, text: str, kind: TextKind, attention: Attention) -> TokenTrace:
        prompt = self._prompt(kind)
        matches = list(re.finditer(r"\w+", prompt + text))
        kept = matches[: self._spec.max_tokens]
        words = [match.group() for match in kept]
        base = np.zeros((len(words), self._spec.dimension), dtype=np.float32)
        for place, word in enumerate(words):
            base[place, self._concept(word)] = 1.0
        states = base.copy()
        for place in range(len(words)):
            seen = _seen(attention, place, len(words))
            if seen and self._mix:
                states[place] += np.float32(self._mix) * base[seen].mean(axis=0)
        offsets = np.array(
            [
                (match.start() - len(prompt), match.end() - len(prompt))
                if match.start() >= len(prompt)
                else (-1, -1)
                for match in kept
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        count = max(1, len(words))
        return TokenTrace(
            token_ids=np.array([hash_of(word) for word in words], dtype=np.int64),
            tokens=tuple(words),
            offsets=offsets,
            states=states,
            weights=np.full(len(words), 1.0 / count, dtype=np.float32),
            tokens_dropped=len(matches) - len(kept),
        )

    def _concept(self, word: str) -> int:
        key = word.casefold()
        if key in self._deaf_to:
            return 6
        if key.isdigit():
            return 7
        return CONCEPTS.get(key, 6)


def hash_of(word: str) -> int:
    value = 0
    for char in word:
        value = (value * 131 + ord(char)) % 1_000_003
    return value


def _seen(attention: Attention, place: int, count: int) -> list[int]:
    if attention is Attention.CAUSAL:
        return list(range(place))
    if attention is Attention.BACKWARD:
        return list(range(place + 1, count))
    return [other for other in range(count) if other != place]


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def document(name: str, text: str) -> Document:
    page = Page(
        1, 0, len(text), 0.0, 0.0, np.full((len(text), 4), np.nan, np.float32), TextSource.PLAIN
    )
    return Document(f"d{name}", f"{name}.txt", name, "text/plain", text, (page,), len(text))


def passages_of(doc: Document, *spans: tuple[int, int]) -> list[Passage]:
    return [
        Passage(
            make_passage_id(doc.doc_id, start, end),
            doc.doc_id,
            start,
            end,
            doc.text[start:end],
            1,
            1,
        )
        for start, end in spans
    ]


def texts_of(documents: Sequence[Document]) -> dict[str, str]:
    """Text by document id."""
    return {doc.doc_id: doc.text for doc in documents}


def paragraphs(doc: Document) -> list[Passage]:
    """One passage per blank-line separated paragraph."""
    return passages_of(
        doc, *(match.span() for match in re.finditer(r"[^\n](?:.|\n(?!\n))*", doc.text))
    )


def context_of(
    documents: Sequence[Document],
    encoders: tuple[WordEncoder, WordEncoder],
    *,
    order: int = 1,
    lexical: bool = True,
) -> Context:
    passages = [passage for doc in documents for passage in paragraphs(doc)][::order]
    texts = [passage.text for passage in passages]
    return make_context(
        passages,
        documents,
        encoders=encoders,
        vectors=(
            encoders[0].encode(texts, kind=TextKind.PASSAGE),
            encoders[1].encode(texts, kind=TextKind.PASSAGE),
        ),
        lexical=lexical,
    )


def spec_b(**changes: object) -> EncoderSpec:
    """B's spec: A's, with another name and family."""
    spec = replace(
        SPEC,
        encoder_id="words-b",
        label="Words B",
        family=Family.AUTOREGRESSIVE,
        attention=Attention.CAUSAL,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


RIVER = document(
    "river",
    """The Sluice Gates

A sluice gate is a barrier that slides in grooves. The gates were closed in March. The flood came in April.

When the river rises, the gates are opened by hand. The court asked why the barrier was shut.

The bread came out of the oven. Nobody opened the sluice that day.""",
)
KITCHEN = document(
    "kitchen",
    """Bread and Cake

Bread is a food that is baked in an oven. The oven should be hot before the bread goes in. The cake needs an hour.

A song about bread was heard in court. The judge had a violin. The music was closed by law.""",
)
HARBOUR = document(
    "harbour",
    "The old harbour wind. A storm broke the glass.\n\nThe glass of the harbour. Old wind and storm.",
)


def word_context(a: WordEncoder | None = None, b: WordEncoder | None = None) -> Context:
    """The river and the kitchen under two word encoders; plain ones unless others are given."""
    return context_of([RIVER, KITCHEN], (a or WordEncoder(), b or WordEncoder(spec_b())))


def passage_with(context: Context, words: str) -> str:
    """Return the id of the first passage that holds these words."""
    return next(p.passage_id for p in context.corpus.passages if words in p.text)
