"""Retrieval collections of the hub: their Parquet files as a folder in BEIR's layout.

Of a repository its Parquet files are read and nothing else: the hub's own conversion
(``refs/convert/parquet``) where there is one, else those that its authors keep. The folder is named
after the commits that it was made of, so that what was measured can be measured again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)

from core.errors import DatasetError, UsageError
from core.evaluation.beir import DEFAULT_SPLIT

REVISIONS = ("refs/convert/parquet", "main")
_ID, _QUERY, _DOCUMENT = ("_id", "id"), ("query-id", "query_id"), ("corpus-id", "corpus_id")


def hub_collection(
    name: str,
    *,
    cache: Path,
    offline: bool = False,
    endpoint: str | None = None,
    hub_cache: Path | None = None,
) -> tuple[Path, str]:
    """Return the BEIR folder of a hub's collection, made when it is not there yet, and its split.

    Args:
        name: ``owner/name`` or ``owner/name:split``; judgments come from the same repository or
            from ``owner/name-qrels``.
        cache: Where folders are kept.
        offline: Ask nobody: only what was fetched before.
        endpoint: Of the hub; None for huggingface_hub's own (HF_ENDPOINT).
        hub_cache: Where huggingface_hub keeps files; None for its own (HF_HOME).

    Raises:
        UsageError: If the name is none, or Parquet cannot be read here.
        DatasetError: If the hub cannot be reached, or holds no such collection or split.
    """
    repository, _, split = name.partition(":")
    split = split or DEFAULT_SPLIT
    if repository.count("/") != 1:
        raise UsageError(f'--hf is "{name}"; write owner/name or owner/name:split.')
    fetch = partial(_fetched, offline=offline, endpoint=endpoint, hub_cache=hub_cache)
    files = fetch(repository)
    judged = [path for path in _parts(files, ("qrels", "default")) if _split_of(path) == split]
    commits = [files.name]
    if not judged:
        more = fetch(f"{repository}-qrels")
        judged = [path for path in sorted(more.rglob("*.parquet")) if _split_of(path) == split]
        commits.append(more.name)
    if not judged:
        raise DatasetError(f"{repository} has no judgments of a split {split!r} as Parquet.")
    folder = cache / f"{repository.replace('/', '--')}-{'-'.join(one[:12] for one in commits)}"
    if not (folder / "qrels" / f"{split}.tsv").is_file():
        documents = _table(_parts(files, ("corpus",)), repository)
        queries = _table(_parts(files, ("queries", "query")), repository)
        beside = folder.with_name(folder.name + ".writing")
        shutil.rmtree(beside, ignore_errors=True)
        (beside / "qrels").mkdir(parents=True)
        _write_lines(beside / "corpus.jsonl", _texts(documents, ("title", "text")))
        _write_lines(beside / "queries.jsonl", _texts(queries, ("text",)))
        rows = _table(judged, repository)
        columns = [_column(rows, names) for names in (_QUERY, _DOCUMENT, ("score",))]
        rows[columns].to_csv(beside / "qrels" / f"{split}.tsv", sep="\t", index=False)
        for kept in folder.glob("qrels/*.tsv"):  # other splits of the same commits
            shutil.copy(kept, beside / "qrels")
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    return folder, split


def _fetched(
    repository: str, *, offline: bool, endpoint: str | None, hub_cache: Path | None
) -> Path:
    """Return the folder of a repository's Parquet files; its name is the commit."""
    for revision in REVISIONS:
        try:
            folder = Path(
                snapshot_download(
                    repository,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns=["*.parquet"],
                    local_files_only=offline,
                    endpoint=endpoint,
                    cache_dir=hub_cache,
                )
            )
        except RevisionNotFoundError:
            continue
        except LocalEntryNotFoundError as exc:
            if offline and revision != REVISIONS[-1]:
                continue
            raise DatasetError(
                f"{repository} is not on this machine and the hub was not reached; "
                "connect, or leave out --offline, and try again."
            ) from exc
        except HFValidationError as exc:
            raise UsageError(f'"{repository}" is no name of a repository: {exc}.') from exc
        except (HfHubHTTPError, OSError) as exc:
            raise DatasetError(
                f"{repository} could not be fetched: {str(exc).splitlines()[0]}"
            ) from exc
        if next(folder.rglob("*.parquet"), None) is not None:
            return folder
    raise DatasetError(f"{repository} holds no Parquet files.")


def _parts(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of one configuration: in a folder of its name, or named so themselves."""
    found = sorted(folder.rglob("*.parquet"))
    wanted = tuple(names)
    return [
        path
        for path in found
        if path.relative_to(folder).parts[0] in wanted or path.name.startswith(wanted)
    ]


def _split_of(path: Path) -> str:
    """Return the split of a file: ``test/0000.parquet`` or ``test-00000-of-00001.parquet``."""
    return path.parent.name if path.stem.isdecimal() else path.name.partition("-0")[0]


def _table(paths: Iterable[Path], repository: str) -> pd.DataFrame:
    import pandas as pd  # slow to import

    try:
        tables = [pd.read_parquet(path) for path in paths]
    except ImportError as exc:
        raise UsageError("Parquet needs pyarrow: pip install bifocal[parquet].") from exc
    except (OSError, ValueError) as exc:
        raise DatasetError(f"A Parquet file of {repository} cannot be read: {exc}.") from exc
    if not tables:
        raise DatasetError(f"{repository} has no corpus or no queries as Parquet.")
    return pd.concat(tables)


def _column(table: pd.DataFrame, names: Iterable[str]) -> str:
    wanted = tuple(names)
    for name in wanted:
        if name in table.columns:
            return name
    raise DatasetError(
        f"The table has no column {wanted[0]}; it has {', '.join(map(str, table.columns))[:200]}."
    )


def _texts(table: pd.DataFrame, names: Iterable[str]) -> list[dict[str, str]]:
    identity = _column(table, _ID)
    there = [name for name in names if name in table.columns]
    return [
        {"_id": str(row[identity]), **{name: str(row[name]) for name in there}}
        for row in table[[identity, *there]].fillna("").to_dict("records")  # a title may be missing
    ]


def _write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
