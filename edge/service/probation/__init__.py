"""Candidates in shadow, swaps of models, and probation, in a running service."""
