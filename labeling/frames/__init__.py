"""Frames to label: collected, read from a folder or object storage, told apart, suggested."""
