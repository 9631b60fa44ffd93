"""Settings of a detector, from the user, the metadata and the graph."""
