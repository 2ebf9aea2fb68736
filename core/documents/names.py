"""File names made fit to be shown and stored: they come from strangers."""

from __future__ import annotations

import unicodedata

MAX_NAME_CHARS = 120
_SEPARATORS = ("/", "\\")


def clean_name(name: str) -> str:
    """Return the last path part of ``name`` without anything that could deceive or break a line.

    Control characters, NUL, bidirectional overrides and isolates, zero-width and tag characters,
    lone surrogates and private-use characters go (Unicode general categories C*, save the joiner that
    emoji and some scripts need); white space becomes single spaces; a long name keeps its
    extension. Never empty: what nothing is left of is called "unnamed".

    The characters of HTML stay: escaping is the business of whoever shows the name.
    """
    for separator in _SEPARATORS:
        name = name.rstrip(separator).rpartition(separator)[2]
    kept = []
    for character in name:
        if unicodedata.category(character) in {"Zs", "Zl", "Zp"} or character in "\t\n\r\v\f":
            kept.append(" ")
        elif not unicodedata.category(character).startswith("C") or character == "\u200d":
            kept.append(character)
    cleaned = " ".join("".join(kept).split()).strip("\u200d ")
    if cleaned.strip(".") == "":
        return "unnamed"
    if len(cleaned) <= MAX_NAME_CHARS:
        return cleaned
    stem, dot, extension = cleaned.rpartition(".")
    if dot and len(extension) <= 10:
        return stem[: MAX_NAME_CHARS - len(extension) - 2].rstrip() + "…" + dot + extension
    return cleaned[: MAX_NAME_CHARS - 1].rstrip() + "…"
