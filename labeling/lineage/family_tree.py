"""History of a loop: the family tree of its generations, and whether their files are still what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.run_record import read_record
from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.lineage.generation import Generation, HeldOutScores
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.errors import EdgeloopError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["History", "find_changes", "read_history", "tree_lines"]


@dataclass(frozen=True, slots=True)
class History:
    """Generations of a loop.

    Attributes:
        generations: All that are finished, in order.
        current: Number of the one in use; None before the first.
        changes: Files that are not what they were, one line each.
        new_exemplars: sha256 of the person's boxes if they are others than the last generation learned from.
    """

    generations: tuple[Generation, ...]
    current: int | None
    changes: tuple[str, ...]
    new_exemplars: str | None


def read_history(loop: LoopFolder) -> History:
    """Read the generations of a loop and check the digests of their files.

    Raises:
        DataError: A record is damaged.
    """
    generations, current = loop.generations(), loop.current()
    damage, exemplars = [], None
    if generations:
        try:
            exemplars = read_exemplars(loop.exemplars, loop.frames).digest()
        except EdgeloopError as error:
            damage.append(str(error))
    return History(
        generations,
        None if current is None else current.number,
        (
            *_broken_links(generations),
            *(line for each in generations for line in find_changes(loop, each)),
            *_changed_frames(loop, generations),
            *damage,
        ),
        None if not generations or exemplars == generations[-1].digests.exemplars else exemplars,
    )


def find_changes(loop: LoopFolder, generation: Generation) -> list[str]:
    """Compare the files of a generation with the digests in its record: one line for each that differs."""
    folder, digests = loop.generation_folder(generation.number), generation.digests
    found = []
    try:
        run = read_record(folder / "run")
        data = open_dataset(folder / "dataset", task=run.task)
    except EdgeloopError as error:
        return [f"generation {generation.number}: {error}"]
    if data.digest != digests.dataset:
        found.append(_differs(generation, folder / "dataset", digests.dataset, data.digest))
    if run.dataset_sha256 != digests.dataset:
        told = "names another dataset than the record of the generation"
        found.append(f"generation {generation.number}: {folder / 'run' / 'run.json'} {told}")
    files = {folder / "run" / run.weights_file: digests.weights}
    if digests.bundle is not None:
        files[loop.bundle(generation.number)] = digests.bundle
    for path, digest in files.items():
        now = _digest(path)
        if now != digest:
            found.append(_differs(generation, path, digest, now))
    return found


def _changed_frames(loop: LoopFolder, generations: Sequence[Generation]) -> list[str]:
    """Compare the frames of the loop with their copies in the datasets, whose digests are in the records."""
    copies: dict[str, tuple[int, Path]] = {}
    for each in generations:
        for path in sorted((loop.generation_folder(each.number) / "dataset" / "images").glob("*/*")):
            copies[path.name] = each.number, path
    return [
        f"{loop.frames / name} was changed since generation {number} learned from it or was judged on it; "
        f"{path} is its copy"
        for name, (number, path) in copies.items()
        if (loop.frames / name).is_file() and not cmp(loop.frames / name, path, shallow=False)
    ]


def _broken_links(generations: Sequence[Generation]) -> list[str]:
    """Find generations whose parent is not what it was when they were made."""
    known = {each.number: each for each in generations}
    found = []
    for each in generations:
        if each.parent is None:
            continue
        parent = known.get(each.parent)
        if parent is None:
            found.append(f"generation {each.number}: its parent, generation {each.parent}, is gone")
        elif each.digests.parent_bundle != parent.digests.bundle:
            found.append(
                f"generation {each.number}: was compared with another bundle than generation {each.parent}'s"
            )
        elif each.digests.start_weights not in (None, parent.digests.weights):
            found.append(
                f"generation {each.number}: began with other weights than generation {each.parent}'s"
            )
    return found


def _digest(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _differs(generation: Generation, path: Path, before: str, now: str | None) -> str:
    said = "is gone" if now is None else f"was changed: {now[:12]}"
    return f"generation {generation.number}: {path} {said}, expected {before[:12]}"


def tree_lines(history: History) -> list[str]:
    """Draw the family tree: a line for each generation, below its parent, and one for what was decided."""
    children: dict[int | None, list[Generation]] = {}
    known = {each.number for each in history.generations}
    for each in history.generations:
        children.setdefault(each.parent if each.parent in known else None, []).append(each)
    lines: list[str] = []

    def draw(generation: Generation, first: str, rest: str) -> None:
        lines.append(first + _facts(generation, in_use=generation.number == history.current))
        below = children.get(generation.number, [])
        lines.append(f"{rest}{'|' if below else ' '}   {generation.reason}")
        for place, child in enumerate(below):
            last = place == len(below) - 1
            draw(child, f"{rest}{'`-' if last else '|-'}", f"{rest}{'  ' if last else '| '}")

    for root in children.get(None, []):
        draw(root, "", "")
    if history.new_exemplars is not None:
        lines.append(
            f"exemplars: others than generation {history.generations[-1].number} learned from; the next "
            "`edgeloop improve` learns from them"
        )
    return lines


def _facts(generation: Generation, *, in_use: bool) -> str:
    parts = [
        f"{generation.number}{' (in use)' if in_use else ''}",
        f"{generation.created[:16].replace('T', ' ')}",
        f"{generation.frames} frames ({generation.new_frames} new, {generation.by_person} by a person)",
        *(_scores(name, each) for name, each in (("old", generation.old), ("new", generation.new)) if each),
    ]
    if generation.recall is not None:
        parts.append(f"recall of the device before {generation.recall:.2f}")
    return "  ".join((*parts, generation.verdict))


def _scores(name: str, scores: HeldOutScores) -> str:
    before = "" if scores.parent is None else f"{scores.parent:.3f} -> "
    return f"mAP50 {name} {before}{scores.own:.3f}"
