"""Family tree of a loop, and files that were changed behind its back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeloop.labeling.commands.history import history
from edgeloop.labeling.lineage.family_tree import read_history, tree_lines
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.models.errors import DataError
from tests.labeling.lineage.generations import add_generation, draw_exemplars


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


def test_a_changed_frame_is_named(loop: LoopFolder) -> None:
    loop.frames.mkdir()
    kept = loop.frames / "a.png"
    kept.write_bytes((loop.generation_folder(3) / "dataset" / "images" / "train" / "a.png").read_bytes())
    assert read_history(loop).changes == ()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    (change,) = read_history(loop).changes
    assert change.startswith(f"{kept} was changed since generation 3 learned from it")


def test_exemplars_that_were_changed_are_news_and_damaged_ones_a_change(loop: LoopFolder) -> None:
    assert read_history(loop).new_exemplars is None
    draw_exemplars(loop, [4, 4, 10, 10], [20, 20, 8, 8])
    found = read_history(loop)
    assert (found.changes, len(found.new_exemplars or "")) == ((), 64)
    assert tree_lines(found)[-1].startswith("exemplars: others than generation 3 learned from;")
    (loop.exemplars.parent / "images" / "drawn.png").write_bytes(b"no image")
    (change,) = read_history(loop).changes
    assert str(loop.exemplars.parent / "images" / "drawn.png") in change


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
    assert CliRunner().invoke(history, [str(loop.root), "--name", "parts"]).exit_code == 2
