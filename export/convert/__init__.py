"""Conversion of a detector to the file of another engine, with its maker's own tools."""
