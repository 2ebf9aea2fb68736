"""The verbs as named endpoints: one definition serves REST, `gradio_client` and MCP.

Every endpoint takes ``visitor`` last: locally leave it empty; on a shared server call ``start``
once and pass the id it returns, it is the key to your libraries. ``library`` is an id from
``libraries``; empty means the sample library (for ``index``: your own).
"""

from __future__ import annotations

from demo.api import asking, elsewhere, encoders, experiments, judging, libraries
from demo.api.door import Door
from demo.choosing import Choosing
from demo.handlers import Handlers


def add(handlers: Handlers, choosing: Choosing) -> None:
    """Add every endpoint to the page under construction."""
    door = Door(handlers)
    libraries.add(door)
    encoders.add(door, choosing)
    elsewhere.add(door)
    asking.add(door)
    experiments.add(door)
    judging.add(door)
