"""Facts about a detector, as the user, the file and the graph state them."""
