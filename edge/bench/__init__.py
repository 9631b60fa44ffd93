"""Benchmarks of the detection loop against the bare model."""
