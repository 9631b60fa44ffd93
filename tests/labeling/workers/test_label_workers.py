"""`edgeloop label` by several processes: the dataset of one, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.ledger import LabeledRow, Ledger
from tests.calls import Outcome
from tests.labeling.footage import Footage, Learned, tree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]
ROOT = Path(__file__).parents[3]


def test_workers_make_the_same_dataset_also_if_all_are_killed_meanwhile(
    footage: Footage,
    frames: Path,
    learned: Learned,
    whole: dict[str, bytes],
    tmp_path: Path,
    edgeloop: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """kill -9 of all workers as the third frame is noted."""
    add, noted = Ledger.add, []

    def add_and_kill(self: Ledger, row: LabeledRow, stamp: str) -> None:
        add(self, row, stamp)
        noted.append(row)
        if len(noted) == 3:
            for child in psutil.Process().children():
                if "process_worker" in " ".join(child.cmdline()):  # and no browser or cluster of other tests
                    child.kill()

    monkeypatch.setattr(Ledger, "add", add_and_kill)
    out = learned.go_on(LabelPlan(frames, footage.exemplars, tmp_path / "dataset")).out
    command = "label", frames, "-e", footage.exemplars, "-o", out, "--task", "segment", "--workers", 2
    done = edgeloop(*command)
    assert done.code == 0, done.err
    assert "Labeling" in done.err
    assert "was killed by SIGKILL" in done.err
    assert tree(out) == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.ledger import Ledger
from pytest import MonkeyPatch
from tests.quick_teacher import teach_quickly
teach_quickly(MonkeyPatch(), steps=4)
add, left = Ledger.add, 3
def add_or_die(self, row, stamp):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    add(self, row, stamp)
Ledger.add = add_or_die
label_frames(LabelPlan(*map(Path, sys.argv[1:4]), task="segment", workers=int(sys.argv[4])))
"""


def test_a_job_of_workers_that_is_killed_goes_on_without_them(
    footage: Footage, frames: Path, learned: Learned, whole: dict[str, bytes], tmp_path: Path
) -> None:
    plan = learned.go_on(LabelPlan(frames, footage.exemplars, tmp_path / "dataset", task="segment"))
    arguments = [*map(str, (plan.frames, plan.exemplars, plan.out)), "2"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], check=False, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    assert killed.returncode == -signal.SIGKILL
    assert not plan.out.exists()
    assert label_frames(plan).resumed == 3
    assert tree(plan.out) == whole


def test_what_moves_is_labeled_the_same_by_workers(tmp_path: Path) -> None:
    wall = np.random.default_rng(5).integers(90, 140, (30, 60, 3), np.uint8)
    wall = np.asarray(cv2.resize(wall, (480, 240), interpolation=cv2.INTER_CUBIC), np.uint8)
    (tmp_path / "frames").mkdir()
    for index in range(16):
        image = wall.copy()
        x = (37 * index) % 420
        cv2.circle(image, (x + 28, 50), 28, (30, 30, 230), -1, cv2.LINE_AA)
        cv2.rectangle(image, (420 - x, 140), (475 - x, 195), (230, 60, 30), -1)
        cv2.imwrite(str(tmp_path / "frames" / f"{index:03d}.png"), image)
        for kind, crop in (("ball", image[22:78, x : x + 56]), ("crate", image[140:196, 420 - x : 476 - x])):
            (tmp_path / "crops" / kind).mkdir(parents=True, exist_ok=True)
            if index < 4:
                cv2.imwrite(str(tmp_path / "crops" / kind / f"{index}.png"), crop)
    alone = LabelPlan(tmp_path / "frames", tmp_path / "crops", tmp_path / "alone")
    report = label_frames(alone)
    assert all(sum(counts.values()) for counts in report.dataset.labels.values())
    label_frames(replace(alone, out=tmp_path / "shared", workers=2))
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone")
