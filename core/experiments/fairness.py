"""Is the difference between the encoders real? Their inputs, their settings, and chance.

Everything here is read from what was really sent and from the encoders' specs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.encoders.catalogue import shown_checkpoint
from core.encoders.spec import Encoder, EncoderSpec, Pooling, TextKind, choice_of
from core.experiments.context import Context, encode, guarded, limit_of
from core.experiments.experiment import QUERY, Experiment, Field, Kind
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.render import Html, render
from core.render.plots import Scale, nice_ticks
from core.render.systems import family_kind
from core.search.background import Background
from core.words import number, percent, percentile

_BLOCK = 256
_NOTICEABLE_CUT = 0.005  # half a percent of passages
_NOTICEABLE_TOKENS = 0.10  # one encoder needs ten percent more tokens for the same texts
_NOTICEABLE_SIZE = 1.25  # ratio of weights
_HISTOGRAM_BINS = 40
_BUNDLED = "bundled:"


@dataclass(frozen=True, slots=True)
class EncoderAccount:
    """Properties of one encoder, for the panel."""

    system_id: str  # its id
    label: str  # its name
    family: str  # of the encoder
    checkpoint: str  # where its weights come from
    revision: str  # commit or hash of those weights; "" for a local folder
    fingerprint: str  # digest of everything that decides its vectors
    architecture: str  # stock class family
    attention: str  # direction
    pooling: str  # how states become an embedding
    query_prompt: str  # before every query, as the spec has it
    passage_prompt: str  # before every passage
    instruction: str  # what ``{instruction}`` means by default
    max_tokens: int  # limit in force
    dimension: int  # of the embedding
    dtype: str  # compute type
    device: str  # where it runs
    parameters: int  # weights that run
    licence: str  # of the weights
    trained_on: str  # one sentence
    # what was chosen for its embeddings: mean-centring, fewer dimensions, quantisation; "" when
    # they are as they are
    options: str = ""
    adapter: str = ""  # name of the LoRA adapter merged into it; "" for none


@dataclass(frozen=True, slots=True)
class TextAccount:
    """Tokens that one encoder read of one text."""

    system_id: str  # the encoder
    kind: str  # ``query`` or ``passage``
    item_id: str  # ``query`` or the passage id
    text: str  # the exact string, prompt included. Hostile text: escape it.
    tokens_total: int  # tokens of the whole string
    tokens_kept: int  # tokens that entered the backbone
    tokens_dropped: int  # cut off at the end
    seconds: float  # time to embed it alone, measured now; NaN when not measured


@dataclass(frozen=True, slots=True)
class TokenStats:
    """Tokens of the whole corpus for one encoder, kept and dropped."""

    system_id: str  # the encoder
    passages: int  # how many were counted
    cut: int  # passages that lost their end
    tokens: int  # tokens of all passages together, before cutting
    dropped: int  # tokens cut off, all passages together
    # tokens per passage: smallest, 25th, 50th, 75th, 95th percentile, largest
    quantiles: tuple[int, int, int, int, int, int]
    max_tokens: int  # the limit they were cut at

    @property
    def share_cut(self) -> float:
        """Share of passages that lost their end, 0 to 1."""
        return self.cut / self.passages if self.passages else 0.0


@dataclass(frozen=True, slots=True)
class HitPlace:
    """A hit's place in an encoder's background."""

    passage_id: str
    score: float
    z: float
    percentile: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """An encoder's background as a histogram, and the places of the hits in it."""

    system_id: str  # the encoder. Its axis is its own: never put two encoders on one.
    pairs: str  # the pairs of the background, in words
    samples: int  # how many
    mean: float  # of their scores
    deviation: float  # standard deviation
    edges: tuple[float, ...]  # ``bins + 1`` ascending scores
    counts: tuple[int, ...]  # pairs per bin
    hits: tuple[HitPlace, ...]  # best first, as given
    off_topic_mark: float  # median of the best scores of off-topic questions; NaN without any


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """The panel."""

    a: EncoderAccount  # system A
    b: EncoderAccount  # system B
    texts: tuple[TextAccount, ...]  # the query and the passages shown, as each encoder got them
    stats_a: TokenStats  # a over the corpus
    stats_b: TokenStats  # b over the corpus
    calibration: tuple[Calibration, Calibration]  # of A and of B
    # where the encoders differ in anything but themselves, each a sentence; empty if nowhere
    flags: tuple[str, ...]
    equal_limit: int  # the token limit that would treat both alike; 0 when they are alike already
    query: str = ""  # what was asked; "" for nothing


def account_of(encoder: Encoder) -> EncoderAccount:
    """Properties of an encoder."""
    spec = encoder.spec
    return EncoderAccount(
        system_id=spec.encoder_id,
        label=spec.label,
        family=str(spec.family),
        checkpoint=shown_checkpoint(spec),
        revision=_revision(spec),
        fingerprint=encoder.fingerprint,
        architecture=spec.architecture,
        attention=str(spec.attention),
        pooling=str(spec.pooling),
        query_prompt=spec.query_prompt,
        passage_prompt=spec.passage_prompt,
        instruction=spec.default_instruction,
        max_tokens=limit_of(encoder),
        dimension=int(getattr(encoder, "dimension", spec.dimension)),
        dtype=spec.dtype,
        device=encoder.device,
        parameters=spec.parameters,
        licence=spec.licence,
        trained_on=spec.trained_on,
        options=options_of(encoder),
        adapter=Path(spec.adapter).name,
    )


def options_of(encoder: Encoder) -> str:
    """Options of an encoder's embeddings in words: ``mean-centred, int8``; "" for none."""
    return choice_of(encoder).words


def _revision(spec: EncoderSpec) -> str:
    return f"{spec.revision} ({spec.revision_origin})" if spec.revision_origin else spec.revision


def text_accounts(
    encoder: Encoder,
    texts: Sequence[str],
    item_ids: Sequence[str],
    *,
    kind: TextKind,
    measure_seconds: bool = False,
) -> tuple[TextAccount, ...]:
    """Tokens of texts for an encoder; with ``measure_seconds`` each is embedded once, alone."""
    received = guarded(encoder, partial(encoder.received, texts, kind=kind))
    accounts = []
    for text, item_id, got in zip(texts, item_ids, received, strict=True):
        seconds = float("nan")
        if measure_seconds:
            started = time.perf_counter()
            encode(encoder, [text], kind=kind)
            seconds = time.perf_counter() - started
        accounts.append(
            TextAccount(
                system_id=encoder.spec.encoder_id,
                kind=str(kind),
                item_id=item_id,
                text=got.text,
                tokens_total=got.tokens_total,
                tokens_kept=got.tokens_kept,
                tokens_dropped=got.tokens_dropped,
                seconds=seconds,
            )
        )
    return tuple(accounts)


def token_stats(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    kind: TextKind = TextKind.PASSAGE,
    monitor: Monitor | None = None,
) -> TokenStats:
    """Count kept and dropped tokens of many texts. Tokenises, never runs the backbone."""
    watch = monitor or SilentMonitor()
    totals: list[int] = []
    kept: list[int] = []
    stage = f"counting tokens ({encoder.spec.label})"
    for start in range(0, len(texts), _BLOCK):
        raise_if_stopped(watch)
        watch.report(Progress(stage, start, len(texts)))
        block = texts[start : start + _BLOCK]
        received = guarded(encoder, partial(encoder.received, block, kind=kind))
        totals += [got.tokens_total for got in received]
        kept += [got.tokens_kept for got in received]
    watch.report(Progress(stage, len(texts), len(texts)))
    return _stats(encoder, totals, kept)


def _stats(encoder: Encoder, totals: Sequence[int], kept: Sequence[int]) -> TokenStats:
    quantiles = (
        np.percentile(totals, (0, 25, 50, 75, 95, 100), method="nearest") if totals else np.zeros(6)
    )
    low, first, middle, third, most, high = (int(value) for value in quantiles)
    return TokenStats(
        system_id=encoder.spec.encoder_id,
        passages=len(totals),
        cut=sum(whole > got for whole, got in zip(totals, kept, strict=True)),
        tokens=sum(totals),
        dropped=sum(totals) - sum(kept),
        quantiles=(low, first, middle, third, most, high),
        max_tokens=limit_of(encoder),
    )


def red_flags(
    spec_a: EncoderSpec, spec_b: EncoderSpec, stats: tuple[TokenStats, TokenStats] | None = None
) -> tuple[str, ...]:
    """Differences between two encoders that the pair is not about, in words.

    The pair is about the family: how the backbone was pre-trained, and with it which way it
    attends. Everything else that differs can explain a difference of rankings just as well.

    Args:
        spec_a: Of A.
        spec_b: Of B.
        stats: Both encoders' counts over the corpus, where they were taken.

    Returns:
        Sentences, gravest first; empty when the encoders differ in nothing else. Swapping the encoders
        swaps the names in the sentences and nothing else.
    """
    a, b = spec_a.label, spec_b.label
    flags = _truncation_flags(spec_a, spec_b, stats)
    if spec_a.pooling is not spec_b.pooling:
        flags.append(
            f"Pooling differs: {a} uses {_pooling(spec_a)}, {b} uses {_pooling(spec_b)}. "
            "In one controlled study pooling moved causal encoders by about a point, "
            "more than the family did."
        )
    flags += _prompt_flags(spec_a, spec_b)
    if spec_a.dtype != spec_b.dtype:
        flags.append(
            f"{a} computes in {spec_a.dtype}, {b} in {spec_b.dtype}; low precision does not hurt "
            "both kinds of attention alike."
        )
    if spec_a.dimension != spec_b.dimension:
        flags.append(
            f"The embeddings differ in size: {a} {spec_a.dimension}, {b} {spec_b.dimension} "
            "numbers. Compare ranks, never raw scores."
        )
    small, large = sorted((spec_a.parameters, spec_b.parameters))
    if small and large / small >= _NOTICEABLE_SIZE:
        flags.append(
            f"The backbones differ in size: {a} runs {_millions(spec_a.parameters)}, "
            f"{b} {_millions(spec_b.parameters)} weights."
        )
    if spec_a.architecture != spec_b.architecture:
        flags.append(
            f"The backbones are built differently: {a} is {spec_a.architecture}, "
            f"{b} is {spec_b.architecture}."
        )
    # two encoders of one bundle were trained together: their own adaptation is what is compared
    together = spec_a.checkpoint == spec_b.checkpoint and spec_a.checkpoint.startswith(_BUNDLED)
    if spec_a.trained_on != spec_b.trained_on and not together:
        flags.append(
            "They were trained on different things, which may explain any difference: "
            f"{a}: {_sentence(spec_a.trained_on)} {b}: {_sentence(spec_b.trained_on)}"
        )
    if spec_a.family is spec_b.family:
        flags.append(
            f"Both encoders are {spec_a.family} encoders, so this comparison says nothing about "
            "diffusion against autoregressive pre-training."
        )
    return tuple(flags)


def _option_flags(
    specs: tuple[EncoderSpec, EncoderSpec], options: tuple[str, str]
) -> tuple[str, ...]:
    """Options of the embeddings of one encoder, or of both, in words."""
    if not any(options):
        return ()
    if options[0] == options[1]:
        return (
            f"Both encoders' embeddings are {options[0]}, by choice in this library's settings.",
        )
    said = " and ".join(
        f"{spec.label} is {words or 'as it is'}" for spec, words in zip(specs, options, strict=True)
    )
    return (
        f"By choice in this library's settings {said}; treat both alike before you believe a "
        "difference.",
    )


def _truncation_flags(
    spec_a: EncoderSpec, spec_b: EncoderSpec, stats: tuple[TokenStats, TokenStats] | None
) -> list[str]:
    flags = []
    if stats is not None:
        shares = (stats[0].share_cut, stats[1].share_cut)
        if abs(shares[0] - shares[1]) > _NOTICEABLE_CUT:
            worse, other = (0, 1) if shares[0] > shares[1] else (1, 0)
            names = (spec_a.label, spec_b.label)
            flags.append(
                f"{names[worse]} was cut on {percent(shares[worse])} of passages at "
                f"{stats[worse].max_tokens:,} tokens, {names[other]} on "
                f"{percent(shares[other])}. Run both at equal limits before you believe a "
                "difference on long passages."
            )
        elif max(shares) > _NOTICEABLE_CUT:
            flags.append(
                f"Both encoders were cut on about {percent(max(shares))} of passages: what stands at "
                "their ends was read by neither. Choose smaller passages."
            )
    limits = _limits(spec_a, spec_b, stats)
    if limits[0] != limits[1]:
        flags.append(
            f"The limits differ: {spec_a.label} reads up to {limits[0]:,} tokens, "
            f"{spec_b.label} up to {limits[1]:,}."
        )
    if stats is not None and min(stats[0].tokens, stats[1].tokens):
        ratio = stats[0].tokens / stats[1].tokens
        more, fewer = (spec_a, spec_b) if ratio > 1 else (spec_b, spec_a)
        excess = max(ratio, 1 / ratio) - 1
        if excess > _NOTICEABLE_TOKENS:
            flags.append(
                f"The vocabularies differ: {more.label} needs {percent(excess)} more tokens than "
                f"{fewer.label} for the same passages, so equal token limits are not equal texts."
            )
    return flags


def _limits(
    spec_a: EncoderSpec, spec_b: EncoderSpec, stats: tuple[TokenStats, TokenStats] | None
) -> tuple[int, int]:
    """Token limits in force: those of the counts, else those of the specs."""
    if stats is None:
        return spec_a.max_tokens, spec_b.max_tokens
    return stats[0].max_tokens, stats[1].max_tokens


def _prompt_flags(spec_a: EncoderSpec, spec_b: EncoderSpec) -> list[str]:
    flags = []
    for side, prompt_a, prompt_b in (
        ("queries", spec_a.query_prompt, spec_b.query_prompt),
        ("passages", spec_a.passage_prompt, spec_b.passage_prompt),
    ):
        if prompt_a != prompt_b:
            flags.append(
                f"The prompt before {side} differs: {spec_a.label} gets {_quoted(prompt_a)}, "
                f"{spec_b.label} {_quoted(prompt_b)}."
            )
    uses = any("{instruction}" in spec.query_prompt for spec in (spec_a, spec_b))
    if uses and spec_a.default_instruction != spec_b.default_instruction:
        flags.append(
            f"The default instruction differs: {spec_a.label} gets "
            f"{_quoted(spec_a.default_instruction)}, {spec_b.label} "
            f"{_quoted(spec_b.default_instruction)}."
        )
    return flags


def _pooling(spec: EncoderSpec) -> str:
    return "the last token" if spec.pooling is Pooling.LAST_TOKEN else f"the {spec.pooling}"


def _millions(count: int) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.0f} million"


def _quoted(prompt: str) -> str:
    return f"“{prompt.rstrip()}”" if prompt.strip() else "nothing"


def _sentence(text: str) -> str:
    text = text.strip() or "not known"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def equal_limit(
    spec_a: EncoderSpec, spec_b: EncoderSpec, stats: tuple[TokenStats, TokenStats] | None = None
) -> int:
    """Return the token limit that treats both encoders alike, or 0 when they are alike already.

    It is the smaller of both limits. Where nothing in the corpus reaches it, nothing changes but
    the words: no passage is cut on either side then.

    Args:
        spec_a: Of A.
        spec_b: Of B.
        stats: With them, limits that differ but cut nothing count as alike.
    """
    limits = _limits(spec_a, spec_b, stats)
    if limits[0] == limits[1]:
        return 0
    if stats is not None and not stats[0].cut and not stats[1].cut:
        return 0
    return min(limits)


def calibrate(
    system_id: str,
    background: Background,
    hits: Sequence[tuple[str, float]],
    *,
    bins: int = _HISTOGRAM_BINS,
) -> Calibration:
    """Draw an encoder's background as a histogram with the hits' places in it.

    Args:
        system_id: The encoder.
        background: Of the encoder.
        hits: (passage id, score), best first.
        bins: How many bars.
    """
    scores = background.quantiles
    counts, edges = np.histogram(scores, bins=bins) if scores else (np.zeros(0), np.zeros(0))
    counts = counts * (background.samples / max(len(scores), 1))
    places = []
    for passage_id, score in hits:
        z, percentile = background.z(score), background.percentile(score)
        places.append(
            HitPlace(
                passage_id,
                score,
                float("nan") if z is None else z,
                float("nan") if percentile is None else percentile,
            )
        )
    return Calibration(
        system_id=system_id,
        pairs=background.pairs,
        samples=background.samples,
        mean=background.mean,
        deviation=background.deviation,
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(round(float(count)) for count in counts),
        hits=tuple(places),
        off_topic_mark=float(np.median(background.off_topic))
        if background.off_topic
        else float("nan"),
    )


def fairness(
    context: Context,
    query: str,
    passage_ids: Sequence[str],
    *,
    measure_seconds: bool = False,
    monitor: Monitor | None = None,
) -> FairnessReport:
    """Make the whole panel for a query and the passages shown for it.

    Args:
        context: Both encoders over the corpus.
        query: What was asked; "" leaves it out.
        passage_ids: Shown passages.
        measure_seconds: Embed each shown text once, alone, and note the time.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If a passage is not in the corpus.
        EncodingError: If an encoder fails; its name is in the message.
        StoppedError: If stopped.
    """
    corpus = context.corpus
    rows = [corpus.position(passage_id) for passage_id in passage_ids]
    texts: list[TextAccount] = []
    calibrations = []
    for indexed in context.encoders:
        if query:
            texts += text_accounts(
                indexed.encoder,
                [query],
                ["query"],
                kind=TextKind.QUERY,
                measure_seconds=measure_seconds,
            )
        texts += text_accounts(
            indexed.encoder,
            [corpus.passages[row].text for row in rows],
            passage_ids,
            kind=TextKind.PASSAGE,
            measure_seconds=measure_seconds,
        )
        hits: list[tuple[str, float]] = []
        if query:
            vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
            scores = indexed.vectors[rows] @ vector
            found = zip(passage_ids, (float(score) for score in scores), strict=True)
            hits = sorted(found, key=lambda hit: (-hit[1], hit[0]))
        calibrations.append(calibrate(indexed.system_id, indexed.background, hits))
    stats = corpus_stats(context, monitor=monitor)
    specs = (context.a.encoder.spec, context.b.encoder.spec)
    return FairnessReport(
        a=account_of(context.a.encoder),
        b=account_of(context.b.encoder),
        texts=tuple(texts),
        stats_a=stats[0],
        stats_b=stats[1],
        calibration=(calibrations[0], calibrations[1]),
        flags=(
            *_option_flags(specs, (options_of(context.a.encoder), options_of(context.b.encoder))),
            *red_flags(*specs, stats),
        ),
        equal_limit=equal_limit(*specs, stats),
        query=query,
    )


_FACTS = (
    ("family", "family"),
    ("attention", "attention"),
    ("pooling", "pooling"),
    ("max_tokens", "token limit"),
    ("query_prompt", "query prompt"),
    ("passage_prompt", "passage prompt"),
    ("instruction", "instruction"),
    ("dimension", "dimension"),
    ("options", "options of its embeddings"),
    ("adapter", "adapter merged"),
    ("parameters", "weights that run"),
    ("dtype", "compute type"),
    ("device", "device"),
    ("architecture", "architecture"),
    ("checkpoint", "checkpoint"),
    ("revision", "revision or hash"),
    ("fingerprint", "fingerprint"),
    ("trained_on", "trained on"),
    ("licence", "licence"),
)
_OWN_FACTS = {"family", "checkpoint", "fingerprint", "revision"}  # differ in every pair


def show(found: FairnessReport) -> Html:
    """Return the panel: red flags in words first, then every fact side by side."""
    accounts = {found.a.system_id: found.a, found.b.system_id: found.b}
    texts: dict[str, list[tuple[EncoderAccount, TextAccount]]] = {}
    for item in found.texts:
        title = item.kind if item.kind == "query" else item.item_id
        texts.setdefault(title, []).append((accounts[item.system_id], item))
    return render(
        "fairness",
        found=found,
        kind=family_kind,
        facts=[
            (label, one, other, one != other and name not in _OWN_FACTS)
            for name, label in _FACTS
            for one, other in [(getattr(found.a, name), getattr(found.b, name))]
        ],
        calibrations=[
            (account, item, _plot(item))
            for account, item in zip((found.a, found.b), found.calibration, strict=True)
        ],
        texts=list(texts.items()),
    )


def _plot(item: Calibration) -> dict[str, Any] | None:
    """Return the places of a histogram, its marks and its axis; None without a background."""
    if not item.edges:
        return None
    width, height, base = 460, 170, 130
    off_topic = [item.off_topic_mark] if math.isfinite(item.off_topic_mark) else []
    values = [item.edges[0], item.edges[-1], *(hit.score for hit in item.hits)]
    ticks = nice_ticks(min(values), max(values + off_topic), 6)
    across = Scale(ticks[0], ticks[-1], 10, width - 10)
    most = max(item.counts, default=1) or 1
    return {
        "width": width,
        "height": height,
        "base": base,
        "bars": [
            (across(left), max(0.5, across(right) - across(left) - 0.5), base - high, high)
            for left, right, count in zip(item.edges, item.edges[1:], item.counts, strict=False)
            for high in [round(100 * count / most, 1)]
        ],
        "off_topic": across(off_topic[0]) if off_topic else None,
        "hits": [
            (
                across(hit.score),
                f"cosine {number(hit.score, 3)}, z {number(hit.z)}, "
                f"{percentile(hit.percentile)} percentile",
            )
            for hit in item.hits
        ],
        "ticks": [(across(tick), number(tick, 2)) for tick in ticks],
    }


EXPERIMENTS = (
    Experiment(
        name="fairness",
        verb="fairness",
        title="Fairness",
        about="Account for both encoders: limits, prompts, tokens cut, red flags in words.",
        hint="Everything that could make a difference other than the encoders themselves: limits, "
        "prompts, pooling, tokens cut, and what a score means here.",
        fields=(
            replace(QUERY, needed=False, about="Shown beside them; may be empty."),
            Field("passage_ids", Kind.PASSAGES, "Passages shown beside them; may be empty."),
        ),
        record=FairnessReport,
        show=show,
        run=partial(fairness, measure_seconds=True),
        order=5,
    ),
)


def corpus_stats(
    context: Context, *, monitor: Monitor | None = None
) -> tuple[TokenStats, TokenStats]:
    """Count both encoders' tokens over the whole corpus; worth keeping, it never changes for it."""
    texts = [passage.text for passage in context.corpus.passages]
    return (
        token_stats(context.a.encoder, texts, monitor=monitor),
        token_stats(context.b.encoder, texts, monitor=monitor),
    )
