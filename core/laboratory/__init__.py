"""Experiments on the user's own documents: where the arms part, whether it is fair, and why."""
