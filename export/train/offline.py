"""Ultralytics, kept at home: what to tell it before it is first imported.

Left to itself ultralytics looks for a connection when it is imported, reports each training and export to an
analytics service, fetches fonts, weights and packages that it misses, and calls the experiment trackers that
happen to be installed. Footage and labels are the user's; nothing about them leaves the machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

__all__ = ["stay_offline"]


def stay_offline() -> None:
    """Switch off its analytics, updates, downloads and logs; call before it is imported.

    Ultralytics' settings go to a folder of this process alone, so that neither the user's own settings are
    read or changed, nor trackers named there are called.
    """
    os.environ.update(
        YOLO_OFFLINE="true",  # it takes itself to be without a connection: no analytics, no updates
        YOLO_AUTOINSTALL="false",  # no pip install behind the user's back
        YOLO_VERBOSE="false",  # its log and progress bars: we show our own
        ULTRALYTICS_SAFE_LOAD="true",  # checkpoints are read without running code that hides in them
    )
    if "EDGELOOP_ULTRALYTICS" not in os.environ:
        # Processes that we start find the folder in their environment and leave it to us.
        folder = tempfile.mkdtemp(prefix="edgeloop-ultralytics-")
        os.environ["EDGELOOP_ULTRALYTICS"] = os.environ["YOLO_CONFIG_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
