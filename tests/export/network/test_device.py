from __future__ import annotations

import pytest
import torch

from edgeloop.export.network.device import choose_device
from edgeloop.export.train_options import Device
from edgeloop.models.errors import UnavailableError


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_takes_cuda_if_there_is_one(
    wanted: Device, there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(wanted).type == chosen


def test_says_that_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError, match="--device cuda: torch finds no CUDA device; use --device cpu"):
        choose_device("cuda")
