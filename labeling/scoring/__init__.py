"""Scores of what moves: its motion, and a classifier of its looks."""
