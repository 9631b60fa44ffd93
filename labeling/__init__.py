"""Labeling: from footage and a few examples to a dataset, with SAM."""

if __name__ != "edgeloop.labeling":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.labeling, not {__name__}")
