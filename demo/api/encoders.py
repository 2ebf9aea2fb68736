"""Endpoints: which encoders there are, which a library uses, and one's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.encoders.catalogue import EncoderRequest, shown_checkpoint
from core.encoders.spec import parse_choice
from core.errors import InvalidSettingError
from core.records import Family
from demo.api.door import Door, fields, verb
from demo.choosing import Choosing


def add(door: Door, choosing: Choosing) -> None:
    """Add the endpoints."""

    @verb
    def encoders(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List every encoder: its properties, its options, and its columns.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        choosing.services.refresh_encoders()
        with door.library(visitor, library, look=True) as lent:
            used = {encoder.system_id for encoder in lent.encoder_status()}
            choice = lent.settings.choice
        return [
            {
                **fields(replace(spec, checkpoint=shown_checkpoint(spec), adapter="")),
                "column": spec.encoder_id in used,
                "chosen": fields(choice(spec.encoder_id)),
            }
            for spec in choosing.services.visitors.pool.registry.encoders.values()
        ]

    @verb
    def choose_encoders(
        first: str = "",
        second: str = "",
        also: str = "",
        options: str = "",
        library: str = "",
        visitor: str = "",
    ) -> dict[str, Any]:
        """Choose a library's columns and the options of their embeddings; embeds missing passages.

        Args:
            first: Encoder id of the first encoder; empty keeps it.
            second: Encoder id of the second encoder; empty keeps it.
            also: Further columns, ids with commas; `none` for none, empty keeps them.
            options: As `ID:output=int8,dimension=256;ID:centred`; `ID:default` undoes.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.

        Returns:
            The library's settings as they are then.
        """
        known, name = door.place(visitor, library)
        with door.library(visitor, library) as lent:
            now = lent.settings
        pair = choosing.services.visitors.pool.registry.specs_of(now.pair_id)
        columns = now.also if not also else split_names(also)
        settings = choosing.settings(
            known, name, first or pair[0].encoder_id, second or pair[1].encoder_id, columns
        )
        for text in split_names(options, ";"):
            encoder_id = text.rpartition(":")[0]
            settings = settings.with_choice(parse_choice(text, settings.choice(encoder_id)))
        job = door.handlers.indexing.change_settings(known, name, settings)
        if job is not None:
            job.outcome()
        with door.library(visitor, library) as lent:
            return fields(lent.settings)

    @verb
    def add_encoder(
        source: str,
        family: str = "",
        label: str = "",
        adapter: str = "",
        query_prompt: str = "",
        passage_prompt: str = "",
        max_tokens: int = 0,
        visitor: str = "",
    ) -> dict[str, Any]:
        """Add an encoder of your own by folder or hub id; on a shared server only where allowed.

        Args:
            source: Folder, hub id, or a known encoder's id to give an adapter.
            family: `diffusion`, `autoregressive` or `reference`; empty for a reference, or as the
                known encoder has it.
            label: Its name; empty takes the source's own.
            adapter: Folder of a LoRA adapter to merge; empty for none.
            query_prompt: Prefix of queries; empty takes what its files say.
            passage_prompt: Prefix of passages; empty takes what its files say.
            max_tokens: Its limit; 0 takes what its files say.
            visitor: From `start`; empty when run locally.
        """
        if family and family not in {Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE}:
            raise InvalidSettingError(
                f"family is {family!r}; choose diffusion, autoregressive or reference."
            )
        request = EncoderRequest(
            source=source,
            family=Family(family) if family else None,
            label=label,
            adapter=adapter,
            query_prompt=query_prompt or None,
            passage_prompt=passage_prompt or None,
            max_tokens=int(max_tokens),
        )
        spec = choosing.add(door.visitor(visitor), request)
        return fields(replace(spec, checkpoint=shown_checkpoint(spec), adapter=""))

    @verb
    def remove_encoder(encoder: str, visitor: str = "") -> bool:
        """Remove an encoder that was added; its files and stored vectors stay.

        Args:
            encoder: Its id.
            visitor: From `start`; empty when run locally.
        """
        choosing.remove(door.visitor(visitor), encoder)
        return True


def split_names(text: str, mark: str = ",") -> tuple[str, ...]:
    """Return the names in a list of them; ``none`` stands for an empty one."""
    names = (part.strip() for part in text.split(mark))
    return tuple(name for name in names if name and name != "none")
