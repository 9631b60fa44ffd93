"""Folders of frames for labeling."""
