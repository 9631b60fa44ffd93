"""Mining of a ring of the conveyor, by a teacher that learned from its exemplars."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.edge.ring.ring_database import IMAGES, open_database, row_of
from edgeloop.edge.ring.ring_entry import RingEntry, Share
from edgeloop.edge.synth import Scene
from edgeloop.labeling.commands.mine_command import mine
from edgeloop.labeling.dataset.decisions import LabelBox, WrongDecision
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.labeling.mining.mined_folder import MinedFolder
from edgeloop.labeling.mining.mining_job import MinePlan, mine_folder
from edgeloop.labeling.studio.project import open_project
from edgeloop.labeling.studio.review.review_queue import read_found
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError, UsageError
from tests.labeling.footage import DRAWN, INDICES, Footage, scene_coco

KEPT = [index for index in INDICES if index not in DRAWN and index != 660][:15]
MISSING = "gear"


def device_boxes(scene: Scene, index: int) -> Detections:
    """Answer of a device that finds everything but one class."""
    truth = scene.truth(index)
    seen = truth.class_id != scene.classes.index(MISSING)
    return Detections(truth.xyxy[seen], np.full(seen.sum(), 0.9, np.float32), truth.class_id[seen])


def keep(ring: Path, footage: Footage, indices: list[int]) -> None:
    """Put frames of the scene into a ring, every fourth into the ranked share."""
    digest = "c" * 64
    with closing(open_database(ring)) as database:
        names = json.dumps(list(footage.scene.classes))
        database.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?)", (digest, names, 0.25))
        for number, index in enumerate(indices):
            name = f"frame_{index:04d}.jpg"
            shutil.copyfile(footage.frames / name, ring / IMAGES / name)
            share: Share = "ranked" if number % 4 == 3 else "random"
            entry = RingEntry(
                FrameEntry(name, "belt", index, index / 60, 1.7e9 + index / 60),
                share, 1.0 if share == "ranked" else 0.5, 0.2,
                device_boxes(footage.scene, index), digest, (480, 360), 1000,
            )  # fmt: skip
            row = row_of(entry, kept_at=1.7e9 + index, draw=0.5)
            database.execute(f"INSERT OR REPLACE INTO frame VALUES ({', '.join('?' * len(row))})", row)


def new_loop(folder: Path, footage: Footage) -> LoopFolder:
    """Loop with the exemplars of the footage, and a ring."""
    loop = LoopFolder.create(folder, LoopSettings(created="2026-01-01T00:00:00Z"))
    images = loop.exemplars.parent / "images"
    images.mkdir(parents=True)
    loop.exemplars.write_text(json.dumps(scene_coco(footage.scene, DRAWN)))
    for index in DRAWN:
        shutil.copyfile(footage.frames / f"frame_{index:04d}.jpg", images / f"frame_{index:04d}.jpg")
    keep(loop.ring, footage, KEPT[:-2])
    return loop


@pytest.fixture(scope="module")
def loop(_slow: None, footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> LoopFolder:
    return new_loop(tmp_path_factory.mktemp("loop") / "loop", footage)


def test_a_ring_in_a_loop_is_mined_and_then_only_its_new_frames(loop: LoopFolder, footage: Footage) -> None:
    (loop.ring / IMAGES / f"frame_{KEPT[0]:04d}.jpg").unlink()  # a device that runs evicts it just now
    report = mine_folder(MinePlan(loop.ring))
    assert (report.looked_at, report.mined.vanished, report.mined.unreadable) == (len(KEPT) - 3, 1, 0)
    found = read_found(loop.mined / "frames.studio" / "dataset")
    missed = [doubt for doubt in found.doubts if doubt.device == "missed"]
    assert missed
    assert found.doubts[: len(missed)] == missed  # they are asked about first
    labels = [doubt for doubt in found.doubts if doubt.kind == "label" and doubt.name == MISSING]
    assert labels
    assert all(doubt.device == "missed" for doubt in labels)
    assert len(read_frames(loop.mined / "frames")) == len(KEPT) - 3
    figures = json.loads((loop.mined / "mined.json").read_text())
    assert figures["random_frames"] == sum(number % 4 != 3 for number in range(1, len(KEPT) - 2))
    assert figures["by_hour"]

    first = missed[0]
    box = LabelBox(name=first.name, xyxy=first.xyxy)
    wrong = WrongDecision(batch=1, file=first.file, box=box)
    answers = loop.mined / "frames.studio" / "dataset" / "audit.json"
    answers.write_text("of a person")
    keep(loop.ring, footage, KEPT[-2:])
    with closing(open_database(loop.ring)) as database:
        database.execute("DELETE FROM frame WHERE file = ?", (first.file,))
    (loop.ring / IMAGES / first.file).unlink()

    def decide(_: str) -> None:  # after the teacher has learned
        loop.decisions.write_text(wrong.model_dump_json() + "\n")

    again = mine_folder(MinePlan(loop.ring), tell=decide)
    assert again.looked_at == 2
    assert answers.read_text() == "of a person"
    # A person decided on it, so its copy stays although the device evicted it, without what was called wrong.
    assert first.file in {entry.file for entry in read_frames(loop.mined / "frames")}
    coco = json.loads((loop.mined / "frames.studio" / "dataset" / "instances.json").read_text())
    (image,) = (own["id"] for own in coco["images"] if own["file_name"].endswith(first.file))
    x1, y1, *_ = first.xyxy
    assert [x1, y1] not in [own["bbox"][:2] for own in coco["annotations"] if own["image_id"] == image]


def test_decisions_on_mined_frames_of_a_loop_are_those_of_the_loop(
    loop: LoopFolder, footage: Footage, tmp_path: Path
) -> None:
    frames = loop.mined / "frames"
    if not frames.is_dir():
        shutil.copytree(footage.frames, frames)
    with open_project(frames, loop.mined / "frames.studio", None) as project:
        assert project.decisions == loop.decisions.resolve()
    with open_project(frames, tmp_path / "other", None) as project:
        assert project.decisions == tmp_path / "other" / "decisions.jsonl"


def test_a_ring_without_a_loop_needs_exemplars(tmp_path: Path, footage: Footage) -> None:
    keep(tmp_path / "ring", footage, KEPT[:1])
    with pytest.raises(UsageError, match="-e EXEMPLARS"):
        mine_folder(MinePlan(tmp_path / "ring"))


def test_mining_that_was_interrupted_while_the_teacher_learned_goes_on(tmp_path: Path) -> None:
    (tmp_path / "begun" / "teacher" / ("0" * 12)).mkdir(parents=True)
    MinedFolder.create(tmp_path / "begun")
    (tmp_path / "others" / "frames").mkdir(parents=True)
    with pytest.raises(DataError, match="expected a new or empty folder"):
        MinedFolder.create(tmp_path / "others")


def test_an_empty_ring_is_no_input(tmp_path: Path, footage: Footage) -> None:
    keep(tmp_path / "ring", footage, [])
    with pytest.raises(NoInputError, match="no frame in the ring yet"):
        mine_folder(MinePlan(tmp_path / "ring", footage.exemplars))


def test_a_folder_without_a_ring_is_named_before_missing_exemplars(tmp_path: Path) -> None:
    told = CliRunner().invoke(mine, [str(tmp_path / "rnig")])
    assert isinstance(told.exception, NoInputError)
    assert "rnig: no ring of frames" in str(told.exception)


def test_the_command_prints_figures_and_the_next_step(loop: LoopFolder, tmp_path: Path) -> None:
    told = CliRunner().invoke(mine, [str(loop.ring), "--top", "0"], catch_exceptions=False)
    assert told.exit_code == 0
    assert f"`edgeloop studio {loop.mined / 'frames'}`" in told.stdout
    assert "precision" in told.stdout
    refused = CliRunner().invoke(mine, [str(loop.ring), "-o", str(tmp_path / "other")])
    assert isinstance(refused.exception, UsageError)
