"""Runtime: frames in, detections out, on the device itself."""

if __name__ != "edgeloop.edge":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.edge, not {__name__}")
