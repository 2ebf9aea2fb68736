"""The report as a whole: its parts in order, and the words around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.comparison.records import Comparison
from core.experiments.evidence import Evidence
from core.experiments.fairness import FairnessReport
from core.laboratory.report.hits import columns
from core.laboratory.report.markup import arms_of, escape, label_of, unit_of
from core.laboratory.report.passages import PagePicture, agreements, passages
from core.laboratory.report.plots import where_they_part
from core.laboratory.report.style import POLICY, STYLE
from core.laboratory.report.why import explanations, received
from core.records import Family
from core.words import shortened

_WHAT = {
    Family.DIFFUSION: (
        "a diffusion encoder: its network learned by restoring words that were masked anywhere in "
        "a text, and reads in both directions"
    ),
    Family.AUTOREGRESSIVE: (
        "an autoregressive encoder: its network learned by predicting the next word, and reads "
        "from left to right"
    ),
    Family.REFERENCE: "another encoder, for orientation",
    Family.LEXICAL: "plain keyword search (BM25): it counts shared words and knows no meaning",
    Family.FUSION: "a fusion of the other rankings",
    Family.IMPORTED: "a ranking computed elsewhere",
}


def html_report(
    comparison: Comparison,
    *,
    evidence: Sequence[Evidence] = (),
    fairness: FairnessReport | None = None,
    pictures: Mapping[str, PagePicture] | None = None,
) -> str:
    """Return a whole HTML document about one comparison.

    Args:
        comparison: What was compared. Everything shown comes from it and the rest given here.
        evidence: Explanations of single hits, shown after the passages.
        fairness: The panel, for its flags and counts.
        pictures: The page of a passage by passage id, put into the file itself.

    Returns:
        HTML that makes no request and runs no script; equal comparisons give equal text.
    """
    arms = [column for column in comparison.columns if column.info.system_id in arms_of(comparison)]
    title = f"Bifocal: {shortened(comparison.query.text, 80)}"
    parts = [
        "<main>",
        _head(comparison),
        _introduction(comparison),
        _summary(comparison),
        _flags(comparison, fairness),
        columns(comparison),
        where_they_part(comparison, arms),
        agreements(comparison),
        passages(comparison, pictures or {}),
        explanations(evidence, comparison),
        received(comparison, fairness),
        _method(comparison),
        "</main>",
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def _head(comparison: Comparison) -> str:
    text = comparison.query.text
    size = " long" if len(text) > 200 else ""
    limits = {
        True: " Both encoders ran at one token limit.",
        False: " The encoders ran at different token limits.",
        None: "",
    }[comparison.equal_limits]
    return (
        "<h1>Bifocal comparison</h1>"
        f'<div class="query{size}" dir="auto">{escape(text)}</div>'
        f'<p class="small">Asked of {comparison.corpus_size:,} '
        f"{unit_of(comparison, comparison.corpus_size)}; the {comparison.k} best of each system are "
        f"compared.{limits}</p>"
    )


def _introduction(comparison: Comparison) -> str:
    lines = []
    for column in comparison.columns:
        what = _WHAT[column.info.family]
        lines.append(f"<li>{label_of(comparison, column.info.system_id)}: {what}.</li>")
    return (
        "<h2>What this is</h2><p>The same question was put to several search systems over the same "
        "documents. An encoder turns each text into a list of numbers; texts whose numbers point "
        "the same way count as related. The systems are:</p>"
        f'<ul class="systems">{"".join(lines)}</ul>'
        "<p>Below is what each of them put first, where they part, and what each really read. "
        "Which of them is right is for the reader to judge: a difference is not an error.</p>"
    )


def _summary(comparison: Comparison) -> str:
    if not comparison.summary:
        return ""
    sentences = " ".join(escape(sentence) for sentence in comparison.summary)
    return f'<h2>In words</h2><p class="summary" dir="auto">{sentences}</p>'


def _flags(comparison: Comparison, fairness: FairnessReport | None) -> str:
    flags = list(fairness.flags) if fairness else []
    for column in comparison.columns:
        got = column.received
        if got is not None and got.tokens_dropped > 0:
            flags.append(
                f"{column.info.label} read {got.tokens_kept:,} of the query's "
                f"{got.tokens_total:,} tokens; the rest was cut off."
            )
    if comparison.equal_limits is False and not fairness:
        flags.append("The encoders ran at different token limits: one may have read more text.")
    if not flags:
        return ""
    items = "".join(f"<p>{escape(flag)}</p>" for flag in flags)
    return f'<h2>Before you believe a difference</h2><div class="warn">{items}</div>'


def _method(comparison: Comparison) -> str:
    backgrounds = [
        f"{escape(column.info.label)}: {column.background.samples:,} pairs, mean "
        f"{column.background.mean:.3f}, standard deviation {column.background.deviation:.3f}"
        for column in comparison.columns
        if column.background is not None
    ]
    scale = f" Here: {'; '.join(backgrounds)}." if backgrounds else ""
    return (
        "<h2>How this was computed</h2>"
        f"<p>Every system searched the same {comparison.corpus_size:,} "
        f"{unit_of(comparison, comparison.corpus_size)} exactly, without approximation; equal scores "
        "are ordered by place in the documents. The raw score of an encoder is the cosine between "
        "query and passage. Cosines of two encoders cannot be compared with each other, so each "
        "score is also placed among that encoder's own scores for random pairs of query and passage "
        "of this library: z is the distance from their mean in standard deviations, the percentile "
        f"the share of random pairs that score lower.{scale} “Weak match” marks a first hit that "
        "some unrelated passage could be expected to reach by chance.</p>"
        "<p><small>Made by Bifocal. Small encoders stand for their kind here; their figures are not "
        "those of the large models in the literature. This file holds everything it shows and "
        "makes no connection to anywhere.</small></p>"
    )
