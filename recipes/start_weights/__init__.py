"""Start weights of the detector: `python -m recipes.start_weights.pretrain --help`."""
