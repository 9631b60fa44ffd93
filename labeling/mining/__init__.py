"""Mining of a ring of frames: misses of the device, and its recall without ground truth."""
