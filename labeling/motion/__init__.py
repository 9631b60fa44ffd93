"""Motion before a fixed camera: background model and alignment."""
