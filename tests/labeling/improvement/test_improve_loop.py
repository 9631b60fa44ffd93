"""A loop improves: frames of the ring come home, and a killed improvement goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.export.train.run_record import read_record
from edgeloop.export.trainer import TrainStep
from edgeloop.labeling.dataset.apply_decisions import read_info
from edgeloop.labeling.improvement.improve_loop import Asked, ImproveOptions, improve_loop
from edgeloop.labeling.lineage.family_tree import read_history
from edgeloop.labeling.lineage.generation import Generation
from edgeloop.labeling.lineage.generation_lock import generation_lock
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.bundle.document import read_document
from edgeloop.models.errors import DataError, NoInputError
from tests.labeling.improvement.conftest import FIRST, LATER, QUICK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]
OPTIONS = ImproveOptions(generation=replace(QUICK, epochs=4, tolerance=0.3))


def killed_at(step: int) -> Callable[[TrainStep], None]:
    def stop(now: TrainStep) -> None:
        if now.step >= step:
            raise KeyboardInterrupt

    return stop


@pytest.fixture(scope="module")
def improved(loop: LoopFolder) -> Generation:
    """Second generation, of which the first try was killed in its training."""
    killed = replace(OPTIONS, generation=replace(OPTIONS.generation, on_step=killed_at(3)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)
        with pytest.raises(KeyboardInterrupt):
            improve_loop(loop, killed)
        assert len(loop.generations()) == 1
        dataset = loop.generation_folder(2) / "dataset" / "instances.json"
        written = dataset.stat().st_mtime_ns
        told: list[str] = []
        made = improve_loop(loop, OPTIONS, told.append)
    assert isinstance(made, Generation)
    assert dataset.stat().st_mtime_ns == written, "it was labeled again"
    assert not any("labels the frames" in line for line in told)
    return made


def test_a_generation_names_its_parents_by_digest(loop: LoopFolder, improved: Generation) -> None:
    first = loop.generations()[0]
    assert improved.parent == 1
    assert improved.digests.start_weights == first.digests.weights
    assert improved.digests.parent_bundle == first.digests.bundle
    run = read_record(loop.generation_folder(2) / "run")
    assert (run.start_weights_sha256, run.weights_sha256) == (first.digests.weights, improved.digests.weights)
    document = read_document(open_engine(loop.bundle(2), provider="cpu", allow_cpu=True).metadata)
    assert document is not None
    assert document.record.parents is not None
    assert document.record.parents.bundle_sha256 == first.digests.bundle
    parents = read_info(loop.generation_folder(2) / "dataset")["parents"]
    assert parents["exemplars"] == improved.digests.exemplars
    assert len(parents["frames"]) == len(parents["decisions"]) == 64
    assert read_history(loop).changes == ()


def test_frames_of_the_ring_are_learned_from_and_judged_on(loop: LoopFolder, improved: Generation) -> None:
    assert improved.new_frames + (improved.new.frames if improved.new else 0) <= len(LATER)
    assert improved.new_frames > 0
    assert improved.frames > improved.new_frames, "nothing is rehearsed"
    assert improved.by_person == improved.frames
    assert improved.old is not None
    assert improved.old.parent is not None
    current = loop.current()
    assert current is not None
    assert current.number == (2 if improved.verdict == "promoted" else 1)


def test_the_part_of_a_frame_never_changes(loop: LoopFolder, improved: Generation) -> None:
    parts = json.loads(loop.splits.read_text())
    assert len(parts) == len(FIRST) + len(LATER)
    for number in (1, improved.number):
        for part in ("train", "val"):
            images = loop.generation_folder(number) / "dataset" / "images" / part
            assert {parts[path.name] for path in images.iterdir()} == {part}


def test_nothing_new_is_not_learned_again(loop: LoopFolder, improved: Generation) -> None:
    if improved.verdict == "refused":
        pytest.skip("a refused generation may be tried again")
    with pytest.raises(NoInputError, match="nothing new"):
        improve_loop(loop, OPTIONS)


def test_two_improvements_exclude_each_other(loop: LoopFolder, improved: Generation) -> None:
    del improved
    with generation_lock(loop), pytest.raises(DataError, match="another process"):
        improve_loop(loop, OPTIONS)


def test_a_person_is_asked_once_about_unsure_labels(
    loop: LoopFolder, improved: Generation, tmp_path: Path
) -> None:
    del improved
    copy = tmp_path / "loop"

    shutil.copytree(loop.root, copy, symlinks=True)
    asking = LoopFolder.open(copy)
    dataset = asking.generation_folder(3) / "dataset"
    shutil.copytree(asking.generation_folder(2) / "dataset", dataset)
    image = next((dataset / "images" / "train").iterdir()).name
    unsure = {"file": f"x{image}", "split": "train", "bbox": [1, 1, 9, 9], "maybe": "bolt", "score": 0.4}
    (dataset / "review.json").write_text(json.dumps({"unsure": [unsure], "set_aside": []}))
    asked = improve_loop(asking, replace(OPTIONS, ask=True))
    assert asked == Asked(1, 1, f"edgeloop studio {asking.frames} -o {asking.root}")
    assert (asking.root / "dataset").resolve() == dataset.resolve()
    going_on = replace(OPTIONS, ask=True, generation=replace(OPTIONS.generation, on_step=killed_at(1)))
    with pytest.raises(KeyboardInterrupt):
        improve_loop(asking, going_on)
