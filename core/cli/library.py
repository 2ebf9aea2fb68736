"""Commands about one library: index, search, compare, runs, export, remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Exit, Option, echo

from core.cli.encoders import chosen
from core.cli.output import (
    EXIT_PARTIAL,
    ConsoleMonitor,
    DepthOption,
    DeviceOption,
    EncoderOption,
    JsonOption,
    OfflineOption,
    QueriesOption,
    WorkspaceOption,
    answer,
    cli,
    excerpt,
    opened,
    plain,
    print_json,
    write,
)
from core.comparison.export import quepid_snapshot, to_csv, trec_runs
from core.comparison.imported import read_runs
from core.comparison.measures import MEASURES
from core.comparison.records import Comparison, to_fields, to_json
from core.documents import ocr_languages, require_languages
from core.documents.ocr import INSTALL
from core.documents.plain import ENDINGS, READ_WORDS
from core.errors import UnknownNameError, UsageError
from core.experiments.rendering import library_report
from core.library.ingest import SourceFile, wants_ocr
from core.library.library import Library
from core.records import Unit
from core.settings import ChunkingSettings


def source_files(
    paths: Sequence[Path], *, password: str | None = None, ocr: str = ""
) -> list[SourceFile]:
    """Return the files meant by paths: a folder stands for every readable file below it.

    Raises:
        UsageError: If a path does not exist, nothing is to be read, or ``ocr`` cannot be done.
    """
    if ocr:
        require_languages(ocr)
    found: list[SourceFile] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
            found += [
                SourceFile(p.name, path=p, password=password, ocr=ocr) for p in below if p.is_file()
            ]
        elif path.exists():
            found.append(SourceFile(path.name, path=path, password=password, ocr=ocr))
        else:
            raise UsageError(f"{path} does not exist.")
    if not found:
        raise UsageError(f"There is no {READ_WORDS} file at the paths given.")
    return found


@cli.command()
def index(
    paths: Annotated[list[Path], Argument(help="Files and folders.")],
    workspace: WorkspaceOption,
    *,
    pair: Annotated[str, Option(help="Which two encoders; kept.")] = "",
    password: Annotated[str | None, Option(help="For encrypted PDFs.")] = None,
    ocr: Annotated[
        str, Option(help="Read scanned pages with tesseract, in these languages: eng, eng+deu.")
    ] = "",
    unit: Annotated[Unit | None, Option(help="What is retrieved; kept.")] = None,
    chunk_tokens: Annotated[int, Option(help="Passage budget; kept. 0: as it is.")] = 0,
    overlap_tokens: Annotated[int, Option(help="Overlap; kept. -1: as it is.")] = -1,
    max_tokens: Annotated[int, Option(help="Limit of both encoders; kept. 0: as it is.")] = 0,
    own_limits: Annotated[
        bool | None,
        Option("--own-limits/--equal-limits", help="Each encoder to its own limit; kept."),
    ] = None,
    also: Annotated[list[str] | None, Option(help="Further encoder ids as columns; kept.")] = None,
    encoder_option: EncoderOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Read files into a workspace and embed them with both encoders."""
    with (
        ConsoleMonitor() as monitor,
        opened(workspace, create=True, device=device, offline=offline) as library,
    ):
        before = library.settings
        chunking = ChunkingSettings(
            unit=unit or before.chunking.unit,
            chunk_tokens=chunk_tokens or before.chunking.chunk_tokens,
            overlap_tokens=before.chunking.overlap_tokens if overlap_tokens < 0 else overlap_tokens,
        )
        after = replace(
            chosen(before, pair=pair, also=also, options=encoder_option),
            chunking=chunking,
            max_tokens=max_tokens or before.max_tokens,
            own_limits=before.own_limits if own_limits is None else own_limits,
        )
        for encoder_id in (*_encoder_ids(library, after.pair_id), *after.also):
            library.pool.fetch(encoder_id, monitor=monitor)  # with its progress, before any reading
        if after != before:
            library.change_settings(after, monitor=monitor)
        report = library.add(source_files(paths, password=password, ocr=ocr), monitor=monitor)
    if json:
        print_json(report)
    else:
        for line in report.documents:
            again = "  (already here)" if line.duplicate_of else ""
            echo(
                f"{plain(line.name)}: {line.pages_with_text} of {line.pages} pages have text, "
                f"{line.passages:,} passages, {line.tokens:,} tokens{again}"
            )
            for warning in line.warnings:
                echo(f"  {plain(warning)}")
        for skipped in report.skipped:
            echo(f"skipped {plain(skipped.name)}: {plain(skipped.reason)}")
        if not ocr and (
            any(map(wants_ocr, report.documents)) or any(s.needs_ocr for s in report.skipped)
        ):
            offered = ocr_languages()
            echo(f"index --ocr reads scanned pages: {', '.join(offered)}." if offered else INSTALL)
        for encoder, count in report.passages_embedded.items():
            reused = report.passages_reused.get(encoder, 0)
            echo(f"{encoder}: {count:,} passages embedded, {reused:,} reused")
        echo(f"{report.seconds:.1f} s")
    if report.skipped:
        raise Exit(EXIT_PARTIAL)


def _encoder_ids(library: Library, pair_id: str) -> tuple[str, ...]:
    return tuple(spec.encoder_id for spec in library.pool.registry.specs_of(pair_id))


@cli.command()
def search(
    query: Annotated[str, Argument(help="What to look for.")],
    workspace: WorkspaceOption,
    *,
    system: Annotated[str, Option(help="Only this system's ranking.")] = "",
    k: DepthOption = 10,
    json: JsonOption = False,
) -> None:
    """Print every system's ranking for a query."""
    with ConsoleMonitor() as monitor, opened(workspace) as library:
        comparison = library.ask(query, k=k, monitor=monitor)
    columns = [c for c in comparison.columns if system in {"", c.info.system_id}]
    if not columns:
        known = ", ".join(c.info.system_id for c in comparison.columns)
        raise UnknownNameError(f"There is no system {system!r} here. Known: {known}.")
    if json:
        found = [
            {
                "system_id": column.info.system_id,
                "family": column.info.family,
                "failure": column.failure,
                "hits": [
                    {
                        "rank": hit.rank,
                        "score": hit.score,
                        "passage_id": hit.passage_id,
                        "document": comparison.passage(hit.passage_id).document,
                        "page": comparison.passage(hit.passage_id).page_first,
                        "text": comparison.passage(hit.passage_id).text,
                    }
                    for hit in column.ranking.hits[:k]
                ],
            }
            for column in columns
        ]
        print_json({"query": query, "k": k, "systems": found})
        return
    for column in columns:
        echo(f"{column.info.label} ({column.info.family})")
        if column.failure:
            echo(f"  failed: {plain(column.failure)}")
        elif not column.ranking.hits:
            echo("  found nothing: no word of the query occurs in the library")
        for hit in column.ranking.hits[:k]:
            passage = comparison.passage(hit.passage_id)
            text = excerpt(passage.text)
            place = f"{plain(passage.document)} p. {passage.page_first}"
            echo(f"  {hit.rank:>2}  {hit.score:7.3f}  {place}  {text}")


@cli.command()
def compare(
    query: Annotated[str, Argument(help="What to ask both encoders.")],
    workspace: WorkspaceOption,
    *,
    k: DepthOption = 10,
    save: Annotated[bool, Option("--save", help="Keep it in the workspace.")] = False,
    run: Annotated[list[Path] | None, Option(help="A run as a further column.")] = None,
    run_queries: QueriesOption = None,
    html: Annotated[Path | None, Option(help="Write a one-file report here.")] = None,
    json: JsonOption = False,
) -> None:
    """Ask both encoders and BM25 and say where the rankings part."""
    more = [made for path in run or () for made in read_runs(path, queries=run_queries)]
    with ConsoleMonitor() as monitor, opened(workspace) as library:
        comparison = library.ask(query, k=k, runs=more, monitor=monitor)
        saved = library.save_comparison(comparison) if save else ""
        report = library_report(library, comparison) if html else ""
    if html is not None:
        write(html, report)
    if json:
        fields = to_fields(comparison)
        print_json({**fields, "comparison_id": saved} if saved else fields)
        return
    for sentence in comparison.summary:
        echo(plain(sentence))
    for column in comparison.columns:
        for words in filter(None, (column.failure, column.note)):
            echo(f"{column.info.system_id}: {plain(words)}")
    _print_table(comparison)
    for agreement in comparison.agreements:
        values = ((one.label, agreement.figures[one.name]) for one in MEASURES)
        words = ", ".join(
            f"{label.format(k=agreement.k)} {'-' if value is None else f'{value:.2f}'}"
            for label, value in values
        )
        echo(f"{agreement.system_a} / {agreement.system_b}: {words}")
    if saved:
        echo(f"Saved as {saved}")


def _print_table(comparison: Comparison) -> None:
    names = [column.info.system_id for column in comparison.columns]
    echo("  ".join(f"{name[:22]:>22}" for name in names) + "  passage")
    for passage in comparison.passages:
        standings = [passage.standing(name) for name in names]
        if all(s.rank is None or s.rank > comparison.k for s in standings):
            continue
        cells = []
        for standing in standings:
            rank = "-" if standing.rank is None else str(standing.rank)
            z = "" if standing.z is None else f"  z {standing.z:.1f}"
            cells.append(f"{rank + z:>22}")
        place = f"{plain(passage.document)} p. {passage.page_first}"
        echo("  ".join(cells) + f"  {place}: {excerpt(passage.text)}")


@cli.command()
def runs(
    workspace: WorkspaceOption,
    files: Annotated[
        list[Path] | None,
        Argument(help="TREC, CSV or JSON runs, mteb predictions, Bifocal's own exports."),
    ] = None,
    *,
    run_queries: QueriesOption = None,
    remove_id: Annotated[str, Option("--remove", help="Forget the run of this id.")] = "",
    json: JsonOption = False,
) -> None:
    """Keep imported runs as columns of a workspace, list them, or forget one."""
    made = [run for path in files or () for run in read_runs(path, queries=run_queries)]
    with opened(workspace) as library:
        if remove_id:
            library.remove_run(remove_id)
        library.add_runs(made)
        kept = library.runs()
    lines = (
        f"{one.run_id}  {plain(one.run.name)}  {len(one.run.rankings):,} queries. "
        f"{plain(one.matched.words)}"
        for one in kept
    )
    answer([one.facts() for one in kept], lines, json=json)


@cli.command()
def documents(workspace: WorkspaceOption, *, json: JsonOption = False) -> None:
    """List the documents of a workspace and its saved comparisons."""
    with opened(workspace) as library:
        lines, saved = library.documents(), library.saved_comparisons()
    if json:
        facts = ("comparison_id", "created", "query", "pair_id")
        kept = [{name: getattr(one, name) for name in facts} for one in saved]
        print_json({"documents": lines, "comparisons": kept})
        return
    for line in lines:
        echo(f"{line.doc_id}  {plain(line.name)}  {line.pages} pages  {line.passages} passages")
    for one in saved:
        echo(f"{one.comparison_id}  {one.created}  {excerpt(one.query)}")


@cli.command()
def remove(
    doc_id: Annotated[str, Argument(help="As `documents` lists it.")],
    workspace: WorkspaceOption,
    *,
    json: JsonOption = False,
) -> None:
    """Remove a document from a workspace; judgments on it stay."""
    with opened(workspace) as library:
        name = library.document(doc_id).name
        library.remove(doc_id)
        left, passages = len(library.documents()), library.passage_count()
    value = {"removed": doc_id, "name": name, "documents": left, "passages": passages}
    line = f"{plain(name)} is removed; {left} document(s), {passages:,} passages are left."
    answer(value, [line], json=json)


@cli.command()
def export(
    comparison_id: Annotated[str, Argument(help="As `documents` lists it.")],
    workspace: WorkspaceOption,
    *,
    form: Annotated[
        Literal["csv", "json", "trec", "quepid", "html"], Option("--format", help="Of the export.")
    ],
    out: Annotated[Path, Option(help="File; for trec a folder, one run per system.")],
    json: JsonOption = False,
) -> None:
    """Write a saved comparison as CSV, JSON, TREC runs, a Quepid snapshot or an HTML report."""
    with opened(workspace) as library:
        comparison = library.load_comparison(comparison_id)
        created = next(
            kept.created
            for kept in library.saved_comparisons()
            if kept.comparison_id == comparison_id
        )
        report = library_report(library, comparison) if form == "html" else ""
    if form == "trec":
        files = {out / f"{name}.trec": run for name, run in trec_runs(comparison).items()}
    else:
        text = {
            "csv": lambda: to_csv(comparison),
            "json": lambda: to_json(comparison, indent=1),
            "quepid": lambda: quepid_snapshot(comparison, time=created),
            "html": lambda: report,
        }[form]()
        files = {out: text}
    for path, content in files.items():
        write(path, content)
    written = [{"file": str(path), "bytes": path.stat().st_size} for path in files]
    value = {"comparison_id": comparison_id, "format": form, "files": written}
    answer(value, (plain(str(path)) for path in files), json=json)
