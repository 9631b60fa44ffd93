from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from edgeloop.export.learn.checkpoint import Progress, load_checkpoint, save_checkpoint
from edgeloop.export.network.detector_weights import read_state, write_state
from edgeloop.models.errors import UnavailableError


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file grows beyond 100 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Progress(step=1), {})
    with _full_disk(), pytest.raises(UnavailableError, match=r"checkpoint\.pt: cannot be written"):
        save_checkpoint(tmp_path, Progress(step=2), {"detector": {"weight": torch.zeros(100_000)}})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[0].step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_full_disk_leaves_the_earlier_weights(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_state({"weight": torch.ones(1)}, path)
    with (
        _full_disk(),
        pytest.raises(UnavailableError, match=r"best\.safetensors: cannot be written; is the disk"),
    ):
        write_state({"weight": torch.zeros(100_000)}, path)
    assert read_state(path)["weight"].tolist() == [1.0]
    assert [each.name for each in tmp_path.iterdir()] == ["best.safetensors"]
