"""Training recipes of the weights that ship. Not part of the wheel."""
