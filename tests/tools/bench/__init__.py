"""Measurements behind the figures in the docs: ratios within one run, never timed tests."""
