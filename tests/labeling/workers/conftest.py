"""A Ray cluster of two nodes on this machine, and what its workers are to label."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from tests.labeling.footage import BROKEN, Footage, Learned, tree
from tests.made_once import made_once

if TYPE_CHECKING:
    from tests.labeling.workers.small_cluster import SmallCluster


@pytest.fixture(scope="module")
def cluster(_slow: None) -> Iterator[SmallCluster]:
    pytest.importorskip("ray", reason="needs Ray: pip install 'edgeloop[ray]'")
    from tests.labeling.workers.small_cluster import SmallCluster

    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    cluster = SmallCluster(folder)
    yield cluster
    cluster.shutdown()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def frames(footage: Footage, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few frames, one of them broken."""

    def copy(folder: Path) -> Path:
        shutil.copytree(few, folder / "frames")
        shutil.copy(footage.frames / BROKEN, folder / "frames")
        return folder / "frames"

    return made_once(tmp_path_factory, "shared", copy)


@pytest.fixture(scope="session")
def whole(
    footage: Footage, frames: Path, learned: Learned, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Dataset of one process, by threads: polygons, some of them of a person."""

    def label(folder: Path) -> dict[str, bytes]:
        plan = LabelPlan(frames, footage.exemplars, folder / "dataset", task="segment")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("edgeloop.labeling.workers.open_pool.physical_cores", lambda: 3)
            report = label_frames(learned.go_on(plan))
        assert report.dataset.set_aside == 1
        assert len(report.dataset.labels) > 1
        annotations = json.loads((plan.out / "instances.json").read_text())["annotations"]
        assert {each["mask_from"] for each in annotations} >= {"sam", "human"}
        return tree(plan.out)

    return made_once(tmp_path_factory, "whole", label)
