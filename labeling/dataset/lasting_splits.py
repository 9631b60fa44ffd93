"""Parts of frames that hold for ever, in a file, while frames are added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.host.durable_file import replace_file
from edgeloop.labeling.dataset.split import NEAR_BITS, NEAR_FRAMES, Split, split_frames
from edgeloop.labeling.frames.perceptual_hash import nearest_hashes
from edgeloop.labeling.frames.recordings import FrameGroups
from edgeloop.models.errors import DataError, describe_damage

__all__ = ["lasting_splits", "read_splits"]

_SPLITS = TypeAdapter(dict[str, Split])
_OTHER = {Split.TRAIN: Split.VAL, Split.VAL: Split.TRAIN}


def read_splits(path: Path) -> dict[str, Split]:
    """Read the part of each frame by its name; empty if there is no file yet.

    Raises:
        DataError: It is malformed.
    """
    if not path.is_file():
        return {}
    try:
        return _SPLITS.validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise DataError(
            f"{describe_damage(path, error)}; expected a JSON object of frames and their parts (train, val, "
            "gap), restore it from a copy"
        ) from error


def lasting_splits(
    path: Path,
    entries: Sequence[FrameEntry],
    groups: FrameGroups,
    *,
    val_share: float,
    gap_share: float,
    seed: int,
) -> list[Split]:
    """Take the parts of known frames from a file, split the others, and add these to the file.

    New frames are split among themselves as of `split_frames`. Unless `gap_share` is 0, one that is next to,
    or looks like, a known frame of the other part is left out, so that no detector is judged on frames that
    it nearly learned from.

    Args:
        path: The file; created if it is missing.
        entries: Frames in time order, known and new.
        groups: Groups of these frames.
        val_share: As of `split_frames`.
        gap_share: As of `split_frames`.
        seed: As of `split_frames`.

    Returns:
        The split of each entry.

    Raises:
        DataError: The file is malformed.
        UnavailableError: It cannot be written.
    """
    known = read_splits(path)
    new = [place for place, entry in enumerate(entries) if entry.name not in known]
    if not new:
        return [known[entry.name] for entry in entries]
    made = dict(
        zip(
            new,
            split_frames(
                [entries[place] for place in new], _only(groups, new),
                val_share=val_share, gap_share=gap_share, seed=seed,
            ),
            strict=True,
        )
    )  # fmt: skip
    if gap_share > 0:
        old = {place: known[entry.name] for place, entry in enumerate(entries) if entry.name in known}
        for place in _leaks(entries, groups, old, made):
            made[place] = Split.GAP
    known |= {entries[place].name: split for place, split in made.items()}
    content = {name: split.value for name, split in known.items()}
    replace_file(path, (json.dumps(content, indent=0) + "\n").encode())
    return [known[entry.name] for entry in entries]


def _only(groups: FrameGroups, places: Sequence[int]) -> FrameGroups:
    """Groups of some of the frames, in which they are numbered anew."""
    numbers = {place: number for number, place in enumerate(places)}
    own = ([numbers[place] for place in group if place in numbers] for group in groups.groups)
    return FrameGroups(groups.kind, [group for group in own if group], groups.codes[list(places)])


def _leaks(
    entries: Sequence[FrameEntry],
    groups: FrameGroups,
    old: Mapping[int, Split],
    made: Mapping[int, Split],
) -> list[int]:
    """Find new frames that are next to, or look like, an old one of the other part.

    In film, looks count only if fewer than half of the new frames of a part would go: a fixed camera on an
    empty place repeats itself.
    """
    found: list[int] = []
    for part, other in _OTHER.items():
        own = np.array([place for place, split in made.items() if split is part], np.int64)
        rivals = np.array([place for place, split in old.items() if split is other], np.int64)
        if not len(own) or not len(rivals):
            continue
        near = _near(entries, own, rivals)
        alike = near | (nearest_hashes(groups.codes[own], groups.codes[rivals])[1] <= NEAR_BITS)
        photos = groups.kind == "photos"
        found += own[alike if photos or 2 * int(alike.sum()) <= len(own) else near].tolist()
    return found


def _near(
    entries: Sequence[FrameEntry], own: NDArray[np.int64], rivals: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which frames are a few frames from a rival in their source."""
    indices: dict[str, list[int]] = {}
    for place in rivals.tolist():
        indices.setdefault(entries[place].source, []).append(entries[place].index)
    ordered = {source: np.sort(np.array(each, np.int64)) for source, each in indices.items()}
    return np.array([_is_near(entries[place], ordered) for place in own.tolist()], np.bool_)


def _is_near(entry: FrameEntry, indices: Mapping[str, NDArray[np.int64]]) -> bool:
    if entry.source not in indices:
        return False
    around = indices[entry.source]
    at = int(np.searchsorted(around, entry.index))
    return bool((abs(around[max(0, at - 1) : at + 1] - entry.index) <= NEAR_FRAMES).any())
