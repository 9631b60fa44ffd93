"""Scores of candidates: classification, calibration, box regression."""
