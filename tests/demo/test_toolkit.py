"""A visitor's share of the queue."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from demo.toolkit import share_queue
from tests.loops import run


class Queue:
    """As much of the toolkit's queue as is used: what is pushed waits."""

    def __init__(self) -> None:
        self.line: deque[Any] = deque()
        self.event_queue_per_concurrency_id = {"one": SimpleNamespace(queue=self.line)}

    async def push(self, body: Any, _request: Any, _username: Any) -> tuple[bool, str, str]:
        self.line.append(SimpleNamespace(data=body))
        return True, "id", "success"


def test_a_visitor_who_fills_their_share_leaves_room_for_others() -> None:
    queue = Queue()
    share_queue(queue, lambda values: "anna" if "anna" in values else "", most=2)

    def push(page: str, *values: object) -> str:
        body = SimpleNamespace(data=list(values), session_hash=page)
        return str(run(queue.push(body, None, None))[2])

    assert [push("p1", "tide", "anna"), push("p2", "anna")] == ["success"] * 2
    assert push("p3", "moon", 3, "anna") == "queue_full"  # from whatever page it comes
    assert [push("p4"), push("p4"), push("p4")] == ["success", "success", "queue_full"]
    queue.line.popleft()
    assert push("p3", "anna") == "success"
