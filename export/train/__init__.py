"""Training of the compact detector."""
