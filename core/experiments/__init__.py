"""Experiments on the user's own documents: where two encoders part, and why."""
