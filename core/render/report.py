"""One comparison as one HTML file that opens anywhere and explains itself.

No script, no request to anywhere (a strict Content-Security-Policy says so to the browser), pictures
drawn as SVG inside. Cards, verdict, plots and pages are those of the page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from core.comparison.measures import MEASURES
from core.comparison.records import Comparison
from core.records import Family, Unit
from core.render import plots, systems
from core.render.cards import columns_values
from core.render.environment import render
from core.render.escape import Html
from core.render.measures import table_values
from core.render.page import DrawnPassage, PagePicture, page_image, ranks_of
from core.render.verdict import received, verdict_values

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
FAMILIES = {
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


def report(
    comparison: Comparison,
    *,
    pictures: Mapping[str, PagePicture] | None = None,
    best: Mapping[str, tuple[int, int]] | None = None,
    answers: Collection[str] = (),
    flags: Sequence[str] = (),
    sections: Sequence[Html] = (),
) -> Html:
    """Return a whole HTML document about one comparison.

    Args:
        comparison: What was compared. Everything shown comes from it and the rest given here.
        pictures: The page of a passage by passage id, put into the file itself.
        best: Range of the sentence nearest to the query, by passage id.
        answers: Passages known to answer the query.
        flags: What to know before believing a difference, in sentences.
        sections: What experiments found out about it, already rendered.

    Returns:
        HTML that makes no request and runs no script; equal comparisons give equal text.
    """
    unit = "document" if comparison.unit is Unit.DOCUMENT else "passage"
    top = [
        passage
        for passage in comparison.passages
        if any(systems.in_top(comparison, passage, one.system_id) for one in passage.standings)
    ]
    # passage ids come from files: a number of our own is safe as an anchor
    anchors = {passage.passage_id: f"p{place}" for place, passage in enumerate(top, start=1)}
    failed = any(comparison.column(one).failure for one in systems.encoder_ids(comparison))
    scored = any(
        all(passage.standing(one).z is not None for one in systems.encoder_ids(comparison))
        for passage in comparison.passages
    )
    found = [*flags, *_cut(comparison)]
    if comparison.equal_limits is False and not flags:
        found.append("The encoders ran at different token limits: one may have read more text.")
    return render(
        "report",
        **{
            **columns_values(comparison, best, None, answers),
            **verdict_values(comparison, answers),
            **table_values(comparison),
        },
        policy=POLICY,
        unit=unit,
        families=FAMILIES,
        flags=found,
        anchors=anchors,
        passages=top,
        pictures={
            passage.passage_id: _picture(comparison, passage.passage_id, pictures or {})
            for passage in top
        },
        rank_picture="" if failed else plots.rank_picture(comparison),
        score_plot=plots.score_plot(comparison, interactive=False) if scored else "",
        meanings=[
            (one.label.format(k=comparison.k), one.meaning.format(k=comparison.k))
            for one in MEASURES
        ],
        sections=sections,
        received=received(comparison),
    )


def _cut(comparison: Comparison) -> list[str]:
    """Say of which queries an encoder did not read all."""
    return [
        f"{column.info.label} read {column.received.tokens_kept:,} of the query's "
        f"{column.received.tokens_total:,} tokens; the rest was cut off."
        for column in comparison.columns
        if column.received is not None and column.received.tokens_dropped > 0
    ]


def _picture(comparison: Comparison, passage_id: str, pictures: Mapping[str, PagePicture]) -> Html:
    picture = pictures.get(passage_id)
    if picture is None:
        return Html("")
    passage = comparison.passage(passage_id)
    drawn = DrawnPassage(passage_id, picture.boxes, ranks_of(comparison, passage), selected=True)
    label = f"Page {passage.page_first} of {passage.document}"
    return page_image(picture.png, (picture.width, picture.height), [drawn], label=label)
