"""Working folder of a training, from which an interrupted one continues."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.export.train_options import TrainOptions

__all__ = ["UnfinishedRun", "unfinished_run"]

_SETTINGS = "settings.json"
_EPOCHS = "epochs.json"  # for programs that draw the curves; nothing continues from it
_WITHOUT_EFFECT = {"device", "overwrite"}  # options that do not change what is learned

_log = logging.getLogger(__name__)


@dataclass
class UnfinishedRun:
    """Working folder of a training.

    Attributes:
        folder: The folder.
        keep: Keep the folder if the training ends now and has written something.
    """

    folder: Path
    keep: bool


@contextmanager
def unfinished_run(
    run: Path, options: TrainOptions, digest: str, *, resumable: bool
) -> Iterator[UnfinishedRun]:
    """Open and lock the working folder of a training, `.RUN.unfinished` beside the run.

    It still holds an interrupted training if that is resumable and had the same settings: options, dataset
    and edgeloop's version. Otherwise it is empty. A line in the log says which.

    Args:
        run: Folder that the training creates in the end.
        options: Options of the training.
        digest: Digest of the dataset.
        resumable: The trainer can continue an interrupted training.

    Yields:
        The folder, removed afterwards unless it is to be kept.

    Raises:
        DataError: Another training uses the folder.
    """
    folder = run.with_name(f".{run.name}.unfinished")
    folder.mkdir(exist_ok=True)
    settings = {key: value for key, value in asdict(options).items() if key not in _WITHOUT_EFFECT}
    settings |= {"dataset": digest, "edgeloop": version("edgeloop")}
    with locked_folder(folder, f"{run}: another training of this run is going on; end it first"):
        unfinished = UnfinishedRun(folder, keep=_continues(run, folder, settings, resumable=resumable))
        if not unfinished.keep:
            (folder / _SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        try:
            yield unfinished
        finally:
            if not (unfinished.keep and _contents(folder)):
                shutil.rmtree(folder, ignore_errors=True)


def _continues(run: Path, folder: Path, settings: dict[str, Any], *, resumable: bool) -> bool:
    """True if the folder holds an interrupted training with these settings; other contents are removed."""
    found = _contents(folder)
    changed = _changed(folder / _SETTINGS, settings)
    if found and resumable and not changed:
        _log.warning("%s: continues an interrupted training", run)
        return True
    if found and changed:
        _log.warning("%s: starts anew, because %s changed", run, ", ".join(changed))
    (folder / _EPOCHS).unlink(missing_ok=True)
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return False


def _contents(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name not in (_SETTINGS, _EPOCHS)]


def _changed(path: Path, settings: dict[str, Any]) -> list[str]:
    """Names of the settings that differ from those in a file."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = None
    if not isinstance(earlier, dict):
        return ["its settings"]
    return sorted(key for key in earlier.keys() | settings.keys() if earlier.get(key) != settings.get(key))
