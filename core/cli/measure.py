"""Commands that measure: evaluate, pairs, sample."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from platformdirs import user_cache_path
from typer import Argument, Exit, Option, echo

from core.cli.encoders import choices_of
from core.cli.output import (
    EXIT_ERROR,
    EXIT_PARTIAL,
    ConsoleMonitor,
    DeviceOption,
    EncoderOption,
    JsonOption,
    OfflineOption,
    PairOption,
    WorkspaceOption,
    answer,
    cli,
    counter,
    data_folder,
    excerpt,
    make_pool,
    number_list,
    opened,
    plain,
    print_json,
    write,
)
from core.encoders.registry import read_registry
from core.errors import CoreError, EncoderTooLargeError, UsageError
from core.evaluation.beir import centring_texts
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.gate import (
    GateReport,
    Outcome,
    read_policy,
    to_junit,
    to_markdown,
)
from core.evaluation.gate import gate as evaluate_gate
from core.evaluation.grades import grades_of, judgments_as, keep_grade
from core.evaluation.hub_data import hub_collection
from core.evaluation.judging import measure_judgments, pooled
from core.evaluation.measures import MEASURES
from core.evaluation.mteb_adapter import RESULTS_FOLDER, add_mteb_results
from core.evaluation.mteb_adapter import benchmark as run_benchmark
from core.evaluation.render import to_text, write_results
from core.evaluation.runs import (
    compare_runs,
    compared_text,
    keep,
    kept_run,
    list_runs,
    read_kept_run,
    run_path,
    runs_text,
)
from core.evaluation.sample import measure_sample, order_sample
from core.library.shipped import SAMPLE_FOLDER, seed_sample, write_sample_vectors
from core.records import Unit
from core.settings import ASSETS, DEFAULT_PAIR
from core.store.workspace import Workspace

if TYPE_CHECKING:
    from core.encoders.hub import FetchPlan
    from core.encoders.registry import Registry
    from core.encoders.spec import Encoder, EncoderSpec, Pair
    from core.evaluation.records import Evaluation


@cli.command()
def evaluate(
    beir: Annotated[Path | None, Option(help="Folder in BEIR's layout.")] = None,
    *,
    hf: Annotated[
        str, Option(help="A collection of the hub instead: BeIR/scifact, or with :split.")
    ] = "",
    pair: PairOption = DEFAULT_PAIR,
    also: Annotated[list[str] | None, Option(help="Further encoder ids as columns.")] = None,
    unit: Annotated[Unit, Option(help="Retrieve documents whole, or passages.")] = (Unit.DOCUMENT),
    split: Annotated[str, Option(help="Of the qrels.")] = "test",
    lengths: Annotated[str, Option(help="Only these nominal lengths: 256,512.")] = "",
    sample_passages: Annotated[
        int, Option(help="Relevant documents and so many in all; 0: all.")
    ] = 0,
    seed: Annotated[int, Option(help="Of sample, bootstrap and test.")] = 0,
    max_tokens: Annotated[int, Option(help="Limit of every encoder; 0: the encoders' own.")] = 0,
    cache: Annotated[
        Path | None, Option(help="Of the vectors; the user's cache by default.")
    ] = None,
    runs: Annotated[Path | None, Option(help="Folder for TREC runs.")] = None,
    json: Annotated[Path | None, Option(help="File for the result as JSON.")] = None,
    name: Annotated[
        str, Option("--keep", help="Name of the kept run, or a .json file for it.")
    ] = "",
    no_keep: Annotated[bool, Option("--no-keep", help="Do not keep it as a run.")] = False,
    fail_if: Annotated[str, Option(help="Exit with 3 when they differ: ndcg@10<-0.02.")] = "",
    encoder_option: EncoderOption = None,
    dimensions: Annotated[str, Option(help="Shorter embeddings to measure: 256,64.")] = "",
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
) -> None:
    """Measure both encoders, BM25 and their fusion on a BEIR folder, with intervals."""
    limit = _limit(fail_if)
    if (beir is None) == (not hf):
        raise UsageError("Name one collection: --beir FOLDER or --hf OWNER/NAME.")
    if name:
        run_path(name, data_folder())  # a name that cannot be is refused before the work
    if beir is None:
        beir, split = hub_collection(hf, cache=default_cache(), offline=offline)
    pool = make_pool(device=device, offline=offline)
    specs = [*pool.registry.specs_of(pair), *(pool.registry.encoder(name) for name in also or ())]
    tokens = max_tokens or min(spec.max_tokens for spec in specs[:2])
    choices = choices_of(encoder_option, specs)
    sample = centring_texts(beir, split=split) if any(c.centred for c in choices.values()) else []

    def encoder(spec: EncoderSpec, monitor: ConsoleMonitor) -> Encoder:
        choice, centre = choices.get(spec.encoder_id), None
        if choice is not None and choice.centred:
            centre = pool.measure_centre(
                spec.encoder_id, sample, max_tokens=tokens, monitor=monitor
            )
        return pool.get(
            spec.encoder_id, max_tokens=tokens, choice=choice, centre=centre, monitor=monitor
        )

    with ConsoleMonitor() as monitor, Workspace.open(cache or default_cache(beir)) as workspace:
        evaluation = evaluate_beir(
            beir,
            [encoder(spec, monitor) for spec in specs],
            unit=unit,
            split=split,
            lengths=number_list(lengths),
            sample=sample_passages or None,
            seed=seed,
            workspace=workspace,
            count_tokens=counter(),
            dimensions=number_list(dimensions, option="--dimensions"),
            monitor=monitor,
        )
    write_results(evaluation, json_path=json, runs_folder=runs)
    echo(to_text(evaluation))
    if not no_keep:
        run = kept_run(
            evaluation.whole,
            evaluation.identity,
            pair=evaluation.pair,
            queries=evaluation.queries,
            name=name,
        )
        echo(f"Kept as {keep(run, data_folder())}; `evaluations` lists and compares.")
    if limit is not None:
        _exit_if_crossed(evaluation, limit, said=fail_if)


@cli.command()
def gate(
    baseline: Annotated[str, Option(help="Name of a kept run, or its .json file.")],
    run: Annotated[str, Option(help="Name or file of the run that is to replace it.")],
    policy: Annotated[Path, Option(help="TOML: [measures] with what each may lose.")],
    *,
    junit: Annotated[Path | None, Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, Option(help="Write the answer as Markdown here.")] = None,
) -> None:
    """Say whether a run may replace its baseline: exit 0 PASS, 1 HOLD, 2 BLOCK, 3 FAIL."""
    try:
        kept = [read_kept_run(run_path(name, data_folder())) for name in (baseline, run)]
        report = evaluate_gate(kept[0], kept[1], read_policy(policy))
    except CoreError as error:
        report = GateReport(Outcome.FAIL, (str(error),), {})
    if junit is not None:
        write(junit, to_junit(report))
    if markdown is not None:
        write(markdown, to_markdown(report))
    for line in to_markdown(report).splitlines():
        echo(plain(line))
    raise Exit(int(report.outcome))


@cli.command()
def evaluations(
    names: Annotated[
        list[str] | None, Argument(help="Two to compare, names or .json files; none: list them.")
    ] = None,
    *,
    workspace: Annotated[
        Path | None, Option("--workspace", "-w", help="Also those of its judgments.")
    ] = None,
    measure: Annotated[str, Option(help="Measure to compare.")] = MEASURES[0],
    json: JsonOption = False,
) -> None:
    """List kept evaluations, or compare two: their differences first, then each system's figures."""
    folders = [data_folder(), *([workspace] if workspace else [])]
    if not names:
        lines, problems = list_runs(*folders)
        for problem in problems:
            echo(plain(problem), err=True)
        answer(lines, map(plain, runs_text(lines)), json=json)
        return
    if len(names) != 2:
        raise UsageError("Name two evaluations to compare, or none for the list.")
    first, second = (read_kept_run(run_path(name, *folders)) for name in names)
    compared = compare_runs(first, second, measure=measure)
    answer(compared, map(plain, compared_text(compared)), json=json)


def default_cache(beir: Path | None = None) -> Path:
    """Return the vector cache of a data set: one workspace each, so that two can run at once.

    Without a data set: the folder of the collections that come from the hub.
    """
    if beir is None:
        return user_cache_path("bifocal", appauthor=False) / "collections"
    name = hashlib.sha256(str(beir.resolve()).encode()).hexdigest()[:12]
    return user_cache_path("bifocal", appauthor=False) / "evaluate" / f"{beir.name}-{name}"


@cli.command()
def judge(
    query: Annotated[str, Argument(help="What was asked; empty to measure only.")] = "",
    *,
    workspace: WorkspaceOption,
    grade: Annotated[
        list[str] | None,
        Option(help="PASSAGE=GRADE: 0 not relevant, 1 related, 2 in part, 3 answers it."),
    ] = None,
    qrels: Annotated[Path | None, Option(help="Write all grades here as TREC qrels.")] = None,
    json: JsonOption = False,
) -> None:
    """List the passages to judge for a query, blind; keep grades; measure on all of them."""
    graded = [one.rpartition("=") for one in grade or ()]
    for passage_id, _, number in graded:
        if not passage_id or number not in {"0", "1", "2", "3"}:
            raise UsageError("--grade is PASSAGE=GRADE with a grade of 0, 1, 2 or 3.")
    with ConsoleMonitor() as monitor, opened(workspace) as library:
        for passage_id, _, number in graded:
            keep_grade(library, query, passage_id, int(number))
        items = pooled(library, query, monitor=monitor) if query else ()
        listed = [{**asdict(item), "text": library.passage(item.passage_id).text} for item in items]
        grades = grades_of(library)
        told_something = any(any(row.values()) for row in grades.values())
        words = measure_judgments(library, monitor).words if told_something else ()
    if qrels is not None:
        write(qrels, judgments_as(grades, "qrels"))
    if json:
        print_json({"query": query, "pool": listed, "words": list(words)})
        return
    for row in listed:
        mark = "-" if row["grade"] is None else row["grade"]
        echo(f"{mark}  {row['passage_id']}  {excerpt(str(row['text']))}")
    for sentence in words:
        echo(plain(sentence))


def _limit(fail_if: str) -> tuple[str, str, float] | None:
    if not fail_if:
        return None
    for sign in "<>":
        measure, found, bound = fail_if.partition(sign)
        try:
            if found:
                return measure.strip().lower(), sign, float(bound)
        except ValueError:
            break
    raise UsageError(
        f"--fail-if is {fail_if!r}; write a measure, < or > and a number: ndcg@10<-0.02."
    )


def _exit_if_crossed(evaluation: Evaluation, limit: tuple[str, str, float], *, said: str) -> None:
    measure, sign, bound = limit
    named = {name.lower(): found for name, found in evaluation.whole.difference.items()}
    if measure not in named:
        raise UsageError(f"--fail-if names {measure!r}; known: {', '.join(named)}.")
    value = named[measure].value
    if value < bound if sign == "<" else value > bound:
        echo(f"{measure} differs by {value:+.4f}: {said}", err=True)
        raise Exit(EXIT_PARTIAL)


@cli.command()
def benchmark(
    *,
    tasks: Annotated[str, Option(help="Names in mteb, separated by commas.")] = "",
    pair: PairOption = DEFAULT_PAIR,
    results: Annotated[
        Path | None, Option(help="Where a rerun resumes; the page's by default.")
    ] = None,
    predictions: Annotated[Path | None, Option(help="Runs for `compare --run`.")] = None,
    add: Annotated[Path | None, Option(help="A file or folder of mteb results to add.")] = None,
    model: Annotated[str, Option(help="Whose results a single added file holds.")] = "",
    max_tokens: Annotated[int, Option(help="Limit of both encoders; 0: their own.")] = 0,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Run official mteb tasks (LongEmbed, BRIGHT, FollowIR...) with both encoders of a pair."""
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if not names and add is None:
        raise UsageError("Name the tasks (--tasks LEMBPasskeyRetrieval,...) or results to --add.")
    folder = results or data_folder() / RESULTS_FOLDER
    found = [] if add is None else list(add_mteb_results(add, folder, model=model))
    if names:
        pool = make_pool(device=device, offline=offline)
        specs = pool.registry.specs_of(pair)
        tokens = max_tokens or min(spec.max_tokens for spec in specs)

        def instructed(encoder: Encoder, instruction: str) -> Encoder:
            return pool.get(
                encoder.spec.encoder_id, max_tokens=tokens, query_instruction=instruction
            )

        with ConsoleMonitor() as monitor, Workspace.open(folder / "vectors") as workspace:
            found += run_benchmark(
                names,
                [pool.get(spec.encoder_id, max_tokens=tokens, monitor=monitor) for spec in specs],
                results_folder=folder,
                predictions_folder=predictions,
                instructed=instructed,
                workspace=workspace,
                monitor=monitor,
            )
    if json:
        print_json(found)
        return
    for line in found:
        part = ", ".join(x for x in (line.split, line.subset) if x not in {"test", "default"})
        echo(
            f"{line.task}{f' ({plain(part)})' if part else ''}  {line.encoder_id}  "
            f"{line.measure or 'main score'} {line.value:.4f}"
        )


@cli.command()
def pairs(
    *,
    check: Annotated[
        bool, Option("--check", help="Ask the hub whether commits, licences and sizes still hold.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List every pair: matched and unmatched properties, size, licence, how it is loaded."""
    registry = read_registry(ASSETS)
    if check:
        _check_pairs(registry, json=json)
        return
    if json:
        print_json([pair_facts(registry, pair) for pair in registry.pairs.values()])
        return
    for pair in registry.pairs.values():
        echo(f"{pair.pair_id}  {plain(pair.label)}")
        for spec in registry.specs_of(pair.pair_id):
            pin = spec.revision[:12] if spec.is_pinned else "not pinned"
            echo(
                f"  {spec.family:<15} {spec.checkpoint} ({pin}, {spec.licence}), {spec.attention}, "
                f"{spec.pooling}, {spec.parameters / 1e6:,.0f} M"
            )
        echo(f"  matched: {pair.matched}")
        if pair.unmatched:
            echo(f"  not matched: {pair.unmatched}")


def _check_pairs(registry: Registry, *, json: bool) -> None:
    """Print for each encoder of the hub where the hub says other than the table; exit 1 if so."""
    hub, found = make_pool().hub, dict[str, tuple[str, ...]]()
    for spec in registry.encoders.values():
        if spec.from_hub:
            try:
                found[spec.encoder_id] = hub.differences(spec)
            except CoreError as error:
                found[spec.encoder_id] = (str(error),)
    if json:
        print_json(found)
    else:
        for name, words in found.items():
            echo(f"{name}: {plain('; '.join(words)) or 'as stated'}")
    if any(found.values()):
        raise Exit(EXIT_ERROR)


def pair_facts(registry: Registry, pair: Pair) -> dict[str, Any]:
    """Return a pair with both encoders' facts, weights in memory among them."""
    encoders = [
        {
            **asdict(spec),
            "pinned": spec.is_pinned,
            "remote_code": False,
            "memory_cpu_gib": round(spec.parameters * 4 / 1024**3, 2),
            "memory_cuda_gib": round(spec.parameters * 2 / 1024**3, 2),
        }
        for spec in registry.specs_of(pair.pair_id)
    ]
    return {**asdict(pair), "arms": encoders}


@cli.command()
def fetch(
    pair: Annotated[str, Argument(help="Pair id, or A+B.")],
    *,
    yes: Annotated[bool, Option("--yes", help="Fetch without asking.")] = False,
    plan_only: Annotated[bool, Option("--plan", help="Only say what it would cost.")] = False,
    repin: Annotated[bool, Option("--repin", help="Take the hub's present commits.")] = False,
    device: DeviceOption = "cpu",
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Show the cost of a real pair (size, licence, memory, time here) and fetch it from the hub."""
    pool = make_pool(device=device, offline=offline)
    specs = [spec for spec in pool.registry.specs_of(pair) if spec.from_hub]
    if not specs:
        echo(f"{pair} is on this machine already.")
        return
    if repin:
        for spec in specs:
            if not spec.is_pinned:
                before, now = pool.repin(spec.encoder_id)
                moved = f"{before[:12] or 'none'} -> {now[:12]}" if before != now else "unchanged"
                echo(f"{spec.checkpoint}: {moved}", err=True)
    plan = pool.plan_together(spec.encoder_id for spec in specs)
    if json:
        print_json(plan)
    else:
        for one in plan.plans:
            echo(_plan_text(one))
        echo(
            f"Both together: {gibibytes(plan.download_bytes)} to fetch, memory needed "
            f"{gibibytes(plan.memory_needed_bytes)}, free {gibibytes(plan.memory_present_bytes)}"
        )
    if plan.refusal:
        raise EncoderTooLargeError(plan.refusal)
    if plan_only or not (yes or typer.confirm("Fetch?")):
        return
    with ConsoleMonitor() as monitor:
        for spec in specs:
            pool.fetch(spec.encoder_id, monitor=monitor)


def gibibytes(count: int) -> str:
    """Return a size for people."""
    return f"{count / 1024**3:.2f} GiB"


def _plan_text(plan: FetchPlan) -> str:
    origin = f", {plan.revision_origin}" if plan.revision_origin else ""
    kept = f" ({gibibytes(plan.kept_bytes)} here from an earlier try)" if plan.kept_bytes else ""
    return (
        f"{plan.checkpoint} at {plan.revision[:12]}{origin} ({plan.licence}"
        f"{', gated: accept its licence on the hub and log in' if plan.gated else ''})\n"
        f"  to fetch {gibibytes(plan.download_bytes)}{kept}, disk free "
        f"{gibibytes(plan.disk_present_bytes)}\n"
        f"  memory needed {gibibytes(plan.memory_needed_bytes)}, free "
        f"{gibibytes(plan.memory_present_bytes)}\n"
        f"  about {plan.seconds_per_1000_passages:,.0f} s per 1,000 passages on this machine"
    )


@cli.command()
def sample(
    *,
    write_vectors: Annotated[bool, Option("--write", help="Make anew what ships.")] = False,
    workspace: Annotated[Path | None, Option(help="Where to put the sample library.")] = None,
    json: JsonOption = False,
) -> None:
    """Put the sample library into a workspace, or re-make the vectors that ship with it."""
    folder = ASSETS / SAMPLE_FOLDER
    written: list[Path] = []
    with ConsoleMonitor() as monitor, tempfile.TemporaryDirectory() as scratch:
        place = workspace or Path(scratch) / "sample"
        with opened(place, create=True) as library:
            seed_sample(library, folder, monitor=monitor)
            if write_vectors:
                written += write_sample_vectors(library, folder, monitor=monitor)
                figures = measure_sample(library, folder, monitor=monitor)
                target = ASSETS / "benchmarks" / "sample-library.json"
                write(target, dumps(figures, indent=1) + "\n")
                written.append(target)
                order_sample(library, folder, monitor=monitor)
            else:
                library.index(monitor=monitor)
            found = {
                "workspace": None if workspace is None else str(workspace),
                "documents": len(library.documents()),
                "passages": library.passage_count(),
                "embedded": {
                    one.system_id: one.passages_embedded for one in library.encoder_status()
                },
                "files": [{"file": str(p), "bytes": p.stat().st_size} for p in written],
            }
    if json:
        print_json(found)
        return
    for path in written:
        echo(f"{path.name}: {path.stat().st_size:,} bytes")
    echo(f"{found['documents']} documents, {found['passages']:,} passages")
