"""Copies of single frames of a store, for what needs files of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.labeling.frames.address_store import AddressStore

__all__ = ["FetchedFrames"]


class FetchedFrames:
    """See `RemoteFolder`: images are fetched when they are asked for, and again only if they changed.

    Attributes:
        folder: See `RemoteFolder.folder`.
    """

    def __init__(self, store: AddressStore, folder: Path) -> None:
        """Take up the copies of an earlier run that are still those of the store.

        Args:
            store: The frames.
            folder: Folder of the copies, created if one is needed. Beside it is one of their stamps.
        """
        self.folder = folder
        self._store = store
        self._stamps = folder.with_name(f"{folder.name}-stamps")
        for copy in folder.iterdir() if folder.is_dir() else ():
            if self._stamp(copy.name) != store.stamp(copy.name):
                copy.unlink()

    def __str__(self) -> str:
        """Name of the store."""
        return str(self._store)

    def names(self) -> Iterable[str]:
        """See `RemoteFolder.names`."""
        return self._store.images()

    def path(self, name: str) -> Path:
        """See `RemoteFolder.path`.

        Raises:
            UnavailableError: The storage does not answer.
            UnavailableError: The copy cannot be written.
        """
        copy = self.folder / name
        stamp = self._store.stamp(name)
        if stamp and not copy.exists():
            with suppress(OSError):
                self._fetch(copy, self._store.read(name), stamp)
        return copy

    def _fetch(self, copy: Path, data: bytes, stamp: str) -> None:
        make_folder(self.folder)
        make_folder(self._stamps)
        replace_file(self._stamps / copy.name, stamp.encode())  # a copy is there only with its stamp
        replace_file(copy, data)

    def _stamp(self, name: str) -> str:
        """Stamp of a copy; "?" if it is unknown."""
        try:
            return (self._stamps / name).read_text("utf-8")
        except OSError:
            return "?"
