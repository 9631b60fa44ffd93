"""The recipe that trains `nano`: `python -m labeling.sam.recipe --help`."""
