"""Doubt about the detections of a frame, without ground truth."""
