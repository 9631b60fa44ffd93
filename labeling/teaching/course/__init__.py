"""Course of a teaching: who answered, how fast and how well."""
