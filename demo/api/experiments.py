"""Endpoints: why, and on what; each runs as a job of its library."""

from __future__ import annotations

from typing import Any

from core.errors import InvalidSettingError
from core.experiments.growing import Growth
from core.experiments.last_sentence import DEFAULT_EDIT
from core.experiments.results import to_jsonable
from demo.api.door import Door, fields, verb
from demo.experiments import Experiments, wanted_findings

MOST_DRAFTS = 2000


def add(door: Door, experiments: Experiments) -> None:
    """Add the endpoints."""

    @verb
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
        wanted = wanted_findings()
        report = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.find(bench, min(int(count), MOST_DRAFTS), monitor),
        )
        findings = [item for item in report.findings if wanted.admits(item)][: int(show)]
        return {**fields(report), "findings": to_jsonable(findings)}

    @verb
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
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.explain(bench, query, passage_id, monitor),
        )
        return fields(found)

    @verb
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
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.edited(bench, passage_id, replacement, monitor),
        )
        return fields(found)

    @verb
    def fairness(query: str = "", library: str = "", visitor: str = "") -> dict[str, Any]:
        """Account for both encoders: limits, prompts, tokens cut, red flags in words.

        Args:
            query: Shown beside them; may be empty.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.account(bench, query, (), monitor),
        )
        return fields(found)

    @verb
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
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.switched(bench, query, passage_id, monitor),
        )
        return fields(found)

    @verb
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
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.grown(
                bench, query, passage_id, Growth(side), monitor
            ),
        )
        return fields(found)

    @verb
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
        many = max(2, min(int(copies), 20))
        found = door.experiment(
            visitor,
            library,
            lambda bench, monitor: experiments.keyed(bench, doc_id, int(longest), many, monitor),
        )
        return fields(found)
