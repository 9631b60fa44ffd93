"""Detectors to train: our own, described in ultralytics' yaml and built by its parser, and ultralytics'."""

from edgeloop.export.train.detectors.build import build_detector, load_detector

__all__ = ["build_detector", "load_detector"]
