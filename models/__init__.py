"""Detections, boxes, letterbox, detection heads, bundle metadata and bundled weights."""

if __name__ != "edgeloop.models":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.models, not {__name__}")
