"""`edgeloop label --ray` for real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from tests.calls import Outcome
from tests.labeling.footage import Footage, Learned, tree

if TYPE_CHECKING:
    from tests.labeling.workers.small_cluster import SmallCluster


@pytest.mark.usefixtures("quick")
def test_dataset_is_that_of_one_process(
    cluster: SmallCluster,
    footage: Footage,
    few: Path,
    learned: Learned,
    tmp_path: Path,
    edgeloop: Callable[..., Outcome],
) -> None:
    """Both go on with what was learned once."""
    learned.go_on(LabelPlan(few, footage.exemplars, tmp_path / "many"))
    label_frames(learned.go_on(LabelPlan(few, footage.exemplars, tmp_path / "one", task="segment")))
    command = "label", few, "-e", footage.exemplars, "-o", tmp_path / "many", "--task", "segment"
    done = edgeloop(*command, "--ray", cluster.address)
    assert done.code == 0, done.err
    assert tree(tmp_path / "many") == tree(tmp_path / "one")


def test_unreachable_cluster_is_told_before_anything_is_learned(
    footage: Footage, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'edgeloop[ray]'")
    command = "label", footage.frames, "-e", footage.exemplars, "-o", tmp_path / "out", "--ray", "127.0.0.1:1"
    done = edgeloop(*command)
    assert (done.code, done.out) == (69, "")
    assert done.err.startswith("edgeloop: error: --ray 127.0.0.1:1: no Ray cluster answers there (")
    assert len(done.err.splitlines()) == 1
