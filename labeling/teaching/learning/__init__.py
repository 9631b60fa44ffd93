"""Learning beside the answers, in a process of its own."""
