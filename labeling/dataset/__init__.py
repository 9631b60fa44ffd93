"""The dataset on disk: writing, reading, splitting, statistics."""
