"""Candidate objects: prompts, SAM masks, non-maximum suppression."""
