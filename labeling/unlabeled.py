"""Frames that a labeling job has not labeled yet."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.frames.frame_store import FrameStore, image_digest
from edgeloop.labeling.ledger import Ledger

__all__ = ["unlabeled_frames"]


def unlabeled_frames(
    entries: Sequence[FrameEntry], store: FrameStore, ledger: Ledger
) -> list[tuple[FrameEntry, str]]:
    """Find the frames that are left; of a frame that was written again, the content counts.

    One that could not be read or handled is tried again, after those that have not been tried: a full memory
    or a disk out of reach is none of its faults.

    Args:
        entries: All frames of the job.
        store: Where they are.
        ledger: Those that were tried; new stamps are noted there.

    Returns:
        Each frame that is left, with the stamp of its image.
    """
    known = ledger.stamps()
    left, failed = [], []
    for entry in entries:
        stamp = store.stamp(entry.file)
        then, digest = known.get(entry.name, (None, ""))
        if then is not None and not digest:
            failed.append((entry, stamp))
        elif then is not None and then != stamp and _digest(store, entry.file) == digest:
            ledger.restamp(entry.name, stamp)
        elif then != stamp:
            left.append((entry, stamp))
    return left + failed


def _digest(store: FrameStore, file: str) -> str | None:
    try:
        return image_digest(store, file)
    except OSError:
        return None
