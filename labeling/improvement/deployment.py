"""Way of a generation that passed the gate to the device, by the store of a service or in the loop alone."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.ring_database import Ring
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.probation.comparison import count_matches
from edgeloop.edge.service.store.admission import admit_model
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.labeling.lineage.generation import Generation, Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder

__all__ = ["agreement_on_ring", "follow_store", "put_into_store"]

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


def follow_store(loop: LoopFolder, store: ModelStore) -> str | None:
    """Make the generation that a service runs the one in use, whether it was promoted or returned to.

    Those that the service gave up are refused.

    Returns:
        What changed, or what the service runs instead, in one line; None if it runs the one in use.
    """
    state, generations, in_use = store.read(), loop.generations(), loop.current()
    if state.current is None:
        return None
    digest = state.current.digest
    running = next((each for each in reversed(generations) if each.digests.bundle == digest), None)
    if running is None:
        if in_use is None:
            return None
        return (
            f"{store.name} runs a model that is no generation of this loop ({digest[:12]}); compares with "
            f"generation {in_use.number} all the same; edgeloop shadow {loop.bundle(in_use.number)} puts it "
            "there"
        )
    if in_use is not None and in_use.number == running.number and running.verdict == "promoted":
        return None
    had = {change.digest for change in state.history}
    later = [each for each in generations if each.number > running.number and each.verdict == "promoted"]
    if absent := [each.number for each in later if each.digests.bundle not in had]:
        return (
            f"{store.name} runs generation {running.number} and never had generation {absent[-1]}, the one "
            f"in use in the loop; edgeloop shadow {loop.bundle(absent[-1])} puts it there"
        )
    why = next((each.reason for each in reversed(state.history) if each.action == "rolled back"), "")
    for each in later:
        _record(loop, each, "refused", f"given up by {store.name}{why and f': {why}'}")
    if running.verdict != "promoted":
        _record(loop, running, "promoted", f"promoted by {store.name}")
    loop.promote(running.number)
    if later:
        return (
            f"Generation {running.number}: {store.name} has returned to it from generation {later[-1].number}"
        )
    return f"Generation {running.number}: {store.name} has promoted it"


def _record(loop: LoopFolder, generation: Generation, verdict: Verdict, reason: str) -> None:
    changed = {"verdict": verdict, "reason": f"{generation.reason}; {reason}"}
    loop.write_generation(generation.model_copy(update=changed))


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
