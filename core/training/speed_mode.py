"""Is there a faster arithmetic that leaves rankings alone? The experiment, for both arms alike.

Float32 and 8-bit products take turns on the same texts within one process, so that a busy machine
slows both; the best of several rounds counts. Nothing here is used when Bifocal searches.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.encoders.spec import TextKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.encoders.encoder import LoadedEncoder

WANTED_SPEED = 1.8
WANTED_RBO = 0.98
PASSAGE_TOKENS = 256
# also the words of `tests/tools/bench`: both measure texts of one kind
WORDS = [
    "the",
    "quick",
    "report",
    "describes",
    "methods",
    "results",
    "and",
    "limits",
    "of",
    "a",
    "study",
    "about",
    "rivers",
    "harbours",
    "ships",
    "letters",
    "proofs",
    "enzymes",
    "receptors",
    "financial",
    "markets",
    "contracts",
    "courts",
    "engines",
    "signals",
    "noise",
    "however",
    "evidence",
    "suggests",
    "that",
    "earlier",
    "measurements",
    "were",
    "taken",
    "under",
    "different",
    "conditions",
]
CALIBRATION = (
    "The committee met on Tuesday, 14 March 2017, and agreed that the budget of $2.4 million would "
    "be spent before the end of the year.",
    "Let f be a continuous function on the closed interval [a, b]. Then f attains its maximum, "
    "because the image of a compact set is compact.",
    "def area(width, height):\n    return width * height  # square metres",
    "Aspirin irreversibly inhibits cyclo-oxygenase; patients who took it had fewer strokes (12% "
    "against 19%, p < 0.01) but bled more often.",
    "She looked out over the grey harbour and wondered whether the ship would ever come back.",
    "Usage: tar -xzf FILE [-C DIR] extracts a compressed archive into a folder.",
    "What is the capital of Australia, and why is it neither Sydney nor Melbourne?",
    "In Kraft getreten am 1. Januar; siehe Absatz 3 der Verordnung.",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Both forms of one encoder on passages of one length.

    Attributes:
        encoder_id: Which.
        threads: Of torch.
        tokens_per_passage: Prompt included.
        float_tokens_per_second: By processor time where one thread ran, else by the wall clock.
        fast_tokens_per_second: The same for the 8-bit form.
        ratio: Second by first.
    """

    encoder_id: str
    threads: int
    tokens_per_passage: int
    float_tokens_per_second: float
    fast_tokens_per_second: float
    ratio: float

    def to_fields(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def measured_speed(
    plain: LoadedEncoder, fast: LoadedEncoder, *, passages: int = 8, rounds: int = 5
) -> Speed:
    """Let both forms embed the same passages in turns; the best round of each counts.

    Args:
        plain: Float32.
        fast: The other form.
        passages: How many of `PASSAGE_TOKENS` tokens in a round.
        rounds: How many.
    """
    texts = even_texts(plain, passages)
    tokens = sum(one.tokens_kept for one in plain.received(texts, kind=TextKind.PASSAGE))
    threads = torch.get_num_threads()
    clock: Callable[[], float] = time.process_time if threads == 1 else time.perf_counter
    best = {"plain": np.inf, "fast": np.inf}
    for _ in range(rounds):
        for name, encoder in (("plain", plain), ("fast", fast)):
            started = clock()
            encoder.encode(texts, kind=TextKind.PASSAGE)
            best[name] = min(best[name], clock() - started)
    return Speed(
        encoder_id=plain.spec.encoder_id,
        threads=threads,
        tokens_per_passage=round(tokens / len(texts)),
        float_tokens_per_second=tokens / best["plain"],
        fast_tokens_per_second=tokens / best["fast"],
        ratio=best["plain"] / best["fast"],
    )


def even_texts(encoder: LoadedEncoder, count: int) -> list[str]:
    """Make different texts of `PASSAGE_TOKENS` tokens each, prompt included."""
    generator = np.random.default_rng(1)
    texts = []
    for _ in range(count):
        words = list(generator.choice(WORDS, PASSAGE_TOKENS))
        while True:
            (received,) = encoder.received([" ".join(words)], kind=TextKind.PASSAGE)
            if received.tokens_total <= PASSAGE_TOKENS:
                break
            del words[-max(1, (received.tokens_total - PASSAGE_TOKENS) // 3) :]
        texts.append(" ".join(words))
    return texts


def batch_dependence(encoder: LoadedEncoder) -> float:
    """Return the largest difference between a text's vector alone and among others."""
    texts = [" ".join(WORDS[: 3 + 5 * place]) for place in range(6)]
    together = encoder.encode(texts, kind=TextKind.PASSAGE)
    alone = [encoder.encode([text], kind=TextKind.PASSAGE)[0] for text in texts]
    return float(np.abs(together - np.stack(alone)).max())
