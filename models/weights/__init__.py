"""Bundled weights, digests and the cache folder."""
