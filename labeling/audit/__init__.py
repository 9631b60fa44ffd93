"""Audit of labels without ground truth: a person checks a random sample."""
