"""Review of labels: the most doubtful first, look-alikes at once."""
