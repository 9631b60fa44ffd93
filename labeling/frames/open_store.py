"""Frames as they are named: a folder, or an address."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.source_name import is_address
from edgeloop.labeling.frames.address_store import AddressStore
from edgeloop.labeling.frames.fetched_frames import FetchedFrames
from edgeloop.labeling.frames.frame_store import FolderStore, FrameStore
from edgeloop.labeling.inputs.frames_folder import FramesFolder

__all__ = ["open_frames"]


def open_frames(frames: Path | str, copies: Path) -> tuple[FrameStore, FramesFolder]:
    """Open a place of frames.

    Args:
        frames: Folder, or address such as s3://bucket/folder.
        copies: Folder for images of an address that are needed as files; created if it is one.

    Returns:
        Where frames are read from, and the folder that exemplars are matched with.

    Raises:
        NoInputError: There is no such bucket or folder.
        UsageError: The address is not one of object storage, or holds a password.
        UnavailableError: A package is missing, or the storage refuses access or does not answer.
    """
    if isinstance(frames, str) and is_address(frames):
        store = AddressStore(frames)
        return store, FetchedFrames(store, copies)
    return FolderStore(Path(frames)), Path(frames)
