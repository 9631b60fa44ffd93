"""Start weights of the detector: `python -m recipes.start_weights.pretrain --help`."""

from edgeloop.export.train.offline import stay_offline

stay_offline()  # before the recipe imports ultralytics
