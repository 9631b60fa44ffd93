"""Proposals: boxes found by detectors that learn from the drawn frames while a person draws."""
