"""Detection metrics against ground truth."""
