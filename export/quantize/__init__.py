"""Quantization: activation ranges, conversion, search."""
