"""Loop folder: generations of a detector, and where each came from."""
