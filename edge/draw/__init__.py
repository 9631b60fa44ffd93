"""Detections, zones and counts drawn into images."""
