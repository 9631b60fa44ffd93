"""Switch ultralytics offline before it is first imported.

By default ultralytics checks for a connection on import, reports each training and export to an analytics
service, downloads missing fonts, weights and packages, and calls installed experiment trackers. Footage and
labels are the user's; nothing about them leaves the machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

__all__ = ["stay_offline"]


def stay_offline() -> None:
    """Switch off ultralytics' analytics, updates, downloads and logs.

    Ultralytics' settings go to a temporary folder of this process, so that the user's own are neither read
    nor changed, and trackers enabled there are not called.
    """
    os.environ.update(
        YOLO_OFFLINE="true",  # it assumes that there is no connection: no analytics, no updates
        YOLO_AUTOINSTALL="false",  # no pip install behind the user's back
        YOLO_VERBOSE="false",  # no log and progress bars: we show our own
        ULTRALYTICS_SAFE_LOAD="true",  # checkpoints are read without running code in them
    )
    if "EDGELOOP_ULTRALYTICS" not in os.environ:
        # Child processes inherit the folder through their environment and do not remove it.
        folder = tempfile.mkdtemp(prefix="edgeloop-ultralytics-")
        os.environ["EDGELOOP_ULTRALYTICS"] = os.environ["YOLO_CONFIG_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
