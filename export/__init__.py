"""Dataset to bundle: train a compact detector, export it, and prove that it did not change on the way.

This is the only package that imports ultralytics, which is AGPL-3.0.
"""

from __future__ import annotations

import os

from edgeloop.export.train.offline import stay_offline

if __name__ != "edgeloop.export":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.export, not {__name__}")

stay_offline()
# Torch's threads wait for each other asleep instead of spinning: ten times as fast where something else keeps
# the cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__: list[str] = []
