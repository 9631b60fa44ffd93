"""Footage to dataset: frames worth labelling, SAM prompted from a few exemplars, classes, one dataset.

From Python, start at `edgeloop.labeling.frames.selection.collect_frames` and
`edgeloop.labeling.job.label_frames`. Nothing is imported here, so that `edgeloop label --help` does not wait
for torch.
"""

from __future__ import annotations

import os

if __name__ != "edgeloop.labeling":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.labeling, not {__name__}")

# Torch's threads wait for each other asleep instead of spinning: several times as fast where something else
# keeps the cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__: list[str] = []
