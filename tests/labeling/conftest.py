"""Footage of a conveyor, and the one dataset that is labeled for all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from tests.labeling.footage import BROKEN, DRAWN, INDICES, Footage, Labeled, Learned, break_off, scene_coco
from tests.labeling.object_storage import ObjectStorage, serve_objects
from tests.made_once import made_once
from tests.quick_teacher import teach_quickly


@pytest.fixture(scope="session", autouse=True)
def in_little_time() -> Iterator[None]:
    """A quick teacher, and no second thread that would only wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        teach_quickly(patched, steps=60)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    folder = tmp_path_factory.mktemp("footage")
    scene = open_scene("conveyor", seed=3, size=(480, 360))
    (folder / "frames").mkdir()
    for index in INDICES:
        cv2.imwrite(str(folder / "frames" / f"frame_{index:04d}.jpg"), scene.render(index))
    broken = folder / "frames" / BROKEN
    broken.write_bytes(broken.read_bytes()[:5000])
    exemplars = folder / "exemplars.json"
    exemplars.write_text(json.dumps(scene_coco(scene, DRAWN)))
    return Footage(scene, folder / "frames", exemplars)


@pytest.fixture(scope="session")
def labeled(_slow: None, footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Labeled:
    out = tmp_path_factory.mktemp("labeled") / "dataset"
    report = label_frames(LabelPlan(footage.frames, footage.exemplars, out))
    return Labeled(footage, out, report)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn for moments only, where it is not the labels that are tested."""
    monkeypatch.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)


@pytest.fixture(scope="session")
def few(footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exemplar frames and three others."""
    folder = tmp_path_factory.mktemp("few")
    for index in (*DRAWN, 1080, 1200, 1320):
        name = f"frame_{index:04d}.jpg"
        (folder / name).write_bytes((footage.frames / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def learned(_slow: None, footage: Footage, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Jobs that go on from here need not learn; what they learn from is the same whatever the frames are."""

    def learn(folder: Path) -> Learned:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)
            break_off(LabelPlan(few, footage.exemplars, folder / "out"), patched, after=0)
        return Learned(folder / "out.unfinished")

    return made_once(tmp_path_factory, "learned", learn)


@pytest.fixture
def storage(_slow: None, tmp_path: Path) -> Iterator[ObjectStorage]:
    """An empty bucket of S3, which the environment names."""
    with serve_objects(tmp_path) as served:
        yield served
