"""Candidate objects: SAM masks, deduplicated."""
