"""Improvement: the next generation of a detector, judged against the current one."""
