"""Datasets read for training and export."""
