"""Visitors of a shared server: a workspace each, that no one else can open."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import LimitExceededError, StoreError, UnknownNameError
from core.library import Library, SourceFile
from core.library.visitors import WorkspaceRoot
from core.store import Workspace
from tests.library.tiny import TinyEncoder, make_library

HOUR = 3600.0


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def build(workspace: Workspace) -> Library:
    return make_library(workspace, TinyEncoder())


def make(folder: Path, **options: object) -> tuple[WorkspaceRoot[Library], Clock]:
    clock = Clock()
    return WorkspaceRoot(folder / "visitors", build=build, clock=clock, **options), clock  # type: ignore[arg-type]


def test_two_visitors_at_once_see_only_their_own(tmp_path: Path) -> None:
    root, _ = make(tmp_path)
    ids = [root.create(), root.create()]
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        try:
            for step in range(3):
                with root.use(ids[number]) as library:
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
    root.close()
    assert failures == []


def test_ids_are_unguessable_and_not_on_the_disk(tmp_path: Path) -> None:
    root, _ = make(tmp_path)
    ids = {root.create() for _ in range(20)}
    assert len(ids) == 20
    assert all(len(visitor_id) == 32 for visitor_id in ids)  # 192 random bits
    names = {path.name for path in (tmp_path / "visitors").iterdir()}
    assert not any(visitor_id in name for visitor_id in ids for name in names)


@pytest.mark.parametrize(
    "visitor_id",
    ["", ".", "..", "../../etc", "a" * 32, "a" * 31, "a" * 33, "/" * 32, "..%2f" * 8, "\0" * 32],
)
def test_an_id_nobody_was_given_opens_nothing(tmp_path: Path, visitor_id: str) -> None:
    root, _ = make(tmp_path)
    root.create()
    with pytest.raises(UnknownNameError, match="Reload the page"), root.use(visitor_id):
        pass
    assert len(list((tmp_path / "visitors").iterdir())) == 1


def test_a_folder_name_is_no_id(tmp_path: Path) -> None:
    root, _ = make(tmp_path)
    root.create()
    name = next((tmp_path / "visitors").iterdir()).name
    for guess in (name, name.removeprefix("visitor-"), name[-32:]):
        with pytest.raises(UnknownNameError), root.use(guess):
            pass


def test_a_visitor_unused_for_long_is_removed(tmp_path: Path) -> None:
    root, clock = make(tmp_path, time_to_live_seconds=HOUR)
    old, young = root.create(), root.create()
    with root.use(old) as library:
        library.add([SourceFile("a.txt", b"Secret text.")])
    clock.now += 0.7 * HOUR
    with root.use(young):
        pass
    clock.now += 0.7 * HOUR
    with pytest.raises(UnknownNameError), root.use(old):  # even before anyone cleans up
        pass
    with root.use(young):  # using the server cleans up as well
        pass
    assert root.expire() == 0
    assert len(list((tmp_path / "visitors").iterdir())) == 1
    with root.use(young):
        pass


def test_a_visitor_in_use_is_never_removed(tmp_path: Path) -> None:
    root, clock = make(tmp_path, time_to_live_seconds=HOUR)
    visitor_id = root.create()
    with root.use(visitor_id) as library:
        clock.now += 2 * HOUR
        assert root.expire() == 0
        with pytest.raises(StoreError, match="in use"):
            root.remove(visitor_id)
        library.add([SourceFile("a.txt", b"Still here.")])
    assert root.expire() == 0  # its time counts from the end of its use


def test_too_many_visitors_take_turns(tmp_path: Path) -> None:
    root, clock = make(tmp_path, max_visitors=2)
    first, second = root.create(), root.create()
    with pytest.raises(StoreError, match="Too many people"):
        root.create()
    clock.now += 1200  # both idle; the one idle for longest makes room
    with root.use(first):
        pass
    third = root.create()
    for visitor_id in (first, third):
        with root.use(visitor_id):
            pass
    with pytest.raises(UnknownNameError), root.use(second):
        pass
    assert len(root) == 2


def test_a_visitor_keeps_so_much_and_no_more(tmp_path: Path) -> None:
    root, _ = make(tmp_path, max_bytes_each=1_000_000)
    visitor_id = root.create()
    root.require_room(visitor_id, 900_000)
    with root.use(visitor_id) as library:
        library.add([SourceFile("a.txt", b"x " * 200_000)])
    with pytest.raises(LimitExceededError, match="your own machine"):
        root.require_room(visitor_id, 900_000)


def test_visitors_survive_a_restart_of_the_server_until_their_time_is_over(tmp_path: Path) -> None:
    root, clock = make(tmp_path, time_to_live_seconds=HOUR)
    visitor_id = root.create()
    with root.use(visitor_id) as library:
        library.add([SourceFile("a.txt", b"Secret text.")])
    root.close()
    again: WorkspaceRoot[Library] = WorkspaceRoot(
        tmp_path / "visitors", build=build, clock=clock, time_to_live_seconds=HOUR
    )
    with again.use(visitor_id) as library:
        assert len(library.documents()) == 1
    again.remove(visitor_id)
    assert list((tmp_path / "visitors").iterdir()) == []


def test_a_failing_start_leaves_the_workspace_free(tmp_path: Path) -> None:
    attempts: list[Workspace] = []

    def fails_once(workspace: Workspace) -> Library:
        attempts.append(workspace)
        if len(attempts) == 1:
            raise RuntimeError("no memory")
        return build(workspace)

    root = WorkspaceRoot(tmp_path / "visitors", build=fails_once)
    visitor_id = root.create()
    with pytest.raises(RuntimeError), root.use(visitor_id):
        pass
    with root.use(visitor_id) as library:
        assert library.documents() == ()
    root.close()
