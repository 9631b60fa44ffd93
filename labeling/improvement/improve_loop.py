"""Improvement of a loop: frames of the ring come home, and the next generation is made from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeloop.edge.frames.folder import FRAME_LIST, read_frames
from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.ring.ring_database import RING_FILE, Ring, read_ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.labeling.dataset.apply_decisions import decisions_digest, read_info
from edgeloop.labeling.dataset.decisions import read_decisions
from edgeloop.labeling.dataset.json_stream import read_entries
from edgeloop.labeling.dataset.lasting_splits import read_splits
from edgeloop.labeling.improvement.chosen_frames import (
    Rank,
    choose_frames,
    copy_frames,
    read_chosen,
    write_chosen,
)
from edgeloop.labeling.improvement.deployment import agreement_on_ring, follow_store, put_into_store
from edgeloop.labeling.improvement.loop_teacher import open_teacher
from edgeloop.labeling.improvement.make_generation import (
    GenerationOptions,
    label_generation,
    labeling_plan,
    make_locked,
    next_number,
)
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.lineage.generation import Generation, Verdict
from edgeloop.labeling.lineage.generation_lock import generation_lock
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.mining.mine import mine_ring
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import NoInputError

__all__ = ["MOST_MISSING", "Asked", "ImproveOptions", "improve_loop"]

MOST_MISSING = 0.25
"""Share of the labels of a frame that may be expected to be missing, as of `LabelPlan.most_missing`."""

_FROM_RING, _ASKED = "from_ring.json", "asked.json"
_SHOWN = "dataset"  # link to what the studio shows in its folder


@dataclass(frozen=True, slots=True)
class ImproveOptions:
    """Options of an improvement.

    Attributes:
        ring: Ring of the device, or a copy of it; None for the one in the loop, if there is one.
        frames: Maximum number of frames to take from the ring.
        ask: Stop once after labeling if labels are unsure, so that a person can decide on them.
        store: Store of a service that gets the bundle; None promotes it in the loop alone.
        generation: Options of the generation.
    """

    ring: Path | None = None
    frames: int = 200
    ask: bool = False
    store: ModelStore | None = None
    generation: GenerationOptions = field(
        default_factory=lambda: GenerationOptions(most_missing=MOST_MISSING)
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Question to a person: labels that are unsure.

    Attributes:
        frames: Frames with unsure labels that nobody decided on.
        labels: Number of these labels.
        command: Command line that shows them.
    """

    frames: int
    labels: int
    command: str


def improve_loop(
    loop: LoopFolder, options: ImproveOptions, tell: Callable[[str], None] = lambda _: None
) -> Generation | Asked:
    """Make the next generation from frames of the ring; killed at any moment, the same call goes on.

    Args:
        loop: Loop with a generation in use.
        options: Options.
        tell: Called with lines about the progress.

    Returns:
        The record of the generation, promoted or refused; or the question to a person at which it stopped.

    Raises:
        NoInputError: There is no generation in use, no such ring, or nothing new to learn from.
        DataError: Another process makes a generation of this loop, or a file is damaged.
        EdgeloopError: See `make_generation`.
    """
    with generation_lock(loop):
        if options.store is not None:
            told = follow_store(loop, options.store)
            if told is not None:
                tell(told)
        parent = loop.current()
        if parent is None:
            raise NoInputError(f"{loop.root}: no generation to improve on; edgeloop teach makes the first")
        folder, ring = loop.generation_folder(next_number(loop)), _ring(loop, options)
        if not (folder / "dataset").exists():
            make_folder(folder)
            if ring is not None:
                _bring_home(loop, ring, folder, options, tell)
            _check_news(loop, folder)
        chosen = read_chosen(folder / _FROM_RING)
        settings = replace(options.generation, recall=None if chosen is None else chosen.recall)
        dataset = label_generation(loop, settings, tell)
        asked = _ask(loop, folder, dataset) if options.ask else None
        if asked is not None:
            return asked
        _take_decisions(loop, folder, dataset)

        def deploy(loop: LoopFolder, number: int) -> tuple[Verdict, str]:
            return _deploy(loop, number, parent, ring, options.store)

        return make_locked(loop, replace(settings, deploy=deploy), tell)


def _ring(loop: LoopFolder, options: ImproveOptions) -> Ring | None:
    if options.ring is not None:
        return read_ring(options.ring)
    return read_ring(loop.ring) if (loop.ring / RING_FILE).is_file() else None


def _bring_home(
    loop: LoopFolder,
    ring: Ring,
    folder: Path,
    options: ImproveOptions,
    tell: Callable[[str], None],
) -> None:
    """Choose frames once for each generation, and copy those that are not there yet."""
    chosen = read_chosen(folder / _FROM_RING)
    if chosen is None:
        seed = options.generation.seed + next_number(loop)
        drawn_on = {frame.path.name for frame in read_inputs(labeling_plan(loop), loop.frames, ()).drawn}
        rank = _by_teacher(loop, options.generation.progress)
        chosen = choose_frames(ring, loop.frames, options.frames, rank, seed=seed, drawn_on=drawn_on)
        write_chosen(folder / _FROM_RING, chosen)
    copied = copy_frames(ring, chosen, loop.frames) if chosen.files else None
    if copied is not None:
        tell(
            f"{copied.copied} frames from {ring.folder}: {chosen.random} drawn at random, "
            f"{len(chosen.files) - chosen.random} by rank; {chosen.known} were there, "
            f"{copied.vanished} are gone"
        )


def _check_news(loop: LoopFolder, folder: Path) -> None:
    """Refuse to make again what was made already.

    A generation that the gate refused may be tried again, with other options.
    """
    last = max(loop.generations(), key=lambda each: each.number)
    listed = read_frames(loop.frames) if (loop.frames / FRAME_LIST).is_file() else ()
    known = read_splits(loop.splits)
    if last.verdict == "refused" or any(entry.name not in known for entry in listed):
        return
    plan = labeling_plan(loop)
    now = read_inputs(plan, loop.frames, ()).digests()["exemplars"]
    dataset = loop.generation_folder(last.number) / "dataset"
    before = read_info(dataset)
    if now != last.digests.exemplars or before.get("decisions", "") != _decisions(loop):
        return
    (folder / _FROM_RING).unlink(missing_ok=True)  # the ring may have more next time
    raise NoInputError(
        f"{loop.root}: nothing new to learn from; expected a --ring with frames that the loop does not have, "
        "further exemplars or decisions"
    )


def _decisions(loop: LoopFolder) -> str:
    return decisions_digest(read_decisions(loop.decisions)) if loop.decisions.is_file() else ""


def _ask(loop: LoopFolder, folder: Path, dataset: Path) -> Asked | None:
    """Ask once for each generation, if a label is unsure."""
    if (folder / _ASKED).is_file():
        return None
    decided = set()
    if loop.decisions.is_file():
        decided = {decision.file for decision in read_decisions(loop.decisions)}
    entries = read_entries(dataset / "review.json", "unsure")
    files = [str(each["file"]) for each in entries if isinstance(each, dict)]
    unsure = [file for file in files if file not in decided]
    if not unsure:
        return None
    _show_in_studio(loop, dataset)
    replace_file(folder / _ASKED, json.dumps({"decisions": _decisions(loop)}).encode())
    return Asked(len(set(unsure)), len(unsure), f"edgeloop studio {loop.frames} -o {loop.root}")


def _show_in_studio(loop: LoopFolder, dataset: Path) -> None:
    """Link the dataset to where `edgeloop studio -o LOOP` looks for it; it keeps decisions in the loop."""
    link, partial = loop.root / _SHOWN, loop.root / f"{_SHOWN}.part"
    partial.unlink(missing_ok=True)
    partial.symlink_to(dataset.relative_to(loop.root))
    partial.replace(link)


def _take_decisions(loop: LoopFolder, folder: Path, dataset: Path) -> None:
    """Make the dataset anew if a person decided something since it was shown, also on frames left out of it.

    The teacher is kept with what it found, so that this takes moments. The studio does not show the dataset
    from now on: a decision would change what the training learns from.
    """
    if (loop.root / _SHOWN).is_symlink():
        (loop.root / _SHOWN).unlink()
    if (folder / _ASKED).is_file() and not (folder / "run").exists():
        shown = json.loads((folder / _ASKED).read_bytes())["decisions"]
        if shown != _decisions(loop) and read_info(dataset)["parents"].get("decisions", "") == shown:
            shutil.rmtree(dataset)


def _deploy(
    loop: LoopFolder, number: int, parent: Generation, ring: Ring | None, store: ModelStore | None
) -> tuple[Verdict, str]:
    said = []
    bundles = loop.bundle(number), loop.bundle(parent.number)
    agreed = None if ring is None else agreement_on_ring(*bundles, ring)
    if agreed is not None:
        frames, share = agreed
        said.append(f"agrees with generation {parent.number} on {share:.0%} of the boxes of {frames} frames")
    verdict: Verdict = "promoted"
    if store is not None:
        verdict, where = put_into_store(loop, number, store)
        said.append(where)
    return verdict, "; ".join(said)


def _by_teacher(loop: LoopFolder, progress: Progress | None) -> Rank:
    """Rank frames by what the teacher finds there and the device did not."""

    def rank(ring: Ring) -> tuple[Sequence[RingEntry], float | None]:
        teacher, names = open_teacher(loop, progress)
        with (progress or no_progress)(len(ring.entries), "Mining") as advance:
            mined = mine_ring(ring, teacher, names, seed=loop.settings.seed, advance=advance)
        current = loop.current()
        is_own = current is not None and mined.estimate.model == current.digests.bundle
        return [each.entry for each in mined.ranked()], mined.estimate.whole.recall.value if is_own else None

    return rank
