"""Weights that ship with edgeloop, and where downloads and measurements are cached."""
