"""Drift: frames unlike those that a model was trained on."""
