"""Ring of frames that a device keeps within a budget, to be labeled later."""
