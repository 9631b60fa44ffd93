"""Frames that earlier generations have learned from, and the record of a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.train.run_record import RunRecord
from edgeloop.labeling.dataset.apply_decisions import read_info
from edgeloop.labeling.dataset.decisions import read_decisions
from edgeloop.labeling.dataset.read import read_instances
from edgeloop.labeling.improvement.generation_gate import Judgment
from edgeloop.labeling.lineage.generation import Generation, Parents, Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.errors import DataError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["Made", "seen_frames", "write_record"]


@dataclass(frozen=True, slots=True)
class Made:
    """Generation whose files are there, without a record.

    Attributes:
        number: Its number.
        parent: Generation that it was trained from; None for the first.
        run: Record of its training.
        data: Its dataset.
        judgment: Judgment of its bundle.
        recall: Estimated recall of the parent on the device; None if unknown.
    """

    number: int
    parent: Generation | None
    run: RunRecord
    data: Dataset
    judgment: Judgment
    recall: float | None


def seen_frames(loop: LoopFolder, generation: Generation | None) -> frozenset[str]:
    """Names of the images that a generation or one of its parents learned from or was judged on."""
    known = {each.number: each for each in loop.generations()}
    names: set[str] = set()
    while generation is not None:
        dataset = loop.generation_folder(generation.number) / "dataset"
        if not dataset.is_dir():
            raise DataError(
                f"{dataset}: is gone; without it nobody knows which frames generation {generation.number} "
                "learned from; restore it"
            )
        names.update(path.name for path in dataset.glob("images/*/*"))
        generation = None if generation.parent is None else known.get(generation.parent)
    return frozenset(names)


def write_record(loop: LoopFolder, made: Made, verdict: Verdict, reason: str) -> Generation:
    """Write the record of a generation, which makes it a finished one."""
    folder, parent = loop.generation_folder(made.number), made.parent
    bundle = loop.bundle(made.number)
    train = {image.path.name for image in made.data.train}
    generation = Generation(
        number=made.number,
        parent=None if parent is None else parent.number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        names=made.data.names,
        digests=Parents(
            exemplars=read_info(made.data.root)["parents"]["exemplars"],
            dataset=made.data.digest,
            weights=file_sha256(folder / "run" / made.run.weights_file),
            bundle=file_sha256(bundle) if bundle.is_file() else None,
            start_weights=made.run.start_weights_sha256,
            parent_bundle=None if parent is None else parent.digests.bundle,
        ),
        frames=len(train),
        new_frames=len(train - seen_frames(loop, parent)),
        by_person=len(train & _by_person(loop, made.data.root)),
        old=made.judgment.old,
        new=made.judgment.new,
        recall=made.recall,
        verdict=verdict,
        reason=reason,
    )
    loop.write_generation(generation)
    return generation


def _by_person(loop: LoopFolder, dataset: Path) -> set[str]:
    """Names of frames that a person drew or decided on."""
    drawn = {Path(image.file_name).name for image in read_instances(dataset).images if image.by_person}
    decisions = read_decisions(loop.decisions) if loop.decisions.is_file() else []
    return drawn | {decision.file for decision in decisions}
