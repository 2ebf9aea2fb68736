"""Which libraries a visitor has: kept apart, counted, copied from a template, gone after a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import (
    AllowanceExceededError,
    InvalidSettingError,
    StoreError,
    UnknownNameError,
)
from core.library import SourceFile, VisitorLimits
from core.settings import MEBIBYTE
from core.shelf import LIBRARIES_EACH_HOSTED, LOCAL_VISITOR, OWN_ID, SAMPLE_ID, Shelves
from tests.libraries import Loader, count_words, make_pool, sources

QUERY = (
    '{"query_id": "lookup-01", "group": "lookup", "text": "who hunts mice", '
    '"document": "owls", "answer": ["The barn owl hunts mice"], "note": "words"}\n'
)


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """A sample library of one short PDF, without shipped vectors."""
    from tests.pdfs import plain_pdf

    folder = tmp_path / "assets" / "sample"
    (folder / "pdf").mkdir(parents=True)
    (folder / "pdf" / "owls.pdf").write_bytes(
        plain_pdf(["The barn owl hunts mice at night. It hears them under the snow."])
    )
    (folder / "queries.jsonl").write_text(QUERY)
    return tmp_path / "assets"


def make(folder: Path, assets: Path, **more: object) -> Shelves:
    return Shelves(
        folder,
        pool=make_pool(),
        count_tokens=count_words,
        assets=assets,
        **more,  # type: ignore[arg-type]  # the tests' own
    )


@pytest.fixture
def local(tmp_path: Path, assets: Path) -> Iterator[Shelves]:
    shelves = make(tmp_path / "data", assets)
    yield shelves
    shelves.close()


@pytest.fixture
def hosted(tmp_path: Path, assets: Path) -> Iterator[Shelves]:
    shelves = make(tmp_path / "data", assets, hosted=True)
    yield shelves
    shelves.close()


# -- run locally -------------------------------------------------------------------------------


def test_locally_there_is_one_visitor_with_the_sample_and_their_own(local: Shelves) -> None:
    assert local.new_visitor() == LOCAL_VISITOR
    assert local.known_visitor(LOCAL_VISITOR)
    lines = local.shelf(LOCAL_VISITOR).lines()
    assert [(line.library_id, line.documents, line.is_sample) for line in lines] == [
        (SAMPLE_ID, 1, True),
        (OWN_ID, 0, False),
    ]


def test_the_sample_has_examples_and_is_made_complete(local: Shelves) -> None:
    local.prepare()
    bench = local.shelf(LOCAL_VISITOR).open(SAMPLE_ID)
    (example,) = bench.examples()
    assert (example.query_id, example.group, len(example.relevant)) == ("lookup-01", "lookup", 1)
    local.complete()
    hits = bench.ask("who hunts mice").columns[0].ranking.hits
    assert hits[0].passage_id == example.relevant[0]


def test_libraries_are_made_named_listed_and_removed(local: Shelves) -> None:
    shelf = local.shelf(LOCAL_VISITOR)
    line = shelf.create("  Harbour \u202e reports\n")
    assert line.label == "Harbour reports"
    shelf.open(line.library_id).add(sources())
    assert [found.label for found in shelf.lines()] == [
        "Sample library",
        "My documents",
        "Harbour reports",
    ]
    assert shelf.lines()[-1].documents == 3
    shelf.delete(line.library_id)
    assert len(shelf.lines()) == 2
    with pytest.raises(UnknownNameError):
        shelf.open(line.library_id)


def test_what_a_user_keeps_outlives_the_server(tmp_path: Path, assets: Path) -> None:
    first = make(tmp_path / "data", assets)
    first.shelf(LOCAL_VISITOR).open(OWN_ID).add(sources())
    named = first.shelf(LOCAL_VISITOR).create("Kept").library_id
    first.close()
    second = make(tmp_path / "data", assets)
    lines = {line.library_id: line for line in second.shelf(LOCAL_VISITOR).lines()}
    assert lines[OWN_ID].documents == 3
    assert lines[named].label == "Kept"
    second.close()


@pytest.mark.parametrize("label", ["", "   ", "\u202e\x00", "x" * 61])
def test_labels_that_say_nothing_or_too_much(local: Shelves, label: str) -> None:
    with pytest.raises(InvalidSettingError, match="1 to 60"):
        local.shelf(LOCAL_VISITOR).create(label)


def test_the_sample_library_stays(local: Shelves) -> None:
    with pytest.raises(StoreError, match="stays"):
        local.shelf(LOCAL_VISITOR).delete(SAMPLE_ID)


HOSTILE = (
    "",
    ".",
    "..",
    "../sample",
    "sample/..",
    "/etc",
    "sample\x00",
    "sample\n",
    "lib-0123456789abcdef/../../x",
    "lib-0123456789ABCDEF",
    "lib-" + "a" * 1000,
    "C:\\",
)


@pytest.mark.parametrize("library_id", HOSTILE)
def test_ids_are_never_paths(local: Shelves, tmp_path: Path, library_id: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    shelf = local.shelf(LOCAL_VISITOR)
    for verb in (shelf.open, shelf.delete):
        with pytest.raises(UnknownNameError):
            verb(library_id)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_library_that_cannot_be_opened_does_not_hide_the_others(local: Shelves) -> None:
    shelf = local.shelf(LOCAL_VISITOR)
    good, bad = shelf.create("Good"), shelf.create("Bad")
    shelf.close()
    folder = shelf._folder / bad.library_id
    for path in folder.glob("*.sqlite*"):
        path.write_bytes(b"not a database at all" * 100)
    labels = {line.library_id: line.label for line in shelf.lines()}
    assert labels[good.library_id] == "Good"
    assert bad.library_id in labels


# -- hosted ------------------------------------------------------------------------------------


def test_two_visitors_never_see_each_other(hosted: Shelves) -> None:
    one, two = hosted.new_visitor(), hosted.new_visitor()
    assert one != two
    hosted.shelf(one).open(OWN_ID).add(sources())
    named = hosted.shelf(one).create("Mine").library_id
    assert hosted.shelf(one).open(OWN_ID).documents()
    assert hosted.shelf(two).open(OWN_ID).documents() == ()
    with pytest.raises(UnknownNameError):
        hosted.shelf(two).open(named)
    with pytest.raises(UnknownNameError):
        hosted.shelf(two).delete(named)
    assert len(hosted.shelf(one).lines()) == 3


@pytest.mark.parametrize("visitor_id", ["", LOCAL_VISITOR, "x" * 32, "../" * 11, "a\x00"])
def test_visitors_nobody_knows(hosted: Shelves, visitor_id: str) -> None:
    assert not hosted.known_visitor(visitor_id)
    with pytest.raises(UnknownNameError):
        hosted.shelf(visitor_id)


def test_a_visitor_has_few_libraries(hosted: Shelves) -> None:
    shelf = hosted.shelf(hosted.new_visitor())
    for number in range(LIBRARIES_EACH_HOSTED - 2):  # the sample and their own are there already
        shelf.create(f"Library {number}")
    with pytest.raises(StoreError, match="remove one first"):
        shelf.create("One too many")


def test_visitors_get_a_copy_of_the_sample_made_once(
    hosted: Shelves, tmp_path: Path, assets: Path
) -> None:
    hosted.prepare()
    shutil.rmtree(assets / "sample" / "pdf")  # who copies needs the PDFs no more
    (assets / "sample" / "pdf").mkdir()
    for _ in range(2):
        shelf = hosted.shelf(hosted.new_visitor())
        assert shelf.lines()[0].documents == 1
    assert (tmp_path / "data" / "sample-template" / ".complete").is_file()


def test_a_visitor_is_removed_after_a_time(hosted: Shelves, tmp_path: Path) -> None:
    visitor = hosted.new_visitor()
    hosted.shelf(visitor).open(OWN_ID).add(sources())
    assert hosted._root is not None
    day = 24 * 3600.0
    hosted._root._clock = lambda: __import__("time").time() + day + 60
    assert not hosted.known_visitor(visitor)
    hosted._root.expire()
    left = [path for path in (tmp_path / "data" / "visitors").rglob("*") if path.is_file()]
    assert left == []


def test_the_disk_gives_no_visitors_id_away(hosted: Shelves, tmp_path: Path) -> None:
    visitor = hosted.new_visitor()
    hosted.shelf(visitor)
    names = [str(path) for path in (tmp_path / "data").rglob("*")]
    assert not any(visitor in name for name in names)
    if os.name == "posix":
        folders = list((tmp_path / "data" / "visitors").glob("visitor-*"))
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)


def test_a_visitors_share_goes_over_all_their_libraries(tmp_path: Path, assets: Path) -> None:
    limits = VisitorLimits(queries_per_minute=2, documents=100, bytes_each=2 * MEBIBYTE)
    shelves = make(tmp_path / "data", assets, hosted=True, visitor_limits=limits)
    one, two = shelves.new_visitor(), shelves.new_visitor()
    own = shelves.shelf(one).open(OWN_ID)
    own.add(sources())
    other = shelves.shelf(one).open(shelves.shelf(one).create("Other").library_id)
    other.add(sources())
    own.ask("owl")
    other.ask("owl")
    with pytest.raises(AllowanceExceededError, match="queries a minute"):
        own.ask("owl")
    shelves.shelf(two).open(OWN_ID).add(sources())
    shelves.shelf(two).open(OWN_ID).ask("owl")  # another's share is another's
    with pytest.raises(AllowanceExceededError, match="MiB"):
        own.add([SourceFile("large.txt", data=b"word " * 400_000)])
    shelves.close()


def test_visitors_of_an_earlier_run_are_known_to_the_next(tmp_path: Path, assets: Path) -> None:
    first = make(tmp_path / "data", assets, hosted=True)
    visitor = first.new_visitor()
    first.shelf(visitor).open(OWN_ID).add(sources())
    first.close()
    second = make(tmp_path / "data", assets, hosted=True)
    assert len(second.shelf(visitor).open(OWN_ID).documents()) == 3
    second.close()


def test_a_half_made_template_is_made_again(tmp_path: Path, assets: Path) -> None:
    (tmp_path / "data" / "sample-template").mkdir(parents=True)
    (tmp_path / "data" / "sample-template" / "half").write_text("x")
    shelves = make(tmp_path / "data", assets, hosted=True)
    shelves.prepare()
    assert not (tmp_path / "data" / "sample-template" / "half").exists()
    assert shelves.shelf(shelves.new_visitor()).lines()[0].documents == 1
    shelves.close()


def test_opening_loads_no_encoder(tmp_path: Path, assets: Path) -> None:
    load = Loader()
    shelves = Shelves(
        tmp_path / "data", pool=make_pool(load), count_tokens=count_words, assets=assets
    )
    shelves.prepare()
    shelves.shelf(LOCAL_VISITOR).lines()
    assert load.loaded == []
    shelves.close()
