"""A workbench in memory: real records, real documents, encoders that only count letters.

Its arms are arithmetic a reader can follow: both count the letter triples of a text; the first
weighs them evenly, the second the later the more (a caricature of reading left to right).
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from core.comparison.correlation import kendall_tau_b
from core.comparison.moves import rank_moves
from core.comparison.overlap import jaccard_at_k, overlap_at_k, shared_at_k
from core.comparison.rbo import rank_biased_overlap
from core.comparison.records import (
    Agreement,
    BackgroundSummary,
    CloudPoint,
    Column,
    ComparedPassage,
    Comparison,
    Standing,
    from_json,
    to_json,
)
from core.comparison.summary import summarise
from core.documents import boxes_for_range, chunk_document, sentence_spans
from core.encoders.pool import LoadState
from core.encoders.spec import Pair, TextKind
from core.errors import EmptyLibraryError, InvalidQueryError, UnknownNameError
from core.library import EncoderStatus, ExampleQuery, PageView
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import (
    Document,
    DocumentReport,
    Family,
    Hit,
    IngestionReport,
    Page,
    Passage,
    Query,
    Ranking,
    ReceivedText,
    SkippedFile,
    SystemInfo,
    TextSource,
    Unit,
)
from core.settings import ChunkingSettings, WorkspaceSettings
from core.store import StoredComparison
from demo.services import LibraryEntry, PageLimits, Services

PAIR = Pair(
    pair_id="letters",
    label="Letter counters",
    diffusion="even",
    autoregressive="late",
    matched="both count letter triples",
    unmatched="",
)
ARMS = (
    SystemInfo("even", Family.DIFFUSION, "Even letter counter"),
    SystemInfo("late", Family.AUTOREGRESSIVE, "Late letter counter"),
    SystemInfo("bm25", Family.LEXICAL, "BM25"),
)
CHAR_WIDTH, LINE_HEIGHT, MARGIN = 5.6, 14.0, 60.0
LINE_CHARS, PAGE_LINES = 86, 46


def synthetic_document(name: str, text: str) -> Document:
    """Lay text out in a typewriter's lines, so that every character's box is known."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if len(line) + len(word) + 1 > LINE_CHARS:
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
    pages, body = [], ""
    for number, first in enumerate(range(0, len(lines), PAGE_LINES), start=1):
        page_text, boxes = "", []
        for row, line in enumerate(lines[first : first + PAGE_LINES]):
            for place, _ in enumerate(line):
                left, top = MARGIN + place * CHAR_WIDTH, MARGIN + row * LINE_HEIGHT
                boxes.append((left, top, left + CHAR_WIDTH, top + LINE_HEIGHT))
            boxes.append((np.nan,) * 4)
            page_text += line + "\n"
        pages.append(
            Page(
                page_number=number,
                start=len(body),
                end=len(body) + len(page_text),
                width=612.0,
                height=792.0,
                char_boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
                text_source=TextSource.PDFIUM,
            )
        )
        body += page_text
    digest = f"{zlib.crc32(body.encode('utf-8', 'replace')):08x}" * 8
    return Document(
        doc_id=f"d{digest[:16]}",
        name=name,
        sha256=digest,
        media_type="application/pdf",
        text=body,
        pages=tuple(pages),
        size_bytes=len(body),
    )


def triples(text: str, *, late: bool) -> np.ndarray:
    vector = np.zeros(512)
    low = text.lower()
    for place in range(len(low) - 2):
        weight = (place + 1) / len(low) if late else 1.0
        vector[zlib.crc32(low[place : place + 3].encode("utf-8", "replace")) % 512] += weight
    norm = np.linalg.norm(vector)
    return vector / norm if norm else vector


@dataclass
class FakeWorkbench:
    """Implements the verbs the page calls."""

    held: list[Document] = field(default_factory=list)
    kept_settings: WorkspaceSettings = field(
        default_factory=lambda: WorkspaceSettings(
            pair_id="letters", chunking=ChunkingSettings(chunk_tokens=90, overlap_tokens=0)
        )
    )
    example_queries: tuple[ExampleQuery, ...] = ()
    fail_arm: str = ""
    slow_seconds: float = 0.0
    saved: dict[str, tuple[str, str]] = field(default_factory=dict)
    passages_: list[Passage] = field(default_factory=list)
    reports: list[DocumentReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chunk()

    def _chunk(self) -> None:
        self.passages_ = []
        self.reports = []
        for document in sorted(self.held, key=lambda item: item.name):
            passages = chunk_document(
                document,
                count_tokens=lambda texts: [len(text.split()) for text in texts],
                settings=self.kept_settings.chunking,
            )
            self.passages_ += passages
            self.reports.append(
                DocumentReport(
                    doc_id=document.doc_id,
                    name=document.name,
                    pages=len(document.pages),
                    pages_with_text=len(document.pages),
                    scanned_pages=(),
                    passages=len(passages),
                    tokens=sum(passage.token_count for passage in passages),
                    warnings=document.warnings,
                )
            )
        self._vectors = {
            info.system_id: np.array(
                [triples(p.text, late=info.system_id == "late") for p in self.passages_]
            ).reshape(-1, 512)
            for info in ARMS[:2]
        }

    def add(self, files: Any, *, monitor: Monitor | None = None) -> IngestionReport:
        monitor = monitor or SilentMonitor()
        skipped, documents = [], []
        for index, file in enumerate(files):
            raise_if_stopped(monitor)
            monitor.report(Progress("reading", index, len(files), file.name))
            data = file.path.read_bytes() if file.data is None else file.data
            if not data.strip():
                skipped.append(SkippedFile(file.name, f"{file.name} holds no text."))
                continue
            if data.startswith(b"LOCKED") and not file.password:
                skipped.append(
                    SkippedFile(file.name, f"{file.name} is encrypted; give its password.", True)
                )
                continue
            document = synthetic_document(file.name, data.decode("utf-8", "replace"))
            if document.doc_id not in {held.doc_id for held in self.held}:
                self.held.append(document)
            documents.append(document.doc_id)
        self._chunk()
        for stage in ("embedding (diffusion)", "embedding (autoregressive)"):
            monitor.report(Progress(stage, len(self.passages_), len(self.passages_)))
        return IngestionReport(
            documents=tuple(r for r in self.reports if r.doc_id in documents),
            skipped=tuple(skipped),
            passages_embedded={"even": len(self.passages_), "late": len(self.passages_)},
            seconds=0.1,
        )

    def index(self, *, monitor: Monitor | None = None) -> IngestionReport:
        return IngestionReport((), ())

    def remove(self, doc_id: str) -> None:
        self.document(doc_id)
        self.held = [document for document in self.held if document.doc_id != doc_id]
        self._chunk()

    def documents(self) -> tuple[DocumentReport, ...]:
        return tuple(self.reports)

    def document(self, doc_id: str) -> Document:
        for document in self.held:
            if document.doc_id == doc_id:
                return document
        raise UnknownNameError(f"This library holds no document {doc_id!r}.")

    def passage(self, passage_id: str) -> Passage:
        for passage in self.passages_:
            if passage.passage_id == passage_id:
                return passage
        raise UnknownNameError(f"This library holds no passage {passage_id!r}.")

    def passage_count(self) -> int:
        return len(self.passages_)

    def passages(self) -> tuple[Passage, ...]:
        return tuple(self.passages_)

    def encoder_status(self) -> tuple[EncoderStatus, ...]:
        count = len(self.passages_)
        return tuple(
            EncoderStatus(
                info.system_id,
                info.family,
                info.label,
                LoadState.FAILED if info.system_id == self.fail_arm else LoadState.READY,
                "The weights are damaged." if info.system_id == self.fail_arm else "",
                count,
                count,
            )
            for info in ARMS[:2]
        )

    @property
    def settings(self) -> WorkspaceSettings:
        return self.kept_settings

    def change_settings(self, settings: Any, *, monitor: Monitor | None = None) -> None:
        self.kept_settings = settings
        self._chunk()

    def _scores(self, text: str, system_id: str) -> np.ndarray:
        if system_id == "bm25":
            words = set(text.lower().split())
            return np.array(
                [float(sum(w in words for w in p.text.lower().split())) for p in self.passages_]
            )
        vectors: np.ndarray = self._vectors[system_id] @ triples(text, late=system_id == "late")
        return vectors

    def ask(  # noqa: C901  a comparison written out
        self, text: str, *, k: int | None = None, monitor: Monitor | None = None
    ) -> Any:
        if not text.strip():
            raise InvalidQueryError("The query is empty; type a question.")
        if not self.passages_:
            raise EmptyLibraryError("Nothing has been indexed yet; add a document first.")
        monitor = monitor or SilentMonitor()
        for step in range(int(self.slow_seconds * 20)):
            raise_if_stopped(monitor)
            monitor.report(Progress("loading the encoders", step, 0))
            import time

            time.sleep(0.05)
        k = k or self.kept_settings.k
        columns, orders, scores = [], {}, {}
        for info in ARMS:
            values = scores[info.system_id] = self._scores(text, info.system_id)
            order = sorted(range(len(values)), key=lambda i: (-values[i], i))
            if info.system_id == "bm25":
                order = [i for i in order if values[i] > 0]
            failure = "The weights are damaged." if info.system_id == self.fail_arm else ""
            orders[info.system_id] = [] if failure else order
            hits = tuple(
                Hit(self.passages_[i].passage_id, float(values[i]), rank)
                for rank, i in enumerate(orders[info.system_id][: max(k, 100)][:k], start=1)
            )
            background = None
            if info.system_id != "bm25":
                background = BackgroundSummary(
                    "query-passage",
                    len(values),
                    float(values.mean()),
                    float(values.std()) or 1.0,
                    tuple(float(q) for q in np.quantile(values, np.linspace(0, 1, 101))),
                )
            columns.append(
                Column(
                    info=info,
                    ranking=Ranking("q", info.system_id, hits),
                    background=background,
                    fingerprint="" if background is None else "0f1e2d3c4b5a",
                    max_tokens=0 if background is None else 512,
                    received=None if background is None else self.received(text)[info.system_id],
                    seconds=0.012,
                    failure=failure,
                )
            )
        union = dict.fromkeys(
            hit.passage_id
            for row in itertools.zip_longest(*(column.ranking.hits for column in columns))
            for hit in row
            if hit is not None
        )
        index = {passage.passage_id: i for i, passage in enumerate(self.passages_)}
        backgrounds = {column.info.system_id: column.background for column in columns}

        def standing(system_id: str, passage_id: str) -> Standing:
            i = index[passage_id]
            if i not in orders[system_id]:
                return Standing(system_id)
            score = float(scores[system_id][i])
            back = backgrounds[system_id]
            if back is None:
                return Standing(system_id, orders[system_id].index(i) + 1, score)
            return Standing(
                system_id,
                orders[system_id].index(i) + 1,
                score,
                (score - back.mean) / back.deviation,
                100.0 * float((scores[system_id] < score).mean()),
            )

        compared = []
        for passage_id in union:
            passage = self.passage(passage_id)
            compared.append(
                ComparedPassage(
                    passage_id,
                    passage.doc_id,
                    self.document(passage.doc_id).name,
                    passage.page_first,
                    passage.page_last,
                    passage.start,
                    passage.end,
                    passage.text,
                    tuple(standing(info.system_id, passage_id) for info in ARMS),
                )
            )
        ids = {
            name: [self.passages_[i].passage_id for i in order] for name, order in orders.items()
        }
        agreements = tuple(
            self._agreement(a, b, ids, k)
            for a, b in itertools.combinations(ids, 2)
            if self.fail_arm not in {a, b}
        )
        cloud: tuple[CloudPoint, ...] = ()
        if not self.fail_arm:
            back: list[Any] = [backgrounds["even"], backgrounds["late"]]
            cloud = tuple(
                CloudPoint(
                    passage.passage_id,
                    (float(scores["even"][i]) - back[0].mean) / back[0].deviation,
                    (float(scores["late"][i]) - back[1].mean) / back[1].deviation,
                )
                for i, passage in enumerate(self.passages_)
            )
        comparison = Comparison(
            query=Query("q", text),
            k=k,
            unit=Unit.PASSAGE,
            corpus_size=len(self.passages_),
            columns=tuple(columns),
            arm_a="even",
            arm_b="late",
            passages=tuple(compared),
            agreements=agreements,
            cloud=cloud,
            pair_id="letters",
            equal_limits=True,
        )
        return replace(comparison, summary=summarise(comparison))

    def _agreement(self, a: str, b: str, ids: dict[str, list[str]], k: int) -> Agreement:
        rbo = rank_biased_overlap(ids[a][:100], ids[b][:100])
        tau = kendall_tau_b(ids[a], ids[b], k=k)
        return Agreement(
            a,
            b,
            k,
            shared_at_k(ids[a], ids[b], k=k),
            overlap_at_k(ids[a], ids[b], k=k),
            jaccard_at_k(ids[a], ids[b], k=k),
            rbo.ext,
            rbo.residual,
            rbo.p,
            rbo.depth,
            tau.tau_b,
            tau.items,
            rank_moves(
                {name: rank for rank, name in enumerate(ids[a], 1)},
                {name: rank for rank, name in enumerate(ids[b], 1)},
                k=k,
            ),
        )

    def judgments(self, query_text: str | None = None) -> tuple[Any, ...]:
        return ()

    def received(self, text: str, *, kind: TextKind = TextKind.QUERY) -> dict[str, ReceivedText]:
        count = len(text.split()) + 4
        return {
            info.system_id: ReceivedText(f"{kind.value}: {text}", count, min(count, 512))
            for info in ARMS[:2]
        }

    def runs(self) -> tuple[Any, ...]:
        return ()

    def best_sentences(self, query: str, passage_ids: Any) -> dict[str, tuple[int, int]]:
        wanted = triples(query, late=False)
        found = {}
        for passage_id in passage_ids:
            text = self.passage(passage_id).text
            spans = sentence_spans(text) or ((0, len(text)),)
            found[passage_id] = max(
                spans, key=lambda span: float(triples(text[span[0] : span[1]], late=False) @ wanted)
            )
        return found

    def examples(self) -> tuple[ExampleQuery, ...]:
        return self.example_queries

    def page_view(
        self, doc_id: str, page_number: int, passage_ids: Any = (), *, width_pixels: int = 1000
    ) -> PageView:
        document = self.document(doc_id)
        if not 1 <= page_number <= len(document.pages):
            raise UnknownNameError(f"{document.name} has no page {page_number}.")
        page = document.pages[page_number - 1]
        image = Image.new("L", (612, 792), 255)
        draw = ImageDraw.Draw(image)
        for row, line in enumerate(document.text[page.start : page.end].split("\n")):
            for place, char in enumerate(line):
                if char.isascii():
                    draw.text((MARGIN + place * CHAR_WIDTH, MARGIN + row * LINE_HEIGHT), char, 0)
        out = io.BytesIO()
        image.save(out, "PNG")
        boxes = {
            name: tuple(
                tuple(box)
                for part in boxes_for_range(
                    document, self.passage(name).start, self.passage(name).end
                )
                if part.page_number == page_number
                for box in part.boxes.tolist()
            )
            for name in passage_ids
        }
        return PageView(out.getvalue(), page.width, page.height, boxes)

    def save_comparison(self, comparison: Comparison) -> str:
        name = f"c{len(self.saved) + 1}"
        self.saved[name] = (comparison.query.text, to_json(comparison))
        return name

    def saved_comparisons(self) -> tuple[StoredComparison, ...]:
        return tuple(
            StoredComparison(name, "2026-11-22T16:00:00+00:00", query, "letters")
            for name, (query, _) in reversed(self.saved.items())
        )

    def load_comparison(self, comparison_id: str) -> Comparison:
        if comparison_id not in self.saved:
            raise UnknownNameError(f"There is no saved comparison {comparison_id!r}.")
        return from_json(self.saved[comparison_id][1])


STORIES = {
    "tides.txt": (
        "The tide turns twice a day. Boats wait for it behind the bar. A low spring tide bares the "
        "old sluice gate.\nThe sluice gate was built of oak and iron. Its hinges rusted shut in "
        "the winter of the great frost.\nKeepers of the gate were paid in barley. One of them kept "
        "a diary of every flood."
    ),
    "bread.txt": (
        "Sourdough rises slowly. Flour and water ferment for a day.\nAn oven of brick holds its "
        "heat through the night. Bakers sweep the ash and wait.\nSalt tightens the dough. Too much "
        "of it stops the yeast."
    ),
    "hostile <b>name</b>.txt": (
        "<script>alert(1)</script> stands in this text. <img src=x onerror=alert(2)> as well."
        "\n{{constructor}} and ${7*7} and `backtick` are templates. javascript:alert(3) is a link."
    ),
}


def stories() -> list[Document]:
    return [synthetic_document(name, text) for name, text in STORIES.items()]


@dataclass
class FakeLibraries:
    """Two visitors' worth of libraries."""

    hosted: bool = False
    benches: dict[tuple[str, str], FakeWorkbench] = field(default_factory=dict)
    visitors: list[str] = field(default_factory=list)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    sample_documents: list[Document] = field(default_factory=stories)

    def new_visitor(self) -> str:
        name = f"visitor-{len(self.visitors) + 1}" if self.hosted else "local"
        if name not in self.visitors:
            self.visitors.append(name)
            self.benches[name, "sample"] = FakeWorkbench(
                held=list(self.sample_documents),
                example_queries=(
                    ExampleQuery("q1", "lookup", "sluice gate built of oak", ()),
                    ExampleQuery("q2", "paraphrase", "how does dough become light?", ()),
                    ExampleQuery("q3", "long-range", "what was its keeper paid?", ()),
                    ExampleQuery("q4", "reasoning", "why can a baker sleep at night?", ()),
                ),
            )
            self.benches[name, "mine"] = FakeWorkbench()
            self.labels[name, "sample"] = "Sample library"
            self.labels[name, "mine"] = "My library"
        return name

    def open_library(self, visitor_id: str, library_id: str) -> Any:
        try:
            return self.benches[visitor_id, library_id]
        except KeyError:
            raise UnknownNameError("There is no such library here.") from None

    def libraries(self, visitor_id: str) -> tuple[LibraryEntry, ...]:
        return tuple(
            LibraryEntry(
                library,
                self.labels[visitor, library],
                len(bench.held),
                len(bench.passages_),
                library == "sample",
            )
            for (visitor, library), bench in self.benches.items()
            if visitor == visitor_id
        )

    def create_library(self, visitor_id: str, label: str) -> LibraryEntry:
        name = f"lib{len(self.benches)}"
        self.benches[visitor_id, name] = FakeWorkbench()
        self.labels[visitor_id, name] = label
        return LibraryEntry(name, label)

    def services(self, **changes: Any) -> Services:
        made = Services(
            open_library=self.open_library,
            libraries=self.libraries,
            create_library=self.create_library,
            pairs=lambda: (PAIR, dataclasses.replace(PAIR, pair_id="twins", label="Twins")),
            new_visitor=self.new_visitor,
            known_visitor=self.visitors.__contains__,
            upload_library_id=lambda _: "mine",
            hosted=self.hosted,
            version="0.1.0",
            limits=PageLimits(),
        )
        return dataclasses.replace(made, **changes)
