"""The recipe that trains `nano`: `python -m recipes.nano --help`."""
