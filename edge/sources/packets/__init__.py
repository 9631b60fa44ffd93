"""Network streams with their compressed packets: a reader, and a ring of the last seconds."""
