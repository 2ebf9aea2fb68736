"""Draft queries from the library itself, by rules.

Headings, definitions, sentences turned into questions, their rarest words, and a few whole
paragraphs. Every draft knows the passage it came from. English rules are tried on any language but
German, which has a rule for definitions of its own; where none fits, headings, keywords and
paragraphs still do. Formulas, code and tables are no queries: nobody asks in their signs.
"""

from core.experiments.drafts.drafting import (
    DEFAULT_DRAFTS,
    DRAFTING_RULES,
    PARAGRAPH_SHARE,
    Draft,
    DraftKind,
    draft_queries,
)
from core.experiments.drafts.questions import ask, define, define_german
from core.experiments.drafts.rare_words import keywords

__all__ = [
    "DEFAULT_DRAFTS",
    "DRAFTING_RULES",
    "PARAGRAPH_SHARE",
    "Draft",
    "DraftKind",
    "ask",
    "define",
    "define_german",
    "draft_queries",
    "keywords",
]
