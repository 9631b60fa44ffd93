"""Way of a generation that passed the gate to the device, by the store of a service or in the loop alone."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.ring_database import Ring
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.probation.comparison import count_matches
from edgeloop.edge.service.store.admission import admit_model
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.labeling.lineage.generation import Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder

__all__ = ["agreement_on_ring", "put_into_store", "take_over_from_store"]

_MOST_COMPARED = 100


def put_into_store(loop: LoopFolder, number: int, store: ModelStore) -> tuple[Verdict, str]:
    """Put the bundle of a generation into the store of a service: in shadow, or as the first model.

    Returns:
        "shadow", or "promoted" if it is the first model there, and where it is in words.

    Raises:
        ModelError: The bundle computes something else on this machine.
        DataError: The store is in use or damaged.
    """
    admitted = admit_model(loop.bundle(number))
    current = store.read().current
    if current is None:
        store.install(admitted.model, admitted.content, admitted.facts)
        return "promoted", f"installed as the first model of {store.name}"
    if current.digest == admitted.model.digest:  # put there before this process was killed
        return "promoted", f"current model of {store.name}"
    store.shadow(admitted.model, admitted.content, admitted.facts)
    return "shadow", f"in shadow as {store.name}; edgeloop promote makes it current if its figures hold"


def take_over_from_store(loop: LoopFolder, store: ModelStore) -> int | None:
    """Promote the generation in shadow that became the current model of a service.

    Returns:
        Its number; None if there is none.
    """
    current = store.read().current
    for generation in reversed(loop.generations()):
        is_current = current is not None and generation.digests.bundle == current.digest
        if generation.verdict == "shadow" and is_current:
            reason = f"{generation.reason}; promoted by {store.name}"
            loop.write_generation(generation.model_copy(update={"verdict": "promoted", "reason": reason}))
            loop.promote(generation.number)
            return generation.number
    return None


def agreement_on_ring(bundle: Path, parent: Path, ring: Ring) -> tuple[int, float] | None:
    """Compare two bundles on frames of a ring, as a shadow does on a device.

    Args:
        bundle: The candidate.
        parent: The bundle in use.
        ring: The ring; up to 100 of its frames are looked at, spread evenly.

    Returns:
        Number of frames, and the share of boxes that both have: 2 * matched / all boxes of both; None
        without a frame that can be read, or a box.
    """
    detectors = [Detector(path, provider="cpu") for path in (parent, bundle)]
    step = -(-len(ring.entries) // _MOST_COMPARED) or 1
    frames = matched = boxes = 0
    for entry in ring.entries[::step]:
        path = ring.path(entry)
        image = read_image(path) if path.is_file() else None
        if image is None:  # the device evicted it meanwhile
            continue
        current, candidate = (each.detect(image) for each in detectors)
        frames += 1
        matched += count_matches(current, detectors[0].names, candidate, detectors[1].names)
        boxes += len(current) + len(candidate)
    return (frames, 2 * matched / boxes) if boxes else None
