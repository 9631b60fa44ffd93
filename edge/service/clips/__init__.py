"""Pictures and clips of events, within a budget of the disk."""
