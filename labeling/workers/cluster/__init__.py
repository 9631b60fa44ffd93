"""Workers on a Ray cluster: the connection, the actors, and what is sent to them once."""
