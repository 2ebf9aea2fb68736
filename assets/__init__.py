"""Weights, sample library, measured results and style: files that the program reads."""
