"""The only package that imports ultralytics, which is AGPL-3.0 and an optional dependency.

Importing it switches ultralytics offline. It is imported when it is needed, after `require_ultralytics`.
"""

from edgeloop.export.ultralytics.offline import stay_offline

stay_offline()  # before any module here imports ultralytics
