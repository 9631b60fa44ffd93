"""Training recipe of `nano`: `python -m recipes.nano --help`."""
