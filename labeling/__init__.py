"""Footage to dataset: frames worth labelling, SAM prompted from a few exemplars, classes, one dataset.

From Python, start at `labeling.collect.collect_frames` and `labeling.job.label_frames`. Nothing is imported
here, so that `edgeloop label --help` does not wait for torch.
"""

import os

# Torch's threads wait for each other asleep instead of spinning: several times as fast where something else
# keeps the cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__: list[str] = []
