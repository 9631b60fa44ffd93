"""Detectors to train: ours, described in ultralytics' yaml, and those of ultralytics."""

from edgeloop.export.train.detectors.build_detector import build_detector, load_detector

__all__ = ["build_detector", "load_detector"]
