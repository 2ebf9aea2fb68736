"""A library: documents that were read, cut into passages, embedded, and can be asked.

One object with the verbs that page, API and command line call. It has no user interface and no
globals. Several threads may call it at once (a web server does): long work (reading, embedding)
goes one at a time; asking goes on meanwhile over the last complete view, which is replaced in one
step and never changed. A document is searched when every encoder that is asked has all of its
passages, so all systems always search the same passages.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.comparison.compare import compare, search_depth
from core.comparison.matching import PassageMatcher
from core.comparison.records import from_json, to_json
from core.comparison.runs import forget_run, keep_run, kept_runs, matched_runs, run_columns
from core.documents import boxes_for_range, is_sentence, render_page, sentence_spans
from core.encoders.spec import TextKind
from core.errors import (
    InvalidDepthError,
    StoppedError,
    UnknownNameError,
    WorkspaceDamagedError,
)
from core.library.encoders import EncodersInUse
from core.library.holdings import Holdings
from core.library.ingest import Ingest, document_report
from core.library.sample import load_sample_queries, sample_qrels
from core.library.views import Views
from core.monitor import Progress, SilentMonitor
from core.normal import nfc
from core.records import LEXICAL, Query
from core.settings import K_RANGE, ExtractionLimits
from core.store.embedding import embed_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from core.comparison.imported import ImportedRun
    from core.comparison.records import Comparison
    from core.comparison.runs import KeptRun
    from core.encoders.pool import EncoderPool
    from core.encoders.spec import Encoder
    from core.library.allowance import Allowance
    from core.library.encoders import EncoderStatus
    from core.library.holdings import CountTokens
    from core.library.ingest import SourceFile
    from core.library.views import SearchView
    from core.monitor import Monitor
    from core.records import (
        Document,
        DocumentReport,
        IngestionReport,
        Judgment,
        Passage,
        ReceivedText,
        SystemInfo,
    )
    from core.search import Background, MemoryAnswer
    from core.settings import WorkspaceSettings
    from core.store.records import StoredComparison
    from core.store.workspace import Workspace

    Floats = NDArray[np.float32]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A query offered on the page, with the passages that are known to be right.

    Attributes:
        query_id: Of the sample queries.
        group: ``lookup``, ``paraphrase``, ``long-range`` or ``reasoning``.
        text: The query.
        relevant: Passage ids known to be right under the current chunking.
    """

    query_id: str
    group: str
    text: str
    relevant: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PageView:
    """A page as a picture, and where passages stand on it.

    Attributes:
        png: The picture.
        width: Of the page, in points.
        height: Of the page, in points.
        boxes: ``(left, top, right, bottom)`` in points, by passage id.
    """

    png: bytes
    width: float
    height: float
    boxes: Mapping[str, tuple[Box, ...]]


class Library:
    """One workspace, the encoders its settings ask for, and everything a user can ask of them.

    Args:
        workspace: Open; closed by `close`.
        pool: Makes the encoders.
        count_tokens: The neutral counter for passage budgets, for many texts at once.
        limits: What reading one file may cost.
        sample: Folder of the sample library when this is it; its queries become the examples.
        allowance: What its visitor may use on a shared server; None: as much as they like.
        passwords: Of its encrypted documents, by id; kept in memory alone.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        pool: EncoderPool,
        count_tokens: CountTokens,
        limits: ExtractionLimits | None = None,
        sample: Path | None = None,
        allowance: Allowance | None = None,
        passwords: MutableMapping[str, str] | None = None,
    ) -> None:
        self.workspace = workspace
        self.pool = pool
        self.encoders = EncodersInUse(workspace, pool)
        self._allowance = allowance
        self._limits = limits or ExtractionLimits()
        self._sample = sample
        self._ingesting = threading.Lock()  # held through long work
        self._holdings = Holdings(
            workspace,
            count_tokens=count_tokens,
            limits=self._limits,
            passwords={} if passwords is None else passwords,
        )
        self._views = Views(
            workspace,
            holdings=self._holdings,
            encoder=self.encoders.get,
            indexing=self._ingesting.locked,
        )
        self._examples: tuple[str, tuple[ExampleQuery, ...]] | None = None

    def close(self) -> None:
        """Close the workspace."""
        self.workspace.close()

    # -- filling ---------------------------------------------------------------------------

    def add(
        self, files: Sequence[SourceFile], *, embed: bool = True, monitor: Monitor | None = None
    ) -> IngestionReport:
        """Read, cut and embed files; a bad one is skipped with the reason and the batch goes on.

        Stop keeps what was finished; adding the same files again, or `index`, goes on from there.

        Args:
            files: In any order; the order does not change what is found later.
            embed: With every encoder in use, after all files were read.
            monitor: Told of every step, asked whether to stop.

        Raises:
            AllowanceExceededError: On a shared server, when it would be too much for one visitor.
            DiskFullError: What was finished before stays.
            EncoderError: After the other encoders have finished; the documents stay.
        """
        if self._allowance is not None:
            self._allowance.require_room(files, held=len(self.workspace.documents()))
        steps = [lambda ingest: ingest.read(files), *([Ingest.embed] if embed else [])]
        return self._ingest(steps, monitor)

    def index(self, *, monitor: Monitor | None = None) -> IngestionReport:
        """Embed the passages that the settings need and that have no vectors. Errors as in `add`."""
        return self._ingest([Ingest.embed], monitor)

    def remove(self, doc_id: str) -> None:
        """Forget a document, its passages and its vectors; judgments on it stay.

        Raises:
            UnknownNameError: If it is not here.
        """
        self.workspace.remove_document(doc_id)
        self._holdings.forget(doc_id)

    def _ingest(
        self, steps: Sequence[Callable[[Ingest], None]], monitor: Monitor | None
    ) -> IngestionReport:
        with self._ingesting:
            ingest = Ingest(
                self.workspace,
                holdings=self._holdings,
                encoders=self.encoders,
                limits=self._limits,
                monitor=monitor or SilentMonitor(),
            )
            try:
                for step in steps:
                    step(ingest)
            except StoppedError:
                ingest.stopped = True
            self.encoders.keep_fingerprints()
            return ingest.report()

    # -- settings --------------------------------------------------------------------------

    @property
    def settings(self) -> WorkspaceSettings:
        """The settings that this library remembers."""
        return self.workspace.settings()

    def change_settings(
        self, settings: WorkspaceSettings, *, monitor: Monitor | None = None
    ) -> None:
        """Keep new settings; cuts anew when chunking changed. Vectors that fit are reused.

        Documents and judgments stay, and so do vectors and passages of the chunking before, so
        that going back costs nothing. A new chunking counts when every document has been cut;
        Stop before that leaves the old one.

        Raises:
            UnknownNameError: If a pair or an encoder is not known.
            InvalidSettingError: If an encoder does not offer what is chosen for it.
            EncoderError: If an encoder cannot be loaded; the settings are kept all the same.
        """
        before = self.settings
        settings = self.encoders.checked(settings, before)
        if replace(settings, chunking=before.chunking) != before:
            self.workspace.put_settings(replace(settings, chunking=before.chunking))
        if settings.chunking != before.chunking:
            silent = SilentMonitor()

            def cut_anew(_ingest: Ingest) -> None:
                self._holdings.cut(settings.chunking, monitor or silent)
                self.workspace.put_settings(replace(self.settings, chunking=settings.chunking))
                self._holdings.changed(epoch=True)

            self._ingest([cut_anew, Ingest.embed], monitor)
        elif replace(settings, k=before.k) != before and self.workspace.documents():
            self.index(monitor=monitor)

    # -- looking ---------------------------------------------------------------------------

    def documents(self) -> tuple[DocumentReport, ...]:
        """Return a line per document, ordered by name."""
        chunked = self.workspace.chunked(self.settings.chunking.key)
        return tuple(
            document_report(stored, chunked.get(stored.doc_id, (0, 0)))
            for stored in self.workspace.documents()
        )

    def document(self, doc_id: str) -> Document:
        """Return a document whole; one whose record is damaged is read again from its file.

        Raises:
            UnknownNameError: If it is not here.
            WorkspaceDamagedError: If the file is damaged as well.
        """
        return self._holdings.document(doc_id)

    def passages(self) -> tuple[Passage, ...]:
        """Return the passages of the current chunking, ordered by id, embedded or not."""
        return self._holdings.corpus().passages

    def passage(self, passage_id: str) -> Passage:
        """Return one passage of the current chunking.

        Raises:
            UnknownNameError: If it is not here.
        """
        try:
            return self._holdings.corpus().by_id[passage_id]
        except KeyError:
            msg = f"Passage {passage_id[:60]!r} is not in this library under its settings."
            raise UnknownNameError(msg) from None

    def passage_count(self) -> int:
        """Return how many passages the current chunking has, without reading them."""
        chunked = self.workspace.chunked(self.settings.chunking.key)
        return sum(passages for passages, _tokens in chunked.values())

    def encoder_status(self) -> tuple[EncoderStatus, ...]:
        """Return how ready every encoder in use is, the pair first, without loading anything."""
        return self.encoders.status(self._holdings)

    def page_view(
        self,
        doc_id: str,
        page_number: int,
        passage_ids: Sequence[str] = (),
        *,
        width_pixels: int = 1000,
    ) -> PageView:
        """Return a page as a picture, and where passages of its document stand on it.

        Args:
            doc_id: Of the document.
            page_number: From 1.
            passage_ids: Passages to place; one that is not here has no boxes.
            width_pixels: Of the picture.

        Raises:
            UnknownNameError: No such document or page, or a plain text document.
            DocumentError: If the page cannot be drawn.
            AllowanceExceededError: On a shared server, when one visitor has too many drawn.
        """
        document = self.document(doc_id)
        if document.media_type != "application/pdf":
            msg = f'"{document.name}" is plain text and has no page images.'
            raise UnknownNameError(msg)
        if not 1 <= page_number <= len(document.pages):
            msg = f'"{document.name}" has pages 1 to {len(document.pages)}, not {page_number}.'
            raise UnknownNameError(msg)
        by_id = self._holdings.corpus().by_id
        boxes = {
            passage_id: tuple(
                (left, top, right, bottom)
                for part in boxes_for_range(
                    document, by_id[passage_id].start, by_id[passage_id].end
                )
                if part.page_number == page_number
                for left, top, right, bottom in part.boxes.tolist()
            )
            for passage_id in passage_ids
            if passage_id in by_id and by_id[passage_id].doc_id == doc_id
        }
        page = document.pages[page_number - 1]
        turn = self._allowance.drawing() if self._allowance else contextlib.nullcontext()
        with turn:
            png = render_page(
                self.workspace.document_source(doc_id),
                page_number,
                width_pixels=width_pixels,
                password=self._holdings.passwords.get(doc_id),
            )
        return PageView(png, page.width, page.height, boxes)

    def examples(self) -> tuple[ExampleQuery, ...]:
        """Return the example queries of the sample library; none for a user's own."""
        if self._sample is None:
            return ()
        passages = self.passages()
        key = f"{self.settings.chunking.key}:{len(passages)}"
        if self._examples is None or self._examples[0] != key:
            queries = load_sample_queries(self._sample)
            documents = [self.document(stored.doc_id) for stored in self.workspace.documents()]
            qrels = sample_qrels(queries, documents, passages)
            self._examples = (
                key,
                tuple(
                    ExampleQuery(
                        q.query_id, q.group.value, q.text, tuple(sorted(qrels[q.query_id]))
                    )
                    for q in queries
                ),
            )
        return self._examples[1]

    # -- asking ----------------------------------------------------------------------------

    def ask(
        self,
        text: str,
        *,
        k: int | None = None,
        runs: Sequence[ImportedRun] = (),
        monitor: Monitor | None = None,
    ) -> Comparison:
        """Ask every system the same query and say where the rankings part.

        Args:
            text: The query.
            k: Depth; None takes the library's own.
            runs: Imported runs, as columns beside those that the library keeps.
            monitor: Watches, and may stop it.

        Raises:
            InvalidQueryError: Empty or over `MAX_QUERY_CHARS`.
            InvalidDepthError: If k is outside what is offered.
            EmptyLibraryError: Nothing has been indexed.
            AllowanceExceededError: On a shared server, when one visitor asks too much.
        """
        if self._allowance is not None:
            self._allowance.take_query()
        text = nfc(text)
        settings = self.settings
        depth = settings.k if k is None else k
        if not K_RANGE[0] <= depth <= K_RANGE[1]:
            msg = f"k is {depth}; choose a whole number from {K_RANGE[0]} to {K_RANGE[1]}."
            raise InvalidDepthError(msg)
        monitor = monitor or SilentMonitor()
        first, second = self.encoders.pair()
        columns = self.encoders.columns()
        monitor.report(Progress("loading the encoders", 0, 0))
        view = self.view([*(self.encoders.info(spec) for spec in columns), LEXICAL])
        monitor.report(Progress("asking", 0, len(columns) + 1))
        query = Query(_query_id(text), text)
        answers = view.searcher.search(query, k=search_depth(depth))
        encoders = {
            spec.encoder_id: self.encoders.get(spec.encoder_id)
            for spec in columns
            if not answers[spec.encoder_id].failure
        }
        backgrounds = {}
        for system_id, encoder in encoders.items():
            monitor.report(Progress("calibrating scores", 0, 0, encoder.spec.label))
            backgrounds[system_id] = self.background(encoder, view, monitor=monitor)
        systems = [
            replace(answer, max_tokens=self.encoders.token_limit(name))
            if answer.fingerprint
            else answer
            for name, answer in answers.items()
        ]
        systems += self._run_columns(query, runs, taken=list(answers))
        return compare(
            query,
            systems,
            backgrounds,
            k=depth,
            passages=view.by_id,
            document_names={stored.doc_id: stored.name for stored in self.workspace.documents()},
            corpus_size=len(view.passages),
            waiting=view.waiting,
            encoders=(first.encoder_id, second.encoder_id),
            unit=settings.chunking.unit,
            pair_id=settings.pair_id,
        )

    def warm(self) -> None:
        """Embed missing passages and make the indexes that the first question needs.

        Raises:
            EncoderError: If an encoder in use cannot be loaded.
        """
        self.index()
        view = self.view([*(self.encoders.info(spec) for spec in self.encoders.columns()), LEXICAL])
        for encoder_id in self.encoders.ids():
            self.background(self.encoders.get(encoder_id), view)
        self.encoder_status()  # keeps what says, before an encoder is loaded, what is embedded

    def view(self, systems: Sequence[SystemInfo]) -> SearchView:
        """Return the passages that these systems can search now; as `Views.get`."""
        return self._views.get(systems)

    def embeddings(self, encoder: Encoder, passages: Sequence[Passage]) -> Floats:
        """Return ``(n, dim)`` float32 of passages that are embedded.

        Raises:
            IndexMismatchError: If one of them is not.
        """
        return self._holdings.embeddings(encoder, passages)

    def background(
        self, encoder: Encoder, view: SearchView, *, monitor: Monitor | None = None
    ) -> Background:
        """Score background of an encoder over a view's passages; kept once computed."""
        return self._views.background(encoder, view, monitor=monitor)

    def received(self, text: str, *, kind: TextKind = TextKind.QUERY) -> dict[str, ReceivedText]:
        """Tokens of a text that each encoder of the pair reads, by system id."""
        return {
            encoder.spec.encoder_id: encoder.received([text], kind=kind)[0]
            for encoder in self.encoders.working_pair()
        }

    def best_sentences(self, query: str, passage_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return, per passage, the range in its text of the sentence nearest to the query.

        Headings, table rows, entries and formulas are no sentences; a passage of nothing else is
        left out. Both encoders have the same say (`nearest_sentence`). Sentence embeddings are kept, so the
        second look at a passage costs nothing.
        """
        texts = {passage_id: self.passage(passage_id).text for passage_id in passage_ids}
        spans = {
            passage_id: [span for span in sentence_spans(text) if is_sentence(text[slice(*span)])]
            for passage_id, text in texts.items()
        }
        sentences = [
            texts[passage_id][start:end] for passage_id in texts for start, end in spans[passage_id]
        ]
        encoders = self.encoders.working_pair()
        queries = [encoder.encode([query], kind=TextKind.QUERY)[0] for encoder in encoders]
        vectors = []
        for encoder in encoders:
            embed_texts(self.workspace, encoder, sentences)
            vectors.append(self.workspace.vectors(encoder.passage_fingerprint, sentences))
        nearest: dict[str, tuple[int, int]] = {}
        row = 0
        for passage_id in texts:
            rows = slice(row, row + len(spans[passage_id]))
            row = rows.stop
            best = nearest_sentence(spans[passage_id], queries, [part[rows] for part in vectors])
            if best is not None and encoders:
                nearest[passage_id] = best
        return nearest

    # -- imported runs ---------------------------------------------------------------------

    def add_runs(self, runs: Sequence[ImportedRun]) -> tuple[KeptRun, ...]:
        """Keep imported runs as columns; returns the matches of their ids in this library.

        Raises:
            UsageError: If there are too many, or one is too large to be kept.
            AllowanceExceededError: On a shared server, when its visitor keeps too much.
        """
        self._require_bytes(sum(len(run.rankings) for run in runs))
        added = {keep_run(self.workspace, run): run for run in runs}
        return matched_runs(added, self._matcher())

    def runs(self) -> tuple[KeptRun, ...]:
        """Kept runs, with the matches of their ids under the present chunking."""
        runs = kept_runs(self.workspace)
        return matched_runs(runs, self._matcher()) if runs else ()

    def remove_run(self, run_id: str) -> None:
        """Forget a kept run.

        Raises:
            UnknownNameError: If there is none of this id.
        """
        forget_run(self.workspace, run_id)

    def _run_columns(
        self, query: Query, more: Sequence[ImportedRun], *, taken: Sequence[str]
    ) -> list[MemoryAnswer]:
        runs = [*kept_runs(self.workspace).values(), *more]
        if not runs:
            return []
        same = [example.query_id for example in self.examples() if example.text == query.text]
        return run_columns(runs, query, matcher=self._matcher(), taken=taken, also_known_as=same)

    def _matcher(self) -> PassageMatcher:
        names = {stored.doc_id: stored.name for stored in self.workspace.documents()}
        return PassageMatcher(self.passages(), names)

    # -- keeping ---------------------------------------------------------------------------

    def save_comparison(self, comparison: Comparison) -> str:
        """Keep a comparison; returns the id its permalink uses.

        Raises:
            AllowanceExceededError: On a shared server, when its visitor keeps too much.
        """
        payload = to_json(comparison).encode()
        self._require_bytes(len(payload))
        return self.workspace.save_comparison(
            payload, query=comparison.query.text, pair_id=comparison.pair_id
        )

    def saved_comparisons(self) -> tuple[StoredComparison, ...]:
        """Return the saved comparisons without their content, newest first."""
        return self.workspace.comparisons()

    def load_comparison(self, comparison_id: str) -> Comparison:
        """Return a saved comparison exactly as it was.

        Raises:
            UnknownNameError: If nothing was kept under this id.
            WorkspaceDamagedError: If what was kept cannot be read.
        """
        payload = self.workspace.comparison(comparison_id)
        try:
            return from_json(payload.decode())
        except ValueError as exc:
            msg = f"The saved comparison {comparison_id} is damaged; ask the query again."
            raise WorkspaceDamagedError(msg) from exc

    def judge(self, judgments: Sequence[Judgment]) -> None:
        """Keep judgments; a new grade for the same characters replaces the old one.

        Raises:
            AllowanceExceededError: On a shared server, when its visitor keeps too much.
        """
        self._require_bytes(sum(len(judgment.query_text) for judgment in judgments))
        self.workspace.put_judgments(judgments)

    def judgments(self, query_text: str | None = None) -> tuple[Judgment, ...]:
        """Return the judgments of one query, or all."""
        return self.workspace.judgments(query_text)

    def _require_bytes(self, extra: int) -> None:
        if self._allowance is not None:
            self._allowance.require_bytes(extra)


def nearest_sentence(
    spans: Sequence[tuple[int, int]],
    query_vectors: Sequence[Floats],
    sentence_vectors: Sequence[Floats],
) -> tuple[int, int] | None:
    """Return the one sentence to mark on a card that shows both encoders' hit.

    Args:
        spans: Of the passage's sentences.
        query_vectors: ``(dim,)`` per encoder.
        sentence_vectors: ``(sentences, dim)`` per encoder, in order of the spans.

    Returns:
        The sentence with the highest mean of the encoders' standardised scores over the passage's
        sentences, so that no encoder's scale decides; None for a text without sentences.
    """
    if not spans:
        return None
    total = np.zeros(len(spans))
    for query, rows in zip(query_vectors, sentence_vectors, strict=True):
        scores = (rows @ query).astype(np.float64)
        spread = float(scores.std())
        total += (scores - scores.mean()) / spread if spread > 0 else 0.0
    return spans[int(np.argmax(total))]


def _query_id(text: str) -> str:
    """Return an id that is the same for the same query, without spaces."""
    return "q" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
