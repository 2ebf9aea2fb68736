"""Which libraries a visitor has: kept apart, lent while work lasts, counted, gone after a time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import core.visitors
from core.errors import (
    AllowanceExceededError,
    InvalidSettingError,
    StoreError,
    UnknownNameError,
)
from core.library.allowance import VisitorLimits
from core.library.ingest import SourceFile
from core.library.library import Library
from core.records import Judgment
from core.settings import MEBIBYTE, OWN_ID, SAMPLE_ID
from core.visitors import LIBRARIES_EACH_HOSTED, LOCAL_VISITOR, Visitors
from tests.libraries import Loader, count_words, make_pool, sources
from tests.pdfs import PASSWORD, encrypted_pdf, plain_pdf

HOUR = 3600.0
QUERY = (
    '{"query_id": "lookup-01", "group": "lookup", "text": "who hunts mice", '
    '"document": "owls", "answer": ["The barn owl hunts mice"], "note": "words"}\n'
)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assets with a sample library of one short PDF without shipped vectors, and a template of it."""
    folder = tmp_path_factory.mktemp("made")
    sample = folder / "assets" / "sample"
    (sample / "pdf").mkdir(parents=True)
    text = "The barn owl hunts mice at night. It hears them under the snow."
    (sample / "pdf" / "owls.pdf").write_bytes(plain_pdf([text]))
    (sample / "queries.jsonl").write_text(QUERY)
    visitors = make(folder / "hosted", folder / "assets", hosted=True)
    visitors.prepare()
    visitors.close()
    return folder


@pytest.fixture
def assets(made: Path) -> Path:
    return made / "assets"


def make(folder: Path, assets: Path, **more: Any) -> Visitors:
    return Visitors(folder, pool=make_pool(), count_tokens=count_words, assets=assets, **more)


def opened(visitors: Visitors, visitor_id: str, library_id: str = OWN_ID) -> Library:
    """A library as it is; the lease is over."""
    with visitors.library(visitor_id, library_id) as library:
        return library


@pytest.fixture
def local(tmp_path: Path, assets: Path) -> Iterator[Visitors]:
    visitors = make(tmp_path / "data", assets)
    yield visitors
    visitors.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hosted(tmp_path: Path, made: Path, clock: Clock) -> Iterator[Visitors]:
    shutil.copytree(made / "hosted" / "sample-template", tmp_path / "data" / "sample-template")
    visitors = make(
        tmp_path / "data", made / "assets", hosted=True, keep_hours=1, max_visitors=3, clock=clock
    )
    yield visitors
    visitors.close()


# -- run locally -------------------------------------------------------------------------------


def test_locally_there_is_one_visitor_with_the_sample_and_their_own(local: Visitors) -> None:
    assert local.new() == LOCAL_VISITOR
    assert local.known(LOCAL_VISITOR)
    assert not local.known("x" * 32)
    lines = local.libraries(LOCAL_VISITOR)
    assert [(line.library_id, line.documents, line.is_sample) for line in lines] == [
        (SAMPLE_ID, 1, True),
        (OWN_ID, 0, False),
    ]


def test_the_sample_has_examples_and_is_made_complete(local: Visitors) -> None:
    local.prepare()
    library = opened(local, LOCAL_VISITOR, SAMPLE_ID)
    (example,) = library.examples()
    assert (example.query_id, example.group, len(example.relevant)) == ("lookup-01", "lookup", 1)
    local.complete()
    hits = library.ask("who hunts mice").columns[0].ranking.hits
    assert hits[0].passage_id == example.relevant[0]


def test_libraries_are_made_named_listed_and_removed(local: Visitors) -> None:
    line = local.create(LOCAL_VISITOR, "  Harbour \u202e reports\n")
    assert line.label == "Harbour reports"
    opened(local, LOCAL_VISITOR, line.library_id).add(sources())
    lines = local.libraries(LOCAL_VISITOR)
    assert [one.label for one in lines] == ["Sample library", "My documents", "Harbour reports"]
    assert lines[-1].documents == 3
    local.delete(LOCAL_VISITOR, line.library_id)
    assert len(local.libraries(LOCAL_VISITOR)) == 2
    with pytest.raises(UnknownNameError):
        opened(local, LOCAL_VISITOR, line.library_id)


def test_a_library_at_work_is_removed_when_the_work_ends(local: Visitors, tmp_path: Path) -> None:
    library_id = local.create(LOCAL_VISITOR, "Harbour").library_id
    with local.library(LOCAL_VISITOR, library_id) as library:
        local.delete(LOCAL_VISITOR, library_id)
        assert len(local.libraries(LOCAL_VISITOR)) == 2
        with pytest.raises(UnknownNameError):
            opened(local, LOCAL_VISITOR, library_id)
        library.add(sources())
        assert (tmp_path / "data" / "libraries" / library_id).exists()
    assert not (tmp_path / "data" / "libraries" / library_id).exists()


def test_a_library_outlives_the_server(tmp_path: Path, assets: Path) -> None:
    first = make(tmp_path / "data", assets)
    opened(first, LOCAL_VISITOR).add(sources())
    named = first.create(LOCAL_VISITOR, "Kept").library_id
    first.close()
    second = make(tmp_path / "data", assets)
    lines = {line.library_id: line for line in second.libraries(LOCAL_VISITOR)}
    assert lines[OWN_ID].documents == 3
    assert lines[named].label == "Kept"
    second.close()


@pytest.mark.parametrize("label", ["", "   ", "\u202e\x00", "x" * 61])
def test_labels_that_say_nothing_or_too_much(local: Visitors, label: str) -> None:
    with pytest.raises(InvalidSettingError, match="1 to 60"):
        local.create(LOCAL_VISITOR, label)


def test_the_sample_library_stays(local: Visitors) -> None:
    with pytest.raises(StoreError, match="stays"):
        local.delete(LOCAL_VISITOR, SAMPLE_ID)


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
def test_ids_are_never_paths(local: Visitors, tmp_path: Path, library_id: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnknownNameError):
        opened(local, LOCAL_VISITOR, library_id)
    with pytest.raises(UnknownNameError):
        local.delete(LOCAL_VISITOR, library_id)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_library_that_cannot_be_opened_does_not_hide_the_others(
    tmp_path: Path, assets: Path
) -> None:
    local = make(tmp_path / "data", assets)
    good, bad = (local.create(LOCAL_VISITOR, label).library_id for label in ("Good", "Bad"))
    local.close()
    (tmp_path / "data" / "libraries" / bad / "workspace.lock").unlink(missing_ok=True)
    (tmp_path / "data" / "libraries" / bad / "workspace.lock").mkdir()
    again = make(tmp_path / "data", assets)
    labels = {line.library_id: line.label for line in again.libraries(LOCAL_VISITOR)}
    assert (labels[good], labels[bad]) == ("Good", "(cannot be opened)")
    again.close()


def test_unused_libraries_are_closed_and_open_again(
    tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.visitors, "MAX_OPEN_IDLE", 1)
    clock = Clock()
    local = make(tmp_path / "data", assets, clock=clock)
    opened(local, LOCAL_VISITOR).add([SourceFile("a.pdf", encrypted_pdf(), password=PASSWORD)])
    (visit,) = local._visits.values()
    for _ in range(2):
        clock.now += 120
        opened(local, LOCAL_VISITOR, SAMPLE_ID)
    assert list(visit.open) == [SAMPLE_ID]
    assert local.libraries(LOCAL_VISITOR)[1].documents == 1  # known without opening it
    assert list(visit.open) == [SAMPLE_ID]
    library = opened(local, LOCAL_VISITOR)
    doc_id = library.documents()[0].doc_id
    assert library.page_view(doc_id, 1).png  # its password is still known
    local.close()


# -- hosted ------------------------------------------------------------------------------------


def test_two_visitors_never_see_each_other(hosted: Visitors) -> None:
    one, two = hosted.new(), hosted.new()
    assert one != two
    opened(hosted, one).add(sources())
    named = hosted.create(one, "Mine").library_id
    assert opened(hosted, one).documents()
    assert opened(hosted, two).documents() == ()
    with pytest.raises(UnknownNameError):
        opened(hosted, two, named)
    with pytest.raises(UnknownNameError):
        hosted.delete(two, named)
    assert len(hosted.libraries(one)) == 3


def test_two_visitors_at_once_see_only_their_own(hosted: Visitors) -> None:
    ids = [hosted.new(), hosted.new()]
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        try:
            for step in range(3):
                with hosted.library(ids[number], OWN_ID) as library:
                    text = f"Secret {step} of visitor {number}."
                    library.add([SourceFile(f"{step}.txt", text.encode())])
                    texts = [passage.text for passage in library.passages()]
                    assert len(texts) == step + 1
                    assert all(f"visitor {number}" in text for text in texts)
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    "visitor_id",
    ["", LOCAL_VISITOR, "x" * 32, "../" * 11, "a" * 31, "a" * 33, "/" * 32, "\0" * 32, "a\x00"],
)
def test_an_id_that_was_not_given_out_opens_nothing(
    hosted: Visitors, tmp_path: Path, visitor_id: str
) -> None:
    opened(hosted, hosted.new())
    assert not hosted.known(visitor_id)
    with pytest.raises(UnknownNameError, match="Reload the page"):
        opened(hosted, visitor_id)
    with pytest.raises(UnknownNameError):
        hosted.libraries(visitor_id)
    (folder,) = (tmp_path / "data" / "visitors").iterdir()
    for guess in (folder.name, folder.name.removeprefix("visitor-"), folder.name[-32:]):
        with pytest.raises(UnknownNameError):
            opened(hosted, guess)


def test_ids_are_unguessable_and_not_on_the_disk(hosted: Visitors, tmp_path: Path) -> None:
    ids = {hosted.new() for _ in range(20)}
    assert len(ids) == 20
    assert all(len(visitor_id) == 32 for visitor_id in ids)  # 192 random bits
    visitor = ids.pop()
    opened(hosted, visitor)
    names = [str(path) for path in (tmp_path / "data").rglob("*")]
    assert not any(visitor in name for name in names)
    if os.name == "posix":
        folders = list((tmp_path / "data" / "visitors").glob("visitor-*"))
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)


def test_a_visitor_has_few_libraries(hosted: Visitors) -> None:
    visitor = hosted.new()
    for number in range(LIBRARIES_EACH_HOSTED - 2):  # the sample and their own are there already
        hosted.create(visitor, f"Library {number}")
    with pytest.raises(StoreError, match="remove one first"):
        hosted.create(visitor, "One too many")


def test_looking_at_the_sample_takes_no_place_and_asking_does(
    hosted: Visitors, tmp_path: Path
) -> None:
    visitor = ""
    for _ in range(10):  # more than there are places
        visitor = hosted.new()
        assert [line.documents for line in hosted.libraries(visitor)] == [1, 0]
        with hosted.library(visitor, SAMPLE_ID, look=True) as library:
            assert len(library.examples()) == 1
            assert library.encoder_status()[0].passages == 1
    folder = tmp_path / "data" / "visitors"
    assert list(folder.iterdir()) == []
    with hosted.library(visitor, SAMPLE_ID) as library:
        library.index()
        assert library.ask("who hunts mice").columns[0].ranking.hits
    assert len(list(folder.iterdir())) == 1
    with hosted.library(visitor, SAMPLE_ID, look=True) as again:
        assert again is library  # their own from now on


def test_a_visitor_unused_for_long_is_removed(
    hosted: Visitors, clock: Clock, tmp_path: Path
) -> None:
    old, young = hosted.new(), hosted.new()
    opened(hosted, old).add([SourceFile("a.txt", b"Secret text.")])
    opened(hosted, young)
    clock.now += 0.7 * HOUR
    opened(hosted, young)
    clock.now += 0.7 * HOUR
    assert not hosted.known(old)
    with pytest.raises(UnknownNameError, match="documents were removed"):
        opened(hosted, old)  # even before its folder is gone
    opened(hosted, young)  # using the server cleans up as well
    assert hosted.expire() == 0
    assert len(list((tmp_path / "data" / "visitors").iterdir())) == 1


def test_a_visitor_at_work_is_never_removed(hosted: Visitors, clock: Clock) -> None:
    """A job that runs or waits for hours keeps its documents, however many others come."""
    visitor = hosted.new()
    with hosted.library(visitor, OWN_ID) as library:
        clock.now += 2 * HOUR
        assert hosted.expire() == 0
        for _ in range(2):
            opened(hosted, hosted.new())
        with pytest.raises(StoreError, match="Too many people"):
            opened(hosted, hosted.new())
        library.add([SourceFile("a.txt", b"Still here.")])
    assert hosted.expire() == 0  # its time counts from the end of its use


def test_too_many_visitors_take_turns(hosted: Visitors, clock: Clock) -> None:
    first, second, third = (hosted.new() for _ in range(3))
    for visitor in (first, second, third):
        opened(hosted, visitor)
    fourth = hosted.new()
    with pytest.raises(StoreError, match="Too many people"):
        opened(hosted, fourth)
    clock.now += 1200  # all idle; the one idle for longest makes room
    opened(hosted, first)
    opened(hosted, fourth)
    opened(hosted, first)
    with pytest.raises(UnknownNameError):
        opened(hosted, second)


def test_an_address_cannot_take_all_places(tmp_path: Path, made: Path) -> None:
    shutil.copytree(made / "hosted" / "sample-template", tmp_path / "data" / "sample-template")
    visitors = make(tmp_path / "data", made / "assets", hosted=True, max_visitors=8)
    crowd = [visitors.new("1.2.3.4") for _ in range(8)]
    for visitor in crowd[:6]:  # three for each place that stays free: 6 of 8
        opened(visitors, visitor)
    with pytest.raises(StoreError, match="at your address"):
        opened(visitors, crowd[6])
    opened(visitors, visitors.new("5.6.7.8"))
    visitors.close()


def test_ids_that_are_never_used_are_forgotten_address_by_address(
    hosted: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.visitors, "MAX_UNUSED_IDS", 4)
    one = hosted.new("1.2.3.4")
    crowd = [hosted.new("5.6.7.8") for _ in range(20)]
    assert hosted.known(one)
    assert [hosted.known(visitor) for visitor in crowd].count(True) == 3


def test_a_visitors_share_goes_over_everything_they_keep(tmp_path: Path, made: Path) -> None:
    limits = VisitorLimits(queries_per_minute=2, documents=100, bytes_each=2 * MEBIBYTE)
    shutil.copytree(made / "hosted" / "sample-template", tmp_path / "data" / "sample-template")
    visitors = make(tmp_path / "data", made / "assets", hosted=True, visitor_limits=limits)
    one, two = visitors.new(), visitors.new()
    own = opened(visitors, one)
    own.add(sources())
    other = opened(visitors, one, visitors.create(one, "Other").library_id)
    other.add(sources())
    own.ask("owl")
    comparison = other.ask("owl")
    with pytest.raises(AllowanceExceededError, match="queries a minute"):
        own.ask("owl")
    opened(visitors, two).add(sources())
    opened(visitors, two).ask("owl")  # another's share is another's
    with pytest.raises(AllowanceExceededError, match="MiB"):
        own.add([SourceFile("large.txt", data=b"word " * 400_000)])
    sample = opened(visitors, one, SAMPLE_ID)  # it came with Bifocal and costs nothing
    sample.judge([Judgment("owl", "0" * 64, 1, 0, 1, 2)])
    with pytest.raises(AllowanceExceededError, match="MiB"):
        sample.judge([Judgment("x" * 2 * MEBIBYTE, "0" * 64, 1, 0, 1, 2)])
    own.workspace.cache_result("large", b"x" * 2 * MEBIBYTE)
    for keep in (own.save_comparison, sample.save_comparison):
        with pytest.raises(AllowanceExceededError, match="MiB"):
            keep(comparison)
    visitors.close()


def test_visitors_of_an_earlier_run_are_known_to_the_next(
    hosted: Visitors, tmp_path: Path, assets: Path
) -> None:
    visitor = hosted.new()
    opened(hosted, visitor).add(sources())
    hosted.close()
    second = make(tmp_path / "data", assets, hosted=True)
    assert len(opened(second, visitor).documents()) == 3
    second.close()


def test_a_half_made_template_is_made_again(tmp_path: Path, assets: Path) -> None:
    (tmp_path / "data" / "sample-template").mkdir(parents=True)
    (tmp_path / "data" / "sample-template" / "half").write_text("x")
    visitors = make(tmp_path / "data", assets, hosted=True)
    visitors.prepare()
    assert not (tmp_path / "data" / "sample-template" / "half").exists()
    assert visitors.libraries(visitors.new())[0].documents == 1
    visitors.close()


def test_opening_loads_no_encoder(tmp_path: Path, assets: Path) -> None:
    load = Loader()
    visitors = Visitors(
        tmp_path / "data", pool=make_pool(load), count_tokens=count_words, assets=assets
    )
    visitors.prepare()
    visitors.libraries(LOCAL_VISITOR)
    assert load.loaded == []
    visitors.close()
