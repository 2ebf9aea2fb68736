"""The verbs as named endpoints: one definition serves REST, `gradio_client` and MCP.

Every endpoint takes ``visitor`` last: locally leave it empty; on a shared server call ``start``
once and pass the id it returns, it is the key to your libraries. ``library`` is an id from
``libraries``; empty means the sample library (for ``index``: your own).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

from core.comparison.records import to_fields
from core.comparison.runs import KeptRun
from core.encoders.catalogue import EncoderRequest, shown_checkpoint
from core.encoders.choices import parse_choice
from core.errors import CoreError, InvalidQueryError, InvalidSettingError, UnknownNameError
from core.laboratory.growing import Growth
from core.laboratory.last_sentence import DEFAULT_EDIT
from core.laboratory.results import to_jsonable
from core.monitor import Monitor
from core.records import Family
from core.workbench import Workbench
from demo.choosing import Choosing
from demo.experiments import Experiments, wanted_findings
from demo.fetching import Fetching
from demo.handlers import Handlers, exported
from demo.importing import Importing
from demo.judging import Judging, grades_of, measure
from demo.toolkit import gr

MOST_DRAFTS = 2000
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Door:
    """What endpoints share: who is asking and for which library."""

    handlers: Handlers

    def visitor(self, visitor: str) -> str:
        """Return a checked visitor id; locally the empty one is the only one there is."""
        if not visitor and not self.handlers.services.hosted:
            return self.handlers.services.new_visitor()
        return self.handlers.sessions.require(visitor)

    def place(self, visitor: str, library: str) -> tuple[str, str]:
        """Return a checked visitor id and a library id."""
        return self.visitor(visitor), library or self.handlers.services.default_library_id

    def bench(self, visitor: str, library: str) -> Workbench:
        """Return a library's workbench."""
        return self.handlers.services.open_library(*self.place(visitor, library))

    def run(self, visitor: str, library: str, kind: str, work: Callable[[Monitor], R]) -> R:
        """Run work as a job of the library, so that it takes turns with the page's own."""
        known = self.visitor(visitor)
        name = library or self.handlers.services.default_library_id
        return self.handlers.sessions.jobs.start((known, name, kind), kind, work).outcome()


def add(handlers: Handlers, experiments: Experiments, judging: Judging, choosing: Choosing) -> None:
    """Add every endpoint to the page under construction."""
    door = Door(handlers)
    _libraries(door)
    _encoders(door, choosing)
    _elsewhere(door)
    _asking(door)
    _laboratory(door, experiments)
    _judging(door, judging)


def fields(value: object) -> dict[str, Any]:
    """Return a record as a JSON object."""
    return cast("dict[str, Any]", to_jsonable(value))


def listed(values: Sequence[object]) -> list[dict[str, Any]]:
    """Return records as a JSON list."""
    return [fields(value) for value in values]


def _named(function: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401
    """Register a function under its own name; a `CoreError` reaches the caller as its sentence."""

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return function(*args, **kwargs)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.events.api(told, api_name=function.__name__, concurrency_limit=8, **options)


def _libraries(door: Door) -> None:
    services = door.handlers.services

    def start() -> str:
        """Begin as a new visitor.

        Returns:
            The visitor's id, to be passed to every other endpoint. Keep it: it is the only key.
        """
        return services.new_visitor()

    def libraries(visitor: str = "") -> list[dict[str, Any]]:
        """List the visitor's libraries.

        Args:
            visitor: From `start`; empty when run locally.
        """
        return [fields(entry) for entry in services.libraries(door.visitor(visitor))]

    def create_library(label: str, visitor: str = "") -> dict[str, Any]:
        """Make an empty library.

        Args:
            label: Its name.
            visitor: From `start`; empty when run locally.
        """
        return fields(services.create_library(door.visitor(visitor), label))

    def delete_library(library: str, visitor: str = "") -> bool:
        """Delete one of the visitor's own libraries with everything in it.

        Args:
            library: Id.
            visitor: From `start`; empty when run locally.
        """
        door.handlers.delete_library(door.visitor(visitor), library)
        return True

    def documents(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List a library's documents: pages, pages with text, passages, warnings.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return listed(door.bench(visitor, library).documents())

    def remove_document(doc_id: str, library: str, visitor: str = "") -> bool:
        """Forget a document of one of the visitor's own libraries.

        Args:
            doc_id: From `documents`.
            library: Id.
            visitor: From `start`; empty when run locally.
        """
        door.handlers.remove(door.visitor(visitor), library, doc_id)
        return True

    def settings(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Return what a library remembers: pair, depth, chunking, instruction, token limit.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return fields(door.bench(visitor, library).settings)

    def page_image(
        doc_id: str, page: int = 1, width: int = 1000, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Return a page as a PNG in base64.

        Args:
            doc_id: From `documents`.
            page: Counts from 1.
            width: In pixels, 100 to 2000.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        image = bench.page_image(doc_id, page, width_pixels=max(100, min(int(width), 2000)))
        return {"media_type": "image/png", "base64": base64.b64encode(image).decode("ascii")}

    for function in (
        start, libraries, create_library, delete_library, documents, remove_document, settings, page_image,
    ):  # fmt: skip
        _named(function)
    _index(door)


def _index(door: Door) -> None:
    """Uploads need a file component: it checks that what comes in was uploaded, not named."""
    files = gr.File(file_count="multiple", visible=False, label="files")
    library = gr.Textbox("", visible=False, label="library")
    password = gr.Textbox("", visible=False, label="password")
    visitor = gr.Textbox("", visible=False, label="visitor")
    report = gr.JSON(visible=False, label="report")
    trigger = gr.Button(visible=False)

    def index(files: list[str], library: str = "", password: str = "", visitor: str = "") -> Any:  # noqa: ANN401
        """Read, chunk and embed uploaded files with both encoders.

        Args:
            files: PDFs, plain text or Markdown.
            library: Id; empty for the visitor's own library.
            password: For encrypted PDFs.
            visitor: From `start`; empty when run locally.

        Returns:
            The ingestion report: documents, what was skipped and why, passages embedded.
        """
        try:
            known = door.visitor(visitor or "")
            target = library or door.handlers.services.upload_library_id(known)
            paths = [Path(name) for name in files or ()]
            job = door.handlers.index_files(known, target, paths, password or None)
            return {"library": target, **fields(job.outcome())}
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    trigger.click(
        index, [files, library, password, visitor], report, api_name="index", concurrency_limit=8
    )


def _encoders(door: Door, choosing: Choosing) -> None:
    def encoders(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List every encoder: what it is, what may be chosen for it, and which columns it is.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        choosing.services.refresh_encoders()
        used = {arm.system_id for arm in bench.arms()}
        choice = bench.settings.choice
        return [
            {
                **fields(replace(spec, checkpoint=shown_checkpoint(spec), adapter="")),
                "column": spec.encoder_id in used,
                "chosen": fields(choice(spec.encoder_id)),
            }
            for spec in bench.pool.registry.encoders.values()
        ]

    def choose_encoders(
        first: str = "",
        second: str = "",
        also: str = "",
        options: str = "",
        library: str = "",
        visitor: str = "",
    ) -> dict[str, Any]:
        """Choose a library's columns and what is done to their embeddings; embeds what is missing.

        Args:
            first: Encoder id of the first arm; empty keeps it.
            second: Encoder id of the second arm; empty keeps it.
            also: Further columns, ids with commas; `none` for none, empty keeps them.
            options: As `ID:output=int8,dimension=256;ID:centred`; `ID:default` undoes.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            The library's settings as they are then.
        """
        bench = door.bench(visitor, library)
        known, name = door.place(visitor, library)
        now = bench.settings
        arms = bench.pool.registry.arms(now.pair_id)
        columns = now.also if not also else split_names(also)
        settings = choosing.settings(
            known, name, first or arms[0].encoder_id, second or arms[1].encoder_id, columns
        )
        for text in split_names(options, ";"):
            encoder_id = text.rpartition(":")[0]
            settings = settings.with_choice(parse_choice(text, settings.choice(encoder_id)))
        job = door.handlers.change_settings(known, name, settings)
        if job is not None:
            job.outcome()
        return fields(bench.settings)

    def add_encoder(
        source: str,
        family: str = "",
        label: str = "",
        adapter: str = "",
        query_prompt: str = "",
        passage_prompt: str = "",
        max_tokens: int = 0,
        visitor: str = "",
    ) -> dict[str, Any]:
        """Add an encoder of your own by folder or hub id; on a shared server only where allowed.

        Args:
            source: Folder, hub id, or a known encoder's id to give an adapter.
            family: `diffusion`, `autoregressive` or `reference`; empty for a reference, or as the
                known encoder has it.
            label: Its name; empty takes the source's own.
            adapter: Folder of a LoRA adapter to merge; empty for none.
            query_prompt: Prefix of queries; empty takes what its files say.
            passage_prompt: Prefix of passages; empty takes what its files say.
            max_tokens: Its limit; 0 takes what its files say.
            visitor: From `start`; empty when run locally.
        """
        if family and family not in {Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE}:
            msg = f"family is {family!r}; choose diffusion, autoregressive or reference."
            raise InvalidSettingError(msg)
        request = EncoderRequest(
            source=source,
            family=Family(family) if family else None,
            label=label,
            adapter=adapter,
            query_prompt=query_prompt or None,
            passage_prompt=passage_prompt or None,
            max_tokens=int(max_tokens),
        )
        spec = choosing.add(door.visitor(visitor), request)
        return fields(replace(spec, checkpoint=shown_checkpoint(spec), adapter=""))

    def remove_encoder(encoder: str, visitor: str = "") -> bool:
        """Remove an encoder that was added; its files and stored vectors stay.

        Args:
            encoder: Its id.
            visitor: From `start`; empty when run locally.
        """
        choosing.remove(door.visitor(visitor), encoder)
        return True

    for function in (encoders, choose_encoders, add_encoder, remove_encoder):
        _named(function)


def split_names(text: str, mark: str = ",") -> tuple[str, ...]:
    """Return the names in a list of them; ``none`` stands for an empty one."""
    names = (part.strip() for part in text.split(mark))
    return tuple(name for name in names if name and name != "none")


def _elsewhere(door: Door) -> None:
    """What comes from elsewhere: checkpoints from a hub, runs of other systems."""
    fetching, importing = Fetching(door.handlers), Importing(door.handlers)

    def pair_costs(pair: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Say what a pair costs on this machine: size, licence, memory, time. Fetches nothing.

        Args:
            pair: Its id, or two encoders' as `A+B`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            The plan, with `refusal` when it cannot be; empty when it can be used as it is.
        """
        made = fetching.offer(*door.place(visitor, library), pair)
        return {} if made is None else {**fields(made.plan), "seconds": list(made.seconds)}

    def use_pair(pair: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Fetch a pair where it is not here, use it, and embed what it lacks.

        Args:
            pair: Its id, or two encoders' as `A+B`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            The library's settings as they are then.
        """
        place = door.place(visitor, library)
        fetching.take(*place, pair).outcome()
        job = door.handlers.sessions.jobs.get((*place, "index"))
        if job is not None:
            job.outcome()
        return fields(door.bench(visitor, library).settings)

    def runs(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List the runs from elsewhere that a library shows as columns.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return [_run_fields(kept) for kept in door.bench(visitor, library).runs()]

    def add_run(
        name: str, text: str, queries: str = "", library: str = "", visitor: str = ""
    ) -> list[dict[str, Any]]:
        """Keep what another system found as a column of a library.

        Args:
            name: File name; its ending says how to read the text: .csv, .json, else TREC.
            text: The run.
            queries: The words of its queries: lines of id, tab, text.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            Its runs, each with what its ids are in this library.
        """
        place = door.place(visitor, library)
        with TemporaryDirectory() as folder:
            plain = "".join(c for c in Path(name).name if c.isprintable())[:80]
            path = Path(folder, plain or "run.trec")
            path.write_text(text, "utf-8", "replace")
            files = [path]
            if queries:
                files.append(Path(folder, "queries.tsv"))
                files[1].write_text(queries, "utf-8", "replace")
            return [_run_fields(kept) for kept in importing.add(*place, files)]

    def remove_run(run_id: str, library: str = "", visitor: str = "") -> bool:
        """Forget a run.

        Args:
            run_id: From `runs`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        importing.remove(*door.place(visitor, library), run_id)
        return True

    for function in (pair_costs, use_pair, runs, add_run, remove_run):
        _named(function)


def _run_fields(kept: KeptRun) -> dict[str, Any]:
    return {
        "run_id": kept.run_id,
        "name": kept.run.name,
        "queries": len(kept.run.rankings),
        "matched": fields(kept.matched),
    }


def _asking(door: Door) -> None:  # noqa: C901  six small endpoints, one after the other
    def search(
        query: str, system: str = "", k: int = 10, library: str = "", visitor: str = ""
    ) -> list[dict[str, Any]]:
        """Return one system's hits for a query, best first.

        Args:
            query: What to ask.
            system: An encoder's id or `bm25`; empty for the diffusion encoder.
            k: How many, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        comparison = _compared(door, query, k, library, visitor)
        wanted = system or comparison.arm_a
        column = comparison.column(wanted)
        if column.failure:
            raise UnknownNameError(column.failure)
        found = []
        for hit in column.ranking.hits[: comparison.k]:
            passage = comparison.passage(hit.passage_id)
            standing = passage.standing(wanted)
            found.append(
                {
                    "rank": hit.rank,
                    "score": hit.score,
                    "z": standing.z,
                    "percentile": standing.percentile,
                    "passage_id": hit.passage_id,
                    "document": passage.document,
                    "page_first": passage.page_first,
                    "page_last": passage.page_last,
                    "text": passage.text,
                }
            )
        return found

    def compare(query: str, k: int = 10, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Ask both encoders and BM25 the same query and say where their rankings part.

        Args:
            query: What to ask.
            k: Depth, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return to_fields(_compared(door, query, k, library, visitor))

    def received(query: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Return the exact string each encoder gets for a query, with its token counts.

        Args:
            query: What would be asked.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        if not query.strip():
            raise InvalidQueryError("The query is empty; type a question.")
        return fields(door.bench(visitor, library).received(query))

    def export(
        query: str,
        format: str = "csv",
        k: int = 10,
        library: str = "",
        visitor: str = "",
    ) -> str:
        """Compare, and return the comparison as text in a format for other programs.

        Args:
            query: What to ask.
            format: `csv`, `json`, `trec` or `html` (a report in one file).
            k: Depth, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        comparison = _compared(door, query, k, library, visitor)
        return exported(door.bench(visitor, library), comparison, format)[2]

    def saved(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List saved comparisons, newest first.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return listed(door.bench(visitor, library).saved_comparisons())

    def saved_comparison(
        comparison_id: str, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Return a saved comparison exactly as it was.

        Args:
            comparison_id: From `saved`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return to_fields(door.bench(visitor, library).load_comparison(comparison_id))

    for function in (search, compare, received, export, saved, saved_comparison):
        _named(function)


def _compared(door: Door, query: str, k: int, library: str, visitor: str) -> Any:  # noqa: ANN401
    bench = door.bench(visitor, library)
    return bench.compare(query, k=int(k))


def _laboratory(door: Door, experiments: Experiments) -> None:
    def disagree(
        count: int = 300, show: int = 50, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Draft queries from the library itself and list where the encoders part most.

        Args:
            count: Drafted queries, up to 2,000.
            show: How many of the findings to return.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        wanted = wanted_findings()
        report = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.find(bench, min(int(count), MOST_DRAFTS), monitor),
        )
        findings = [item for item in report.findings if wanted.admits(item)][: int(show)]
        return {**fields(report), "findings": to_jsonable(findings)}

    def explain(
        query: str, passage_id: str, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Say which sentences a hit stands on, for both encoders, by leaving each out.

        Args:
            query: What was asked.
            passage_id: The hit.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.explain(bench, query, passage_id, monitor),
        )
        return fields(found)

    def edit_last_sentence(
        passage_id: str, replacement: str = DEFAULT_EDIT, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Replace a passage's last sentence; return how far every earlier token's state moved.

        Args:
            passage_id: The passage.
            replacement: The new last sentence.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.edited(bench, passage_id, replacement, monitor),
        )
        return fields(found)

    def fairness(query: str = "", library: str = "", visitor: str = "") -> dict[str, Any]:
        """Account for both encoders: limits, prompts, tokens cut, red flags in words.

        Args:
            query: Shown beside them; may be empty.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.account(bench, query, (), monitor),
        )
        return fields(found)

    for function in (disagree, explain, edit_last_sentence, fairness):
        _named(function)
    _probes(door, experiments)


def _probes(door: Door, experiments: Experiments) -> None:
    def attention_switch(
        query: str, passage_id: str, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Read query and passage with each attention mask; follow the passage's rank.

        Args:
            query: What was asked.
            passage_id: The passage that should come first.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.switched(bench, query, passage_id, monitor),
        )
        return fields(found)

    def growing_text(
        query: str, passage_id: str, side: str = "both", library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Pad a passage with the rest of its document step by step; follow rank and score.

        Args:
            query: What was asked.
            passage_id: The passage.
            side: Where text is added: `both`, `before` or `after`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        if side not in set(Growth):
            raise InvalidSettingError(f"The side is {side!r}; choose both, before or after.")
        bench = door.bench(visitor, library)
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.grown(bench, query, passage_id, Growth(side), monitor),
        )
        return fields(found)

    def hidden_key(
        doc_id: str, longest: int = 1024, copies: int = 6, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Plant a key at several depths and lengths of a document and ask for it.

        Args:
            doc_id: From `documents`.
            longest: Longest text in tokens.
            copies: Keys per cell, 2 to 20.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        many = max(2, min(int(copies), 20))
        found = door.run(
            visitor,
            library,
            "experiment",
            lambda monitor: experiments.keyed(bench, doc_id, int(longest), many, monitor),
        )
        return fields(found)

    for function in (attention_switch, growing_text, hidden_key):
        _named(function)


def _judging(door: Door, judging: Judging) -> None:
    def judge(
        query: str, passage_id: str, grade: int, library: str = "", visitor: str = ""
    ) -> bool:
        """Keep a grade for a passage: 0 not relevant, 1 related, 2 answers in part, 3 answers it.

        Args:
            query: What was asked.
            passage_id: The passage.
            grade: 0 to 3.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        judging.keep(door.bench(visitor, library), query, passage_id, int(grade))
        return True

    def judgments(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Return grades by query and passage id, under the library's chunking now.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return grades_of(door.bench(visitor, library))

    def judged_report(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Measure every system on the judged queries; say what can be said and what cannot.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        bench = door.bench(visitor, library)
        found = door.run(visitor, library, "experiment", lambda monitor: measure(bench, monitor))
        return {
            "words": list(found.words),
            "judgments": found.judgments,
            "unjudged": dict(found.unjudged),
            "p_holm": dict(found.p_holm),
            "more_judgments": dict(found.more_judgments),
            "systems": {
                system.system_id: to_jsonable(system.measures) for system in found.measured.systems
            },
            "difference": to_jsonable(found.measured.difference),
        }

    for function in (judge, judgments, judged_report):
        _named(function)
