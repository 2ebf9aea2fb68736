"""The verbs of Bifocal, one object per library: what the page, the API and the command line call.

A `Workbench` joins a workspace on disk, a library of documents and the encoders of a pair. It
holds no user interface and no globals; it is safe to call from several threads.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from core.chosen import ChosenEncoders
from core.comparison.compare import compare
from core.comparison.from_search import background_of, search_depth, system_results
from core.comparison.matching import PassageMatcher
from core.comparison.records import from_json, to_json
from core.comparison.runs import forget_run, keep_run, kept_runs, matched_runs, run_columns
from core.documents import boxes_for_range, render_page, sentence_spans
from core.encoders.pool import LoadState
from core.encoders.spec import TextKind
from core.errors import (
    CoreError,
    InvalidDepthError,
    UnknownNameError,
    WorkspaceDamagedError,
)
from core.evaluation.sample import load_sample_queries, sample_qrels
from core.laboratory.arms import make_bench
from core.laboratory.evidence import shared_best_sentence
from core.laboratory.report import PagePicture
from core.laboratory.results import from_json as result_from_json
from core.laboratory.results import to_json as result_to_json
from core.library import Library
from core.library.embedding import embed_texts
from core.monitor import Progress, SilentMonitor
from core.records import Family, Query, SystemInfo
from core.settings import K_RANGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from core.comparison.calibration import Background
    from core.comparison.compare import SystemResult
    from core.comparison.imported import ImportedRun
    from core.comparison.records import Comparison
    from core.comparison.runs import KeptRun
    from core.documents import PageBoxes
    from core.encoders.pool import EncoderPool
    from core.encoders.protocol import Encoder
    from core.laboratory.arms import Bench
    from core.library import Allowance, SearchView, SourceFile
    from core.monitor import Monitor
    from core.records import (
        Document,
        DocumentReport,
        IngestionReport,
        Judgment,
        Passage,
        ReceivedText,
    )
    from core.settings import ExtractionLimits, WorkspaceSettings
    from core.store import Workspace

    CountTokens = Callable[[Sequence[str]], Sequence[int]]

R = TypeVar("R")

LEXICAL = SystemInfo("bm25", Family.LEXICAL, "BM25")


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A query offered on the page, with the passages known to be right.

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


@dataclass(frozen=True, slots=True)
class ArmStatus:
    """What the page shows about one encoder of the pair.

    Attributes:
        system_id: The encoder's id.
        family: Its colour.
        label: Its name.
        state: ``ready``, ``loading``, ``failed`` or ``not loaded``.
        problem: Why it failed, in a sentence; "" otherwise.
        passages_embedded: Of the current corpus, under the current settings.
        passages: In the current corpus.
    """

    system_id: str
    family: Family
    label: str
    state: str
    problem: str
    passages_embedded: int
    passages: int


@dataclass(frozen=True, slots=True)
class SavedComparison:
    """A line in the list of saved comparisons."""

    comparison_id: str
    query: str
    created: str  # ISO 8601, UTC
    pair_id: str


class Workbench:
    """One library, two encoders, and everything a user can ask of them.

    Args:
        workspace: Open; closed by `close`.
        pool: The encoders.
        count_tokens: The neutral counter for passage budgets.
        limits: What reading one file may cost.
        sample: Folder of the sample library when this is it; its queries become the examples.
        allowance: What its visitor may use on a shared server; None: as much as they like.
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
    ) -> None:
        self._allowance = allowance
        self.workspace = workspace
        self.pool = pool
        self.chosen = ChosenEncoders(workspace, pool)
        self.library = Library(
            workspace,
            encoders=self.chosen.get,
            count_tokens=count_tokens,
            limits=limits,
            before_embedding=lambda monitor: self.chosen.measure_centres(
                self.library.passages(), monitor
            ),
        )
        self._sample = sample
        self._lock = threading.Lock()
        self._examples: tuple[str, tuple[ExampleQuery, ...]] | None = None
        self._bench: tuple[object, Bench] | None = None

    def close(self) -> None:
        """Close the workspace."""
        self.workspace.close()

    # -- library ---------------------------------------------------------------------------

    def add_files(
        self, files: Sequence[SourceFile], *, monitor: Monitor | None = None
    ) -> IngestionReport:
        """Read, chunk and embed files with both arms; bad files are skipped with the reason.

        Raises:
            AllowanceExceededError: On a shared server, when it would be too much for one visitor.
            DiskFullError: What was indexed before stays.
            EncoderError: After the other arm has finished; the documents stay.
        """
        if self._allowance is not None:
            self._allowance.require_room(files, held=len(self.documents()))
        return self.library.add_files(files, encoder_ids=self.chosen.column_ids(), monitor=monitor)

    def embed_missing(self, *, monitor: Monitor | None = None) -> IngestionReport:
        """Embed what the current pair and settings have no vectors for (after Stop, or a change)."""
        return self.library.embed_missing(self.chosen.column_ids(), monitor=monitor)

    def remove_document(self, doc_id: str) -> None:
        """Forget a document, its passages and its place in the index; judgments on it stay."""
        self.library.remove(doc_id)

    def documents(self) -> tuple[DocumentReport, ...]:
        """Return a line per document, in order of name."""
        return self.library.documents()

    def document(self, doc_id: str) -> Document:
        """Return one document whole.

        Raises:
            UnknownNameError: If the library does not hold it.
        """
        return self.library.document(doc_id)

    def passage(self, passage_id: str) -> Passage:
        """Return one passage of the current chunking."""
        return self.library.passage(passage_id)

    def passage_count(self) -> int:
        """Return how many passages the current chunking has."""
        chunked = self.workspace.chunked(self.settings.chunking.key)
        return sum(passages for passages, _tokens in chunked.values())

    def arms(self) -> tuple[ArmStatus, ...]:
        """Return the state of both encoders, and of further ones, without loading anything."""
        passages = len(self.library.passages())
        found = []
        for spec in self.chosen.columns():
            state, problem, fingerprint = self.chosen.state(spec)
            embedded = 0
            if fingerprint:
                embedded = self.library.embedded_count(
                    fingerprint, late_chunking=spec.late_chunking
                )
            found.append(
                ArmStatus(
                    system_id=spec.encoder_id,
                    family=spec.family,
                    label=self.chosen.info(spec).label,
                    state=state.value,
                    problem=problem,
                    passages_embedded=embedded,
                    passages=passages,
                )
            )
        for name in self.settings.also:
            if name not in self.pool.registry.encoders:
                problem = f"{name} was removed from the encoders; take it out of the columns."
                gone = LoadState.FAILED.value
                found.append(ArmStatus(name, Family.REFERENCE, name, gone, problem, 0, passages))
        return tuple(found)

    # -- settings --------------------------------------------------------------------------

    @property
    def settings(self) -> WorkspaceSettings:
        """What this library remembers."""
        return self.library.settings

    def change_settings(
        self, settings: WorkspaceSettings, *, monitor: Monitor | None = None
    ) -> None:
        """Keep new settings; re-chunks when chunking changed. Vectors that fit are reused.

        Raises:
            UnknownNameError: If nobody knows the pair, or an encoder.
            InvalidSettingError: If an encoder does not offer what is chosen for it.
            EncoderError: If an arm cannot be loaded; the settings are kept all the same.
        """
        before = self.settings
        settings = self.chosen.checked(settings, before)
        if replace(settings, chunking=before.chunking) != before:
            self.workspace.put_settings(replace(settings, chunking=before.chunking))
        if settings.chunking != before.chunking:
            self.library.rechunk(
                settings.chunking, encoder_ids=self.chosen.column_ids(), monitor=monitor
            )
        elif replace(settings, k=before.k) != before and self.documents():
            self.embed_missing(monitor=monitor)

    def token_limit(self, encoder_id: str = "") -> int:
        """Return the limit both arms run at: the user's, or the smaller of their own.

        Args:
            encoder_id: Whose limit, where the user lets each encoder read to its own.
        """
        return self.chosen.token_limit(encoder_id)

    # -- asking ----------------------------------------------------------------------------

    def compare(
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
            runs: From elsewhere, as columns beside those that the library keeps.
            monitor: Watches, and may stop it.

        Raises:
            InvalidQueryError: Empty or over `MAX_QUERY_CHARS`.
            InvalidDepthError: If k is outside what is offered.
            EmptyLibraryError: Nothing has been indexed.
            AllowanceExceededError: On a shared server, when one visitor asks too much.
        """
        if self._allowance is not None:
            self._allowance.take_query()
        settings = self.settings
        depth = settings.k if k is None else k
        if not K_RANGE[0] <= depth <= K_RANGE[1]:
            msg = f"k is {depth}; choose a whole number from {K_RANGE[0]} to {K_RANGE[1]}."
            raise InvalidDepthError(msg)
        monitor = monitor or SilentMonitor()
        specs = self.chosen.arms()
        columns = self.chosen.columns()
        systems = [self.chosen.info(spec) for spec in columns]
        monitor.report(Progress("loading the encoders", 0, 0))
        view = self.library.view([*systems, LEXICAL])
        monitor.report(Progress("asking", 0, len(systems) + 1))
        query = Query(_query_id(text), text)
        found = view.searcher.search(query, k=search_depth(depth))
        encoders = {
            spec.encoder_id: self.chosen.get(spec.encoder_id)
            for spec in columns
            if spec.encoder_id in found.answers
        }
        backgrounds = {}
        for system_id, encoder in encoders.items():
            monitor.report(Progress("calibrating scores", 0, 0, encoder.spec.label))
            backgrounds[system_id] = self._background(encoder, view, monitor)
        results = [
            replace(result, max_tokens=self.token_limit(result.info.system_id))
            if result.fingerprint
            else result
            for result in system_results(found, encoders)
        ]
        results += self._run_columns(query, runs, taken=[r.info.system_id for r in results])
        return compare(
            query,
            results,
            backgrounds,
            k=depth,
            passages=view.by_id,
            document_names={report.doc_id: report.name for report in self.documents()},
            corpus_size=len(view.passages),
            arms=(specs[0].encoder_id, specs[1].encoder_id),
            unit=settings.chunking.unit,
            pair_id=settings.pair_id,
        )

    def _run_columns(
        self, query: Query, more: Sequence[ImportedRun], *, taken: Sequence[str]
    ) -> list[SystemResult]:
        runs = [*kept_runs(self.workspace).values(), *more]
        if not runs:
            return []
        same = [example.query_id for example in self.examples() if example.text == query.text]
        return run_columns(runs, query, matcher=self._matcher(), taken=taken, also_known_as=same)

    def _matcher(self) -> PassageMatcher:
        names = {report.doc_id: report.name for report in self.documents()}
        return PassageMatcher(self.library.passages(), names)

    # -- runs from elsewhere ---------------------------------------------------------------

    def add_runs(self, runs: Sequence[ImportedRun]) -> tuple[KeptRun, ...]:
        """Keep runs from elsewhere as columns; returns what their ids are in this library.

        Raises:
            UsageError: If there are too many, or one is too large to be kept.
        """
        kept = {keep_run(self.workspace, run): run for run in runs}
        return matched_runs(kept, self._matcher())

    def runs(self) -> tuple[KeptRun, ...]:
        """Return the kept runs, with what their ids are under the present chunking."""
        kept = kept_runs(self.workspace)
        return matched_runs(kept, self._matcher()) if kept else ()

    def remove_run(self, run_id: str) -> None:
        """Forget a kept run.

        Raises:
            UnknownNameError: If there is none of this id.
        """
        forget_run(self.workspace, run_id)

    def received(self, text: str) -> dict[str, ReceivedText]:
        """Return what each encoder gets for a query, by system id."""
        return self._received(text, TextKind.QUERY)

    def received_passage(self, passage_id: str) -> dict[str, ReceivedText]:
        """Return what each encoder got for a passage, by system id."""
        return self._received(self.passage(passage_id).text, TextKind.PASSAGE)

    def best_sentences(self, query: str, passage_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return, per passage, the range in its text of the sentence nearest to the query.

        Both arms have the same say (`core.laboratory.evidence.shared_best_sentence`). Sentence
        embeddings are kept, so the second look at a passage costs nothing.
        """
        texts = {passage_id: self.passage(passage_id).text for passage_id in passage_ids}
        spans = {passage_id: sentence_spans(text) for passage_id, text in texts.items()}
        sentences = [
            texts[passage_id][start:end] for passage_id in texts for start, end in spans[passage_id]
        ]
        encoders = self.chosen.working_arms()
        query_vectors = [encoder.encode([query], kind=TextKind.QUERY)[0] for encoder in encoders]
        vectors = []
        for encoder in encoders:
            embed_texts(self.workspace, encoder, sentences)
            vectors.append(self.workspace.vectors(encoder.passage_fingerprint, sentences))
        found: dict[str, tuple[int, int]] = {}
        row = 0
        for passage_id, text in texts.items():
            rows = slice(row, row + len(spans[passage_id]))
            row = rows.stop
            best = shared_best_sentence(text, query_vectors, [part[rows] for part in vectors])
            if best is not None and encoders:
                found[passage_id] = best
        return found

    def examples(self) -> tuple[ExampleQuery, ...]:
        """Return the example queries of this library; none for a user's own."""
        if self._sample is None:
            return ()
        passages = self.library.passages()
        key = f"{self.settings.chunking.key}:{len(passages)}"
        with self._lock:
            if self._examples is not None and self._examples[0] == key:
                return self._examples[1]
        queries = load_sample_queries(self._sample)
        documents = [self.document(report.doc_id) for report in self.documents()]
        qrels = sample_qrels(queries, documents, passages)
        found = tuple(
            ExampleQuery(
                query.query_id, query.group.value, query.text, tuple(sorted(qrels[query.query_id]))
            )
            for query in queries
        )
        with self._lock:
            self._examples = (key, found)
        return found

    # -- laboratory ------------------------------------------------------------------------

    def bench(self, *, monitor: Monitor | None = None) -> Bench:
        """Return both arms over this library, for the experiments of `core.laboratory`.

        Raises:
            EmptyLibraryError: Nothing has been indexed.
            EncoderError: If an arm cannot be loaded: an experiment needs both.
        """
        specs = self.chosen.arms()
        systems = [self.chosen.info(spec) for spec in specs]
        encoder_a, encoder_b = (self.chosen.get(spec.encoder_id) for spec in specs)
        view = self.library.view([*systems, LEXICAL])
        key = (view.corpus_key, encoder_a.fingerprint, encoder_b.fingerprint)
        with self._lock:
            if self._bench is not None and self._bench[0] == key:
                return self._bench[1]
        doc_ids = sorted({passage.doc_id for passage in view.passages})
        bench = make_bench(
            view.passages,
            [self.document(doc_id) for doc_id in doc_ids],
            encoders=(encoder_a, encoder_b),
            vectors=(
                self.library.embeddings(encoder_a, view.passages),
                self.library.embeddings(encoder_b, view.passages),
            ),
            backgrounds=(
                self._background(encoder_a, view, monitor),
                self._background(encoder_b, view, monitor),
            ),
            monitor=monitor,
        )
        with self._lock:
            self._bench = (key, bench)
        return bench

    def experiment(self, key: str, kind: type[R], run: Callable[[Bench], R]) -> R:
        """Return an experiment's result, from the workspace's cache when it was run before.

        Args:
            key: From `core.laboratory.results.result_key`; corpus and encoders are added here.
            kind: Record type of the result.
            run: Computes it.
        """
        bench = self.bench()
        corpus = hashlib.sha256(
            "\n".join(passage.passage_id for passage in bench.corpus.passages).encode()
        ).hexdigest()
        full = ":".join(
            ("experiment", key, corpus, bench.a.encoder.fingerprint, bench.b.encoder.fingerprint)
        )
        kept = self.workspace.cached_result(full)
        if kept is not None:
            try:
                return result_from_json(kind, kept.decode())
            except (ValueError, TypeError, KeyError):
                pass  # an older layout; computed again below
        result = run(bench)
        self.workspace.cache_result(full, result_to_json(result).encode())
        return result

    # -- pages -----------------------------------------------------------------------------

    def page_image(self, doc_id: str, page_number: int, *, width_pixels: int = 1000) -> bytes:
        """Return a page as PNG.

        Raises:
            UnknownNameError: No such document or page, or a plain text document.
        """
        document = self.document(doc_id)
        if document.media_type != "application/pdf":
            msg = f'"{document.name}" is plain text and has no page images.'
            raise UnknownNameError(msg)
        if not 1 <= page_number <= len(document.pages):
            msg = f'"{document.name}" has pages 1 to {len(document.pages)}, not {page_number}.'
            raise UnknownNameError(msg)
        return render_page(
            self.workspace.document_source(doc_id),
            page_number,
            width_pixels=width_pixels,
            password=self.library.password(doc_id),
        )

    def passage_boxes(self, passage_id: str) -> tuple[PageBoxes, ...]:
        """Return where a passage stands on its pages, from stored character boxes."""
        passage = self.passage(passage_id)
        return boxes_for_range(self.document(passage.doc_id), passage.start, passage.end)

    def pictures(
        self, comparison: Comparison, *, hits: int = 2, width_pixels: int = 700
    ) -> dict[str, PagePicture]:
        """Return the pages of both arms' first hits, for the report; those that can be had.

        Args:
            comparison: Of this library.
            hits: How many of each arm.
            width_pixels: Of the pictures.
        """
        found = {}
        for arm in (comparison.arm_a, comparison.arm_b):
            for hit in comparison.column(arm).ranking.hits[:hits]:
                passage = comparison.passage(hit.passage_id)
                try:
                    png = self.page_image(
                        passage.doc_id, passage.page_first, width_pixels=width_pixels
                    )
                    page = self.document(passage.doc_id).pages[passage.page_first - 1]
                    drawn = self.passage_boxes(hit.passage_id)
                except CoreError:
                    continue  # plain text, or removed since
                boxes = tuple(
                    (left, top, right, bottom)
                    for one in drawn
                    if one.page_number == passage.page_first
                    for left, top, right, bottom in one.boxes.tolist()
                )
                found[hit.passage_id] = PagePicture(png, page.width, page.height, boxes)
        return found

    # -- keeping ---------------------------------------------------------------------------

    def save_comparison(self, comparison: Comparison) -> str:
        """Keep a comparison; returns the id its permalink uses."""
        return self.workspace.save_comparison(
            to_json(comparison).encode(),
            query=comparison.query.text,
            pair_id=comparison.pair_id,
        )

    def saved_comparisons(self) -> tuple[SavedComparison, ...]:
        """Return what was kept, newest first."""
        return tuple(
            SavedComparison(kept.comparison_id, kept.query, kept.created, kept.pair_id)
            for kept in self.workspace.comparisons()
        )

    def load_comparison(self, comparison_id: str) -> Comparison:
        """Return a kept comparison exactly as it was.

        Raises:
            UnknownNameError: If nothing was kept under this id.
            WorkspaceDamagedError: If what was kept cannot be read.
        """
        kept = self.workspace.comparison(comparison_id)
        try:
            return from_json(kept.payload.decode())
        except ValueError as exc:
            msg = f"The saved comparison {comparison_id} is damaged; ask the query again."
            raise WorkspaceDamagedError(msg) from exc

    def judge(self, judgments: Sequence[Judgment]) -> None:
        """Keep judgments; a new grade for the same characters replaces the old one."""
        self.workspace.put_judgments(judgments)

    def judgments(self, query_text: str | None = None) -> tuple[Judgment, ...]:
        """Return what was judged, for one query or all."""
        return self.workspace.judgments(query_text)

    # -- inside ----------------------------------------------------------------------------

    def _background(
        self, encoder: Encoder, view: SearchView, monitor: Monitor | None
    ) -> Background:
        sampled = self.library.background(encoder, view, monitor=monitor)
        return background_of(sampled)

    def _received(self, text: str, kind: TextKind) -> dict[str, ReceivedText]:
        return {
            encoder.spec.encoder_id: encoder.received([text], kind=kind)[0]
            for encoder in self.chosen.working_arms()
        }


def _query_id(text: str) -> str:
    """Return an id that is the same for the same query, without spaces."""
    return "q" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
