"""Training of the compact detector in plain torch."""
