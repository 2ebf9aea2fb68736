"""The workspace on disk. The only room that knows SQLite."""

from core.store.files import remove_tree, tree_bytes
from core.store.records import DamageRecord, StoredComparison, StoredDocument
from core.store.vectors import in_context, text_key
from core.store.workspace import Workspace

__all__ = [
    "DamageRecord",
    "StoredComparison",
    "StoredDocument",
    "Workspace",
    "in_context",
    "remove_tree",
    "text_key",
    "tree_bytes",
]
