"""Inputs of a labeling job: the plan, exemplars, crops, YOLO text files."""
