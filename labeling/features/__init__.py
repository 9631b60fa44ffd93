"""Frozen image features: dense, per object, and from CLIP."""
