"""Family tree of a loop, and files that were changed behind its back."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.run_record import RunRecord, write_record
from edgeloop.labeling.commands.history import history
from edgeloop.labeling.lineage.family_tree import read_history, tree_lines
from edgeloop.labeling.lineage.generation import Generation, HeldOutScores, Parents, Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.models.errors import DataError
from edgeloop.models.weights.digest import file_sha256


def scores(frames: int, parent: float | None, own: float) -> HeldOutScores:
    return HeldOutScores(frames=frames, parent=parent, own=own, parent_map50_95=None, own_map50_95=own / 2)


def add_generation(loop: LoopFolder, number: int, parent: Generation | None, verdict: Verdict) -> Generation:
    """Generation with small files that belong together."""
    folder = loop.generation_folder(number)
    for part in ("images", "labels"):
        (folder / "dataset" / part / "train").mkdir(parents=True)
    image = np.full((32, 32, 3), number, np.uint8)
    cv2.imwrite(str(folder / "dataset" / "images" / "train" / "a.png"), image)
    (folder / "dataset" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "dataset" / "data.yaml").write_text("train: images/train\nval:\nnames: [thing]\n")
    data = open_dataset(folder / "dataset")
    (folder / "run").mkdir()
    (folder / "run" / "best.safetensors").write_bytes(b"weights %d" % number)
    loop.bundle(number).write_bytes(b"bundle %d" % number)
    weights = file_sha256(folder / "run" / "best.safetensors")
    write_record(
        RunRecord(
            trainer="edgeloop", model="edgeloop-lite0", weights="edgeloop-lite0", names=("thing",),
            dataset="dataset", dataset_sha256=data.digest, weights_sha256=weights, imgsz=320, batch=1,
            freeze=0, seed=0, images=1, seconds=1.0, images_per_second=1.0, epochs=(), map50=None,
            map50_95=None, versions={},
        ),
        folder / "run",
    )  # fmt: skip
    generation = Generation(
        number=number,
        parent=None if parent is None else parent.number,
        created="2026-11-30T10:00:00+00:00",
        names=("thing",),
        digests=Parents(
            exemplars="0" * 64,
            dataset=data.digest,
            weights=weights,
            bundle=file_sha256(loop.bundle(number)),
            start_weights=None if parent is None else parent.digests.weights,
            parent_bundle=None if parent is None else parent.digests.bundle,
        ),
        frames=40 * number,
        new_frames=40,
        by_person=5,
        old=None if parent is None else scores(8, 0.9, 0.91),
        new=scores(8, None if parent is None else 0.6, 0.8),
        recall=None if parent is None else 0.75,
        verdict=verdict,
        reason=f"reason {number}",
    )
    loop.write_generation(generation)
    return generation


@pytest.fixture
def loop(tmp_path: Path) -> LoopFolder:
    """Generation 1, of which 2 was refused and 3 is in use."""
    made = LoopFolder.create(tmp_path / "loop", LoopSettings(created="2026-11-30"))
    first = add_generation(made, 1, None, "promoted")
    add_generation(made, 2, first, "refused")
    add_generation(made, 3, first, "promoted")
    made.promote(3)
    return made


def test_each_generation_is_below_its_parent(loop: LoopFolder) -> None:
    assert tree_lines(read_history(loop)) == [
        "1  2026-11-30 10:00  40 frames (40 new, 5 by a person)  mAP50 new 0.800  promoted",
        "|   reason 1",
        "|-2  2026-11-30 10:00  80 frames (40 new, 5 by a person)  mAP50 old 0.900 -> 0.910  "
        "mAP50 new 0.600 -> 0.800  recall of the device before 0.75  refused",
        "|     reason 2",
        "`-3 (in use)  2026-11-30 10:00  120 frames (40 new, 5 by a person)  mAP50 old 0.900 -> 0.910  "
        "mAP50 new 0.600 -> 0.800  recall of the device before 0.75  promoted",
        "      reason 3",
    ]


def test_an_untouched_loop_has_no_changes(loop: LoopFolder) -> None:
    assert read_history(loop).changes == ()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("generations/0001/model.onnx", "model.onnx was changed"),
        ("generations/0003/run/best.safetensors", "best.safetensors was changed"),
        ("generations/0002/dataset/labels/train/a.txt", "dataset was changed"),
    ],
)
def test_a_changed_file_is_named(loop: LoopFolder, path: str, said: str) -> None:
    with (loop.root / path).open("ab") as file:
        file.write(b"\n0 0.1 0.1 0.1 0.1\n")
    (change,) = read_history(loop).changes
    assert said in change


def test_a_missing_file_and_another_parent_are_named(loop: LoopFolder) -> None:
    loop.bundle(3).unlink()
    path = loop.generation_folder(1) / "generation.json"
    record = json.loads(path.read_text())
    record["digests"]["weights"] = "f" * 64
    path.write_text(json.dumps(record))
    changes = "\n".join(read_history(loop).changes)
    assert "generation 2: began with other weights than generation 1's" in changes
    assert "model.onnx is gone" in changes


def test_the_command_prints_the_tree_and_refuses_a_changed_loop(loop: LoopFolder) -> None:
    shown = CliRunner().invoke(history, [str(loop.root), "--json"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert (told["current"], [each["verdict"] for each in told["generations"]], told["changed"]) == (
        *(3, ["promoted", "refused", "promoted"]),
        [],
    )
    loop.bundle(2).write_bytes(b"another")
    shown = CliRunner().invoke(history, [str(loop.root)])
    assert isinstance(shown.exception, DataError)
    assert "generation 2" in shown.stderr
    assert "`-3 (in use)" in shown.stdout
