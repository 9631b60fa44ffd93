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
from importlib.util import find_spec

from edgeloop.models.errors import UnavailableError

__all__ = ["require_ultralytics", "stay_offline"]


def require_ultralytics(need: str) -> None:
    """Check that ultralytics is installed and switch it offline; call it before importing ultralytics.

    Args:
        need: Beginning of the error message: what asks for the package.

    Raises:
        UnavailableError: The package is not installed.
    """
    if find_spec("ultralytics") is None:
        raise UnavailableError(f"{need}, which is not installed; run: pip install 'edgeloop[ultralytics]'")
    stay_offline()


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
