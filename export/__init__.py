"""Dataset to bundle: train a compact detector, export it, and check that it did not drift on the way.

Its package `ultralytics` alone imports ultralytics, which is AGPL-3.0.
"""

from __future__ import annotations

if __name__ != "edgeloop.export":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.export, not {__name__}")
