"""The recipe that trains `nano`: `python -m edgeloop.labeling.sam.recipe --help`."""
