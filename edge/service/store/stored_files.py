"""Files of a store: each model by its digest, with the facts of an engine beside it.

The digest of an ONNX file is its SHA-256. That of another engine's file is the SHA-256 of its facts, which
carry that of the file: other facts beside the same file make another model.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.service.store.store_state import InstalledModel
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.weights.digest import file_sha256

__all__ = ["StoredFiles", "held_file"]


class StoredFiles:
    """Folder of the files of a store."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it need not exist."""
        self._folder = folder

    def path(self, model: InstalledModel) -> Path:
        """Path of the file of a model."""
        return self._folder / f"{model.digest}{model.suffix}"

    def is_whole(self, model: InstalledModel) -> bool:
        """True if the file of a model is there with its facts, and both have the digest."""
        path = self.path(model)
        try:
            if not model.has_facts:
                return file_sha256(path) == model.digest
            facts = facts_path(path).read_bytes()
            if hashlib.sha256(facts).hexdigest() != model.digest:
                return False
            return bool(file_sha256(path) == json.loads(facts)["sha256"])
        except OSError:
            return False

    def make(self) -> None:
        """Create the folder.

        Raises:
            UnavailableError: It cannot be created.
        """
        make_folder(self._folder)

    def write(self, model: InstalledModel, content: bytes, facts: bytes) -> None:
        """Write the file of a model, and its facts if it has some.

        Raises:
            UnavailableError: It cannot be written.
        """
        path = self.path(model)
        if model.has_facts:
            replace_file(facts_path(path), facts)
        replace_file(path, content)

    def clean(self, kept: Iterable[InstalledModel]) -> None:
        """Remove the files of other models, unless somebody holds them."""
        models = {self.path(model) for model in kept}
        with suppress(OSError):  # what stays costs space and nothing else
            found = set(self._folder.iterdir())
            # Facts go with their file, which alone is held.
            beside = {facts_path(path) for path in found | models} & found
            for path in found - models - beside:
                _remove_unheld(path)


@contextmanager
def held_file(path: Path) -> Iterator[None]:
    """Keep a file and its facts on disk while it is in use, also if the state names it no longer.

    Raises:
        OSError: There is no such file.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _remove_unheld(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            facts_path(path).unlink(missing_ok=True)
            path.unlink()
    finally:
        os.close(descriptor)
