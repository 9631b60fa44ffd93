"""Datasets for training and export."""
