"""Rank-biased overlap: agreement of two rankings that counts the top most.

Source: W. Webber, A. Moffat, J. Zobel, "A similarity measure for indefinite rankings",
ACM TOIS 28(4), 2010, doi:10.1145/1852102.1852106; equation numbers below are the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.comparison.measures.measure import Measure
from core.errors import InvalidSettingError

DEFAULT_P = 0.9  # the first 10 ranks carry 86 % of the weight


def rank_biased_overlap(
    a: Sequence[str], b: Sequence[str], *, p: float = DEFAULT_P
) -> dict[str, float]:
    """Compare two rankings of possibly different length.

    Args:
        a: Passage ids of system A, best first, none twice.
        b: Passage ids of system B, for the same query.
        p: Persistence in (0, 1): the chance that a reader at one rank goes on to the next.

    Returns:
        rbo: RBO_ext (eq. 32), extrapolated: the agreement seen is taken to go on. In [0, 1].
        rbo_residual: RBO_res (eq. 30): how much RBO_min could still grow by hits below the depth.
        rbo_p: ``p``.
        rbo_depth: Length of the longer ranking.
        With an empty ranking there is nothing to extrapolate: 0.0 and a residual of 1.0.

    Raises:
        InvalidSettingError: If p is not strictly between 0 and 1.
    """
    if not 0.0 < p < 1.0:
        raise InvalidSettingError(f"RBO's p is {p}; choose a number between 0 and 1.")
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    ext, residual = 0.0, 1.0
    if shorter:
        overlaps = _overlaps(longer, shorter)
        ext = _extrapolated(overlaps, len(shorter), p=p)
        residual = _residual(overlaps[-1], len(longer), len(shorter), p=p)
    return {
        "rbo": min(max(ext, 0.0), 1.0),  # rounding may leave 1.0000000000000002
        "rbo_residual": min(max(residual, 0.0), 1.0),
        "rbo_p": p,
        "rbo_depth": len(longer),
    }


def _overlaps(longer: Sequence[str], shorter: Sequence[str]) -> list[int]:
    """X_d for d = 1 .. len(longer): passages in both top d; the shorter stops growing early."""
    seen_longer: set[str] = set()
    seen_shorter: set[str] = set()
    shared = 0
    overlaps = []
    for depth, passage_id in enumerate(longer):
        seen_longer.add(passage_id)
        shared += passage_id in seen_shorter
        if depth < len(shorter):
            seen_shorter.add(shorter[depth])
            shared += shorter[depth] in seen_longer
        overlaps.append(shared)
    return overlaps


def _extrapolated(overlaps: Sequence[int], short: int, *, p: float) -> float:
    """RBO_ext, equation 32; for rankings of equal length it is equation 23."""
    long = len(overlaps)
    at_short = overlaps[short - 1]
    at_long = overlaps[-1]
    seen = sum(shared / d * p**d for d, shared in enumerate(overlaps, start=1))
    assumed = sum(at_short * (d - short) / (short * d) * p**d for d in range(short + 1, long + 1))
    tail = ((at_long - at_short) / long + at_short / short) * p**long
    return (1 - p) / p * (seen + assumed) + tail


def _residual(at_long: int, long: int, short: int, *, p: float) -> float:
    """RBO_res, equation 30."""
    full = long + short - at_long  # from this depth on, agreement could be complete
    short_part = short * sum(p**d / d for d in range(short + 1, full + 1))
    long_part = long * sum(p**d / d for d in range(long + 1, full + 1))
    log_part = at_long * (math.log(1 / (1 - p)) - sum(p**d / d for d in range(1, full + 1)))
    return p**short + p**long - p**full - (1 - p) / p * (short_part + long_part + log_part)


MEASURE = Measure(
    name="rbo",
    label="RBO",
    meaning="Agreement of the two orders, the top counting most. 1 is the same list, 0 has "
    "nothing in common.",
    how="Rank-biased overlap (Webber, Moffat, Zobel 2010), extrapolated, persistence p = "
    "{rbo_p:.2f}, over the first {rbo_depth} hits. What lies below could still add at most "
    "{rbo_residual:.3f}.",
    compute=lambda a, b, _k: rank_biased_overlap(a, b),
    order=30,
)
