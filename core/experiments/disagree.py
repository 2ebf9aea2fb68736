"""Where the encoders part, without a query from anyone: drafts through every system, most apart first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from core.comparison.measures.overlap import overlap_at_k
from core.comparison.measures.rbo import rank_biased_overlap
from core.encoders.spec import TextKind
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.evaluation.beir import content_hash
from core.evaluation.runs import KeptRun, new_run
from core.experiments.context import (
    LEXICAL_ID,
    Context,
    Corpus,
    Floats,
    Hushed,
    SystemName,
    encode,
    limit_of,
    name_of,
    rank_of,
    word_count,
)
from core.experiments.drafts import DRAFTING_RULES, Draft, DraftKind, draft_queries
from core.experiments.experiment import SEED, Experiment, Field, Kind, Place
from core.experiments.verdict import Lead, Outcome, Verdict, verdict
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Family, Passage
from core.render import Html, render
from core.render.plots import Scale, line_chart, nice_ticks
from core.render.strips import named
from core.render.systems import family_kind, page_range
from core.render.systems import named as named_family
from core.search.order import best_positions
from core.words import MINUS, percent

RBO_P = 0.9  # the first ten ranks carry 86 % of the weight
_BLOCK = 32
_BINS = 6
_HUBS = 5
_FEW = 20
_RUN_DEPTH = 10
# figures of a query with one right passage, by its rank
_GAINS: Mapping[str, Callable[[int], float]] = {
    "nDCG@10": lambda rank: 1 / math.log2(rank + 1),
    "Recall@10": lambda _: 1.0,
    "MRR@10": lambda rank: 1 / rank,
}
_KIND_WORDS = {
    str(DraftKind.HEADING): "headings",
    str(DraftKind.DEFINITION): "questions for a definition",
    str(DraftKind.QUESTION): "questions made of sentences",
    str(DraftKind.KEYWORDS): "keywords",
    str(DraftKind.PARAGRAPH): "whole paragraphs",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one draft."""

    draft: Draft  # the query and where it came from
    # ``1 - RBO_ext`` of the two top k (p = 0.9): 0 when they are the same, 1 when they share
    # nothing; a difference at rank 1 weighs ten times one at rank 10 and more
    disagreement: float
    overlap: float  # passages in both top k, over k
    top_a: tuple[str, ...]  # passage ids of A's top k, best first
    top_b: tuple[str, ...]  # of B's
    source_rank_a: int  # where A puts the passage the query was drafted from
    source_rank_b: int  # where B puts it
    # where BM25 puts it; None where no word matches, or without BM25
    source_rank_lexical: int | None
    query_words: int  # length of the query
    passage_chars: int  # length of the source passage
    # where the source passage begins in its document: 0 at its start, below 1 at its end
    depth: float


@dataclass(frozen=True, slots=True)
class AgreementBin:
    """Mean agreement over findings whose value lies in a range."""

    low: float  # smallest value in the bin
    high: float  # largest
    count: int  # findings in it
    overlap: float  # mean overlap@k
    rbo: float  # mean RBO
    # half width of the 95 % interval of the mean RBO (normal approximation); 0 with one
    margin: float


@dataclass(frozen=True, slots=True)
class DocumentShare:
    """How much of both encoders' top k one document takes."""

    doc_id: str  # the document
    name: str  # its name. Hostile text: escape it.
    passages: float  # share of the corpus that is this document's, 0 to 1
    share_a: float  # share of A's hits, over all drafts
    share_b: float  # share of B's

    @property
    def leaning(self) -> float:
        """``share_a - share_b``: above 0 where A favours the document."""
        return self.share_a - self.share_b


@dataclass(frozen=True, slots=True)
class Hub:
    """A passage that comes up for many queries, and in how many top k it stands."""

    passage_id: str
    count: int


@dataclass(frozen=True, slots=True)
class Hubness:
    """Whether a few passages come up for everything (Radovanović et al., JMLR 2010)."""

    system_id: str  # whose ranking
    # of the k-occurrence over passages: 0 when even; above about 1.5 a few passages crowd out
    # others
    skewness: float
    never: float  # share of passages that no draft brought up
    expected: float  # times a passage would come up if all were alike
    hubs: tuple[Hub, ...]  # the passages that come up most


@dataclass(frozen=True, slots=True)
class SourceFound:
    """How often a system brings back the passage a query was drafted from."""

    system_id: str  # the system
    first: float  # share of drafts with it at rank 1
    within_k: float  # share with it in the top k
    reciprocal_rank: float  # mean of 1/rank over all drafts, 0 below the top k


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Measures over all findings."""

    count: int  # findings they are made of
    rbo: float  # mean RBO; 1 is full agreement
    overlap: float  # mean overlap@k
    same_first: float  # share of drafts with the same first hit
    by_query_words: tuple[AgreementBin, ...]  # agreement against the length of the query
    by_passage_chars: tuple[AgreementBin, ...]  # against the length of the source passage
    by_depth: tuple[AgreementBin, ...]  # against its place in the document
    by_kind: dict[str, AgreementBin]  # mean RBO by kind of draft
    # every document's share in both encoders' hits, largest leaning first
    documents: tuple[DocumentShare, ...]
    found: tuple[SourceFound, ...]  # source passages found, by system


@dataclass(frozen=True, slots=True)
class DisagreementReport:
    """Every draft's outcome, largest difference first, and the measures over all."""

    a: SystemName  # system A
    b: SystemName  # system B
    k: int  # depth
    passages: int  # passages in the corpus
    drafts: int  # drafts that were asked for
    findings: tuple[Finding, ...]  # by disagreement, largest first, ties by query id
    aggregates: Aggregates  # over all findings
    hubness: tuple[Hubness, Hubness]  # of A, of B
    notes: tuple[str, ...]  # what the reader should know, each a sentence
    seconds: float  # wall clock
    stopped: bool  # whether the user stopped it; findings are those done by then
    problem: str  # why it ended early, in a sentence; "" when it did not
    summary: tuple[str, ...] = ()  # where the encoders part, in sentences
    # which encoder the drafts speak for; None in records without one
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings to show; every part is optional. Ranges include both ends."""

    doc_ids: tuple[str, ...] = ()  # Only drafts from these documents; empty for all
    kinds: tuple[DraftKind, ...] = ()  # Only these kinds; empty for all
    query_words: tuple[int, int] | None = None  # shortest and longest query
    passage_chars: tuple[int, int] | None = None  # shortest and longest source passage
    depth: tuple[float, float] | None = None  # place of the source passage in its document, 0 to 1
    only_different: bool = False  # leave out drafts on which the encoders agree fully

    def admits(self, finding: Finding) -> bool:
        """Whether a finding passes."""
        return (
            (not self.doc_ids or finding.draft.doc_id in self.doc_ids)
            and (not self.kinds or finding.draft.kind in self.kinds)
            and _within(finding.query_words, self.query_words)
            and _within(finding.passage_chars, self.passage_chars)
            and _within(finding.depth, self.depth)
            and not (self.only_different and finding.disagreement <= 0)
        )


def _within(value: float, limits: tuple[float, float] | None) -> bool:
    return limits is None or limits[0] <= value <= limits[1]


def select(findings: Sequence[Finding], wanted: FindingFilter) -> tuple[Finding, ...]:
    """Return the findings that pass, in the order given."""
    return tuple(finding for finding in findings if wanted.admits(finding))


def ranks_apart(finding: Finding) -> int:
    """Return how many ranks apart the encoders place the passage that a query came from."""
    return abs(finding.source_rank_a - finding.source_rank_b)


def by_ranks(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings in the order of how far apart the right passage is placed, most first."""
    return sorted(findings, key=lambda one: (-ranks_apart(one), -one.disagreement))


def find_disagreements(
    context: Context, drafts: Sequence[Draft], *, k: int = 10, monitor: Monitor | None = None
) -> DisagreementReport:
    """Run drafts through both encoders and BM25 and order them by how far the encoders part.

    Args:
        context: The encoders and the corpus.
        drafts: Queries; each block of 32 goes through every system before the next, so that what
            is there when the user stops is complete.
        k: Depth of the rankings compared.
        monitor: Hears progress; may stop.

    Returns:
        The report; with what was finished when stopped or when an encoder failed half-way.

    Raises:
        LaboratoryError: If there is one passage only, no draft, or k is below 1.
        EncodingError: If an encoder failed before anything was finished.
        StoppedError: If stopped before anything was finished.
    """
    _check(context, drafts, k)
    watch = monitor or SilentMonitor()
    started = time.monotonic()
    rows = {passage.passage_id: row for row, passage in enumerate(context.corpus.passages)}
    occurrences = np.zeros((2, len(rows)), dtype=np.int64)
    findings: list[Finding] = []
    stopped, problem = False, ""
    for start in range(0, len(drafts), _BLOCK):
        watch.report(Progress("asking every system", start, len(drafts)))
        block = drafts[start : start + _BLOCK]
        try:
            raise_if_stopped(watch)
            found = _ask_block(context, block, rows, k, occurrences, watch)
        except StoppedError:
            if not findings:
                raise
            stopped = True
            break
        except EncoderError as exc:
            if not findings:
                raise
            problem = f"{exc} The {len(findings)} queries finished before are kept."
            break
        findings.extend(found)
    watch.report(Progress("asking every system", len(findings), len(drafts)))
    findings.sort(key=lambda finding: (-finding.disagreement, finding.draft.query_id))
    aggregates = aggregate(findings, context.corpus, k=k, system_ids=_ids(context))
    hubness = (
        _hubness(context.a.system_id, occurrences[0], context.corpus, len(findings), k),
        _hubness(context.b.system_id, occurrences[1], context.corpus, len(findings), k),
    )
    return DisagreementReport(
        a=name_of(context.a),
        b=name_of(context.b),
        k=k,
        passages=len(rows),
        drafts=len(drafts),
        findings=tuple(findings),
        aggregates=aggregates,
        hubness=hubness,
        notes=_notes(context, aggregates, k),
        seconds=time.monotonic() - started,
        stopped=stopped,
        problem=problem,
        summary=_summary(context, aggregates, k),
        verdict=_verdict(context, findings, k),
    )


def _drafted(
    context: Context, *, count: int, k: int, seed: int, monitor: Monitor | None = None
) -> DisagreementReport:
    """Draft queries from the library and run them through every system."""
    drafts = draft_queries(context.corpus.passages, context.corpus.texts, count=count, seed=seed)
    return find_disagreements(context, drafts, k=k, monitor=monitor)


def as_run(found: DisagreementReport, identity: Mapping[str, str]) -> KeptRun:
    """Return the figures as a run to keep: of each query its source passage alone is right."""
    findings = sorted(found.findings, key=lambda one: one.draft.query_id)
    sources = [one.draft.passage_id for one in findings]
    query_ids = [one.draft.query_id for one in findings]
    ranks: dict[str, list[int | None]] = {
        found.a.system_id: [one.source_rank_a for one in findings],
        found.b.system_id: [one.source_rank_b for one in findings],
        LEXICAL_ID: [one.source_rank_lexical for one in findings],
    }
    return new_run(
        "drafted",
        {
            **identity,
            "queries": content_hash(sorted(one.draft.text for one in findings)),
            "judgments": content_hash(sorted(zip(query_ids, sources, strict=True))),
        },
        query_ids=query_ids,
        clusters=np.unique(sources, return_inverse=True)[1],
        figures={
            system_id: {
                name: [0.0 if rank is None or rank > _RUN_DEPTH else gain(rank) for rank in column]
                for name, gain in _GAINS.items()
            }
            for system_id, column in ranks.items()
            if any(column)
        },
        pair=(found.a.system_id, found.b.system_id),
        texts=[one.draft.text for one in findings],
    )


def show(found: DisagreementReport) -> Html:
    """Return the verdict for these documents: the sentence, its interval, the next step."""
    return render(
        "disagree_verdict",
        found=found,
        said=found.verdict.sentences if found.verdict else (),
        most=next((one for one in by_ranks(found.findings) if ranks_apart(one)), None),
        kinds=(family_kind(found.a.family), family_kind(found.b.family)),
        forest=_forest(found) if found.verdict and found.verdict.encoders.queries else None,
    )


def _forest(found: DisagreementReport) -> dict[str, Any] | None:
    """Return every contrast as a point with its interval, in the colour of the encoder ahead."""
    if found.verdict is None:
        return None
    contrasts = [("all drafts", found.verdict.encoders), *sorted(found.verdict.by_kind.items())]
    reach = max(0.05, *(abs(end) for _, one in contrasts for end in (one.low, one.high)))
    ticks = nice_ticks(-reach, reach, 5)
    # names above their lines: legible on a phone too
    width, step, top = 430, 38, 24
    across = Scale(ticks[0], ticks[-1], 12, width - 12)
    ahead = {Lead.FIRST: family_kind(found.a.family), Lead.SECOND: family_kind(found.b.family)}
    return {
        "width": width,
        "top": top,
        "bottom": top + step * len(contrasts),
        "zero": across(0.0),
        "ticks": [(across(tick), _points(tick)) for tick in ticks],
        "rows": [
            {
                "name": f"{name} ({one.queries:,})",
                "kind": ahead.get(one.lead, "lex"),
                "y": top + step * (place + 0.72),
                "x": across(one.difference),
                "low": across(one.low),
                "high": across(one.high),
                "tip": f"{name}: {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]; higher "
                f"{one.first_higher:,} / {one.second_higher:,}, level {one.level:,}",
            }
            for place, (name, one) in enumerate(contrasts)
        ],
    }


def _points(value: float) -> str:
    text = f"{abs(value):.2f}".rstrip("0").rstrip(".")
    return "0" if value == 0 else f"{'+' if value > 0 else MINUS}{text}"


def show_findings(
    found: DisagreementReport,
    findings: Sequence[Finding],
    names: Mapping[str, str],
    passages: Mapping[str, Passage],
    *,
    most: int,
) -> Html:
    """Return the list to walk and the aggregate pictures.

    Args:
        found: Of all drafts.
        findings: Those that pass the filter, most apart first.
        names: Document names by id.
        passages: Source passages by id, where they are known.
        most: Longest list shown.
    """
    totals = found.aggregates
    rows = []
    for one in findings[:most]:
        passage = passages.get(one.draft.passage_id)
        pages = page_range(passage.page_first, passage.page_last) if passage else ""
        rows.append((one, names.get(one.draft.doc_id, one.draft.doc_id), pages))
    charts = (
        ("Agreement against length of the query", "words", totals.by_query_words, 1.0),
        ("\u2026 against length of the passage", "characters", totals.by_passage_chars, 1.0),
        ("\u2026 against depth in the document", "depth in %", totals.by_depth, 100.0),
    )
    systems = [(system, family_kind(system.family)) for system in (found.a, found.b)]
    return render(
        "disagree_list",
        found=found,
        findings=rows,
        count=len(findings),
        kinds=[kind for _, kind in systems],
        systems=systems,
        names={
            LEXICAL_ID: named_family(Family.LEXICAL, "BM25"),
            **{system.system_id: named(system) for system, _ in systems},
        },
        charts=[(chart[0], _agreement_chart(*chart)) for chart in charts if chart[2]],
        most=max(
            (max(row.share_a, row.share_b, row.passages) for row in totals.documents), default=1
        )
        or 1.0,
    )


def _agreement_chart(title: str, unit: str, bins: Sequence[AgreementBin], scale: float) -> Html:
    points = [((item.low + item.high) / 2 * scale, item.rbo) for item in bins]
    return line_chart(
        [("RBO", "lex", points)],
        x_title=unit,
        y_title="RBO",
        label=title,
        y_range=(0.0, 1.0),
        height=200,
        margins=[
            (x, item.rbo - item.margin, item.rbo + item.margin)
            for (x, _), item in zip(points, bins, strict=True)
        ],
    )


EXPERIMENTS = (
    Experiment(
        name="disagree",
        verb="disagree",
        title="Disagree",
        about="Draft queries from the library itself and list where the encoders part most.",
        fields=(
            Field(
                "count",
                Kind.NUMBER,
                "Drafted queries, up to 2,000.",
                label="Drafted queries",
                default=300,
                least=1,
                most=2000,
                step=50,
            ),
            Field("k", Kind.NUMBER, "Depth; 0 takes the library's own.", default=0, most=50),
            SEED,
        ),
        record=DisagreementReport,
        show=show,
        run=_drafted,
        as_run=as_run,
        place=Place.DISAGREE,
        heavy=True,
        long_list="findings",
        version=DRAFTING_RULES,
    ),
)


def _ids(context: Context) -> tuple[str, str, str]:
    return (context.a.system_id, context.b.system_id, LEXICAL_ID)


def _check(context: Context, drafts: Sequence[Draft], k: int) -> None:
    if k < 1:
        raise LaboratoryError(f"The depth is {k}; choose 1 or more.")
    if len(context.corpus.passages) < 2:
        raise LaboratoryError(
            "The library holds one passage, which every system ranks first; "
            "add more documents or choose smaller passages."
        )
    if not drafts:
        raise LaboratoryError("There are no queries to run; draft some first.")


def _ask_block(
    context: Context,
    block: Sequence[Draft],
    rows: dict[str, int],
    k: int,
    occurrences: np.ndarray,
    watch: Monitor,
) -> list[Finding]:
    texts = [draft.text for draft in block]
    scores = [
        encode(indexed.encoder, texts, kind=TextKind.QUERY, monitor=Hushed(watch))
        @ indexed.vectors.T
        for indexed in context.encoders
    ]
    passages = context.corpus.passages
    findings = []
    for place, draft in enumerate(block):
        source = rows.get(draft.passage_id)
        if source is None:
            raise LaboratoryError(
                "A draft comes from a passage that is gone; draft anew for this chunking."
            )
        tops = [best_positions(scores[side][place], k=k) for side in (0, 1)]
        for side in (0, 1):
            occurrences[side, tops[side]] += 1
        top_a, top_b = (tuple(passages[row].passage_id for row in top) for top in tops)
        text = context.corpus.texts.get(draft.doc_id, "")
        findings.append(
            Finding(
                draft=draft,
                disagreement=_disagreement(top_a, top_b),
                overlap=overlap_at_k(top_a, top_b, k=k),
                top_a=top_a,
                top_b=top_b,
                source_rank_a=rank_of(scores[0][place], source),
                source_rank_b=rank_of(scores[1][place], source),
                source_rank_lexical=_lexical_rank(context, draft.text, source),
                query_words=word_count(draft.text),
                passage_chars=len(passages[source].text),
                depth=passages[source].start / len(text) if text else 0.0,
            )
        )
    return findings


def _disagreement(top_a: Sequence[str], top_b: Sequence[str]) -> float:
    # rounded: equal rankings must give 0 and not 1e-16
    return round(1.0 - rank_biased_overlap(top_a, top_b, p=RBO_P)["rbo"], 12)


def _lexical_rank(context: Context, query: str, source: int) -> int | None:
    if context.lexical is None:
        return None
    scores = context.lexical.scores(query)
    return rank_of(scores, source) if scores[source] > 0 else None


def aggregate(
    findings: Sequence[Finding], corpus: Corpus, *, k: int, system_ids: tuple[str, str, str]
) -> Aggregates:
    """Measures over findings; also for a filtered selection.

    Args:
        findings: Any of a report's.
        corpus: What they were found in.
        k: The report's depth.
        system_ids: Of A, of B, of BM25.
    """
    count = len(findings)
    rbo = [1.0 - finding.disagreement for finding in findings]
    overlap = [finding.overlap for finding in findings]
    kinds = {
        str(kind): _bin(
            [finding for finding in findings if finding.draft.kind is kind], lambda _: 0.0
        )
        for kind in DraftKind
        if any(finding.draft.kind is kind for finding in findings)
    }
    return Aggregates(
        count=count,
        rbo=float(np.mean(rbo)) if count else 0.0,
        overlap=float(np.mean(overlap)) if count else 0.0,
        same_first=_share(finding.top_a[:1] == finding.top_b[:1] for finding in findings),
        by_query_words=_bins(findings, lambda finding: float(finding.query_words)),
        by_passage_chars=_bins(findings, lambda finding: float(finding.passage_chars)),
        by_depth=_bins(findings, lambda finding: finding.depth),
        by_kind=kinds,
        documents=_document_shares(findings, corpus),
        found=_found(findings, k, system_ids),
    )


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values) if values else 0.0


def _bins(
    findings: Sequence[Finding], value: Callable[[Finding], float]
) -> tuple[AgreementBin, ...]:
    """Cut findings into up to six bins of about equal count; equal values stay together."""
    if not findings:
        return ()
    ordered = sorted(findings, key=lambda finding: (value(finding), finding.draft.query_id))
    values = np.array([value(finding) for finding in ordered])
    cuts = {0, len(ordered)}
    for part in range(1, _BINS):
        cuts.add(int(np.searchsorted(values, values[len(ordered) * part // _BINS], side="left")))
    edges = sorted(cuts)
    return tuple(_bin(ordered[low:high], value) for low, high in pairwise(edges))


def _bin(findings: Sequence[Finding], value: Callable[[Finding], float]) -> AgreementBin:
    values = [value(finding) for finding in findings]
    rbo = np.array([1.0 - finding.disagreement for finding in findings])
    count = len(findings)
    margin = 1.96 * float(rbo.std(ddof=1)) / count**0.5 if count > 1 else 0.0
    return AgreementBin(
        low=min(values),
        high=max(values),
        count=count,
        overlap=float(np.mean([finding.overlap for finding in findings])),
        rbo=float(rbo.mean()),
        margin=margin,
    )


def _document_shares(findings: Sequence[Finding], corpus: Corpus) -> tuple[DocumentShare, ...]:
    home = {passage.passage_id: passage.doc_id for passage in corpus.passages}
    sizes = dict.fromkeys(corpus.names, 0)
    for passage in corpus.passages:
        sizes[passage.doc_id] = sizes.get(passage.doc_id, 0) + 1
    slots = {doc_id: [0, 0] for doc_id in sizes}
    for finding in findings:
        for side, top in enumerate((finding.top_a, finding.top_b)):
            for passage_id in top:
                slots[home[passage_id]][side] += 1
    totals = [sum(counts[side] for counts in slots.values()) or 1 for side in (0, 1)]
    shares = [
        DocumentShare(
            doc_id=doc_id,
            name=corpus.names.get(doc_id, doc_id),
            passages=size / len(corpus.passages),
            share_a=slots[doc_id][0] / totals[0],
            share_b=slots[doc_id][1] / totals[1],
        )
        for doc_id, size in sizes.items()
        if size
    ]
    return tuple(sorted(shares, key=lambda share: (-abs(share.leaning), share.doc_id)))


def _found(
    findings: Sequence[Finding], k: int, system_ids: tuple[str, str, str]
) -> tuple[SourceFound, ...]:
    columns: tuple[Sequence[int | None], ...] = (
        [finding.source_rank_a for finding in findings],
        [finding.source_rank_b for finding in findings],
        [finding.source_rank_lexical for finding in findings],
    )
    found = []
    for system_id, column in zip(system_ids, columns, strict=True):
        # not ranked at all counts as not found; a column without any rank is no system
        ranks = [rank if rank is not None else math.inf for rank in column]
        if any(rank is not None for rank in column):
            found.append(
                SourceFound(
                    system_id=system_id,
                    first=_share(rank == 1 for rank in ranks),
                    within_k=_share(rank <= k for rank in ranks),
                    reciprocal_rank=sum(1 / rank for rank in ranks if rank <= k) / len(ranks),
                )
            )
    return tuple(found)


def _hubness(system_id: str, counts: np.ndarray, corpus: Corpus, queries: int, k: int) -> Hubness:
    best = sorted(range(len(counts)), key=lambda row: (-int(counts[row]), row))[:_HUBS]
    return Hubness(
        system_id=system_id,
        skewness=skewness(counts),
        never=float(np.mean(counts == 0)),
        expected=queries * min(k, len(counts)) / len(counts),
        hubs=tuple(
            Hub(corpus.passages[row].passage_id, int(counts[row])) for row in best if counts[row]
        ),
    )


def skewness(counts: np.ndarray | Floats) -> float:
    """Return the population skewness (third standardised moment); 0.0 when all are equal.

    >>> round(skewness(np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    centred = np.asarray(counts, dtype=np.float64)
    centred = centred - centred.mean()
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**3) / variance**1.5) if variance > 0 else 0.0


def _summary(context: Context, found: Aggregates, k: int) -> tuple[str, ...]:
    labels = {context.a.system_id: context.a.label, context.b.system_id: context.b.label}
    sentences = [
        f"Over {found.count:,} drafted queries both encoders put the same passage first on "
        f"{percent(found.same_first)} and share {found.overlap * k:.1f} of {k} passages on average "
        f"(RBO {found.rbo:.2f})."
    ]
    if found.found:
        shares = ", ".join(
            f"{labels.get(one.system_id, 'BM25')} on {percent(one.within_k)}" for one in found.found
        )
        sentences.append(f"The passage a query was drafted from is in the top {k}: {shares}.")
    # a kind with a handful of queries says nothing
    kinds = {name: one for name, one in found.by_kind.items() if one.count >= _FEW}
    if len(kinds) > 1:
        least = min(kinds, key=lambda name: (kinds[name].rbo, name))
        most = max(kinds, key=lambda name: (kinds[name].rbo, name))
        if kinds[most].rbo - kinds[most].margin > kinds[least].rbo + kinds[least].margin:
            sentences.append(
                f"They part most on {_KIND_WORDS[least]} (RBO {kinds[least].rbo:.2f}) and least on "
                f"{_KIND_WORDS[most]} ({kinds[most].rbo:.2f})."
            )
    return tuple(sentences)


def _verdict(context: Context, findings: Sequence[Finding], k: int) -> Verdict:
    outcomes = [
        Outcome(
            finding.draft.passage_id,
            _KIND_WORDS[str(finding.draft.kind)],
            finding.source_rank_a,
            finding.source_rank_b,
            finding.source_rank_lexical,
        )
        for finding in sorted(findings, key=lambda finding: finding.draft.query_id)
    ]
    return verdict(outcomes, label_a=context.a.label, label_b=context.b.label, k=k, few=_FEW)


def _notes(context: Context, aggregates: Aggregates, k: int) -> tuple[str, ...]:
    limits = [limit_of(indexed.encoder) for indexed in context.encoders]
    notes = [
        "Every query was drafted by rules from a passage of the library, so that passage is a "
        "right answer, and other passages may be right too. Finding it is easier than answering a "
        "person: read the differences, not the levels."
    ]
    if len(context.corpus.passages) <= 2 * k:
        notes.append(
            f"The library has {len(context.corpus.passages)} passages, so two rankings of depth {k} "
            "must overlap; disagreement is understated. Lower k or add documents."
        )
    if limits[0] != limits[1]:
        notes.append(
            f"The encoders ran at different token limits ({limits[0]:,} and {limits[1]:,}): run both at "
            "equal limits under Fairness before you believe a difference."
        )
    if aggregates.count and aggregates.count < 100:
        notes.append(f"{aggregates.count} queries are few: read the intervals before the averages.")
    return tuple(notes)
