"""Folders of frames for labeling, and the uncertainty that chooses them."""
