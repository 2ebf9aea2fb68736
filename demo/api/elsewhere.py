"""Endpoints: imports, checkpoints from a hub and runs of other systems."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo.api.door import Door, fields, listed, verb
from demo.fetching import Fetching
from demo.importing import Importing


def add(door: Door) -> None:
    """Add the endpoints."""
    fetching, importing = Fetching(door.handlers), Importing(door.handlers)

    @verb
    def pair_costs(pair: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Cost of a pair on this machine: size, licence, memory, time. Fetches nothing.

        Args:
            pair: Its id, or two encoders' as `A+B`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            The plan, with `refusal` when it cannot be; empty when it can be used as it is.
        """
        made = fetching.offer(*door.place(visitor, library), pair)
        return {} if made is None else {**fields(made.plan), "seconds": list(made.seconds)}

    @verb
    def use_pair(pair: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Fetch a pair where it is not here, use it, and embed missing passages.

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
        with door.library(visitor, library) as lent:
            return fields(lent.settings)

    @verb
    def runs(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List the imported runs that a library shows as columns.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return listed([run.facts() for run in lent.runs()])

    @verb
    def add_run(
        name: str, text: str, queries: str = "", library: str = "", visitor: str = ""
    ) -> list[dict[str, Any]]:
        """Keep another system's run as a column of a library.

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
            return listed([kept.facts() for kept in importing.add(*place, files)])

    @verb
    def remove_run(run_id: str, library: str = "", visitor: str = "") -> bool:
        """Forget a run.

        Args:
            run_id: From `runs`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        importing.remove(*door.place(visitor, library), run_id)
        return True
