"""Draft queries from the library itself, by rules, so that nobody has to think of one first.

Headings, definitions, sentences turned into questions, their rarest words, and a few whole
paragraphs. Every draft knows the passage it came from. English rules are tried on any language;
where they do not fit, headings, keywords and paragraphs still do.
"""

from core.laboratory.drafts.drafting import (
    DEFAULT_DRAFTS,
    PARAGRAPH_SHARE,
    Draft,
    DraftKind,
    draft_queries,
)
from core.laboratory.drafts.questions import ask, define
from core.laboratory.drafts.rare_words import keywords

__all__ = [
    "DEFAULT_DRAFTS",
    "PARAGRAPH_SHARE",
    "Draft",
    "DraftKind",
    "ask",
    "define",
    "draft_queries",
    "keywords",
]
