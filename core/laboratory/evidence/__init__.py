"""Why is this passage where it is? Take parts away and see, for both arms in the same passage.

Everything here is counterfactual: a text is changed, embedded again, and its score and rank are
compared with what they were. The one exception, a token's additive share, is exact by the
arithmetic of pooling and is labelled as such.
"""

from core.laboratory.evidence.context import (
    ArmContext,
    LateContext,
    context_window,
    late_context,
    nested_windows,
)
from core.laboratory.evidence.leave_one_out import (
    contrast,
    leave_clauses_out,
    leave_sentences_out,
)
from core.laboratory.evidence.parts import query_parts, without
from core.laboratory.evidence.records import ArmEvidence, Effect, Evidence, Faithfulness, Part
from core.laboratory.evidence.shares import TokenShare, TokenShares, token_shares

__all__ = [
    "ArmContext",
    "ArmEvidence",
    "Effect",
    "Evidence",
    "Faithfulness",
    "LateContext",
    "Part",
    "TokenShare",
    "TokenShares",
    "context_window",
    "contrast",
    "late_context",
    "leave_clauses_out",
    "leave_sentences_out",
    "nested_windows",
    "query_parts",
    "token_shares",
    "without",
]
