"""The only package that imports ultralytics, which is AGPL-3.0 and an optional dependency.

Importing this package itself does not import ultralytics. Its other modules do, and are imported when they
are needed, after `require_ultralytics`.
"""
