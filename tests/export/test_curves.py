"""The picture of a training, for any number of epochs."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from edgeloop.export.train.curves import draw_curves
from edgeloop.export.trainer import Epoch
from edgeloop.models.errors import UnavailableError
from tests.export.untrained import record_of


def epochs(count: int, seconds: float, *, validated: bool) -> tuple[Epoch, ...]:
    map50 = 0.5 if validated else None
    return tuple(
        Epoch(
            number=number, seconds=seconds * number / count, loss={"box": 2.0 / number, "edge": 0.0},
            map50=map50, map50_95=map50,
        )
        for number in range(1, count + 1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "seconds", "validated"),
    [(0, 1.0, False), (1, 0.0, True), (1, 3.7, True), (30, 110.0, False), (150, 86_400.0, True)],
)
def test_draws_any_training(tmp_path: Path, count: int, seconds: float, validated: bool) -> None:
    record = record_of().model_copy(update={"epochs": epochs(count, seconds, validated=validated)})
    draw_curves(record, tmp_path / "curves.png")
    empty = cv2.imread(str(tmp_path / "curves.png"))
    assert empty is not None
    # Lines are the only thing in color: losses if there are epochs, scores if they were validated.
    colored = empty[:, :, 0].astype(int) - empty[:, :, 2] != 0
    assert colored[100:351, :560].any() == (count > 0)
    assert colored[100:300, 560:].any() == validated


def test_says_if_the_picture_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be written"):
        draw_curves(record_of(), tmp_path / "gone" / "curves.png")
