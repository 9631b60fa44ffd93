"""Weights of the signs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.edge.doubt.doubt_weights import WEIGHTS_FILE, read_weights, write_weights
from edgeloop.edge.doubt.frame_doubt import DEFAULT_WEIGHTS
from edgeloop.edge.doubt.judged_frame import Sign
from edgeloop.models.errors import DataError, NoInputError


def test_without_a_file_the_weights_are_the_default_ones(tmp_path: Path) -> None:
    assert read_weights(tmp_path) == DEFAULT_WEIGHTS


def test_weights_come_back_and_signs_without_one_keep_theirs(tmp_path: Path) -> None:
    learned: dict[Sign, float] = {"motion": 0.05, "scale": 1.0}
    write_weights(tmp_path, learned)
    assert read_weights(tmp_path) == {**DEFAULT_WEIGHTS, **learned}
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS_FILE]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"weights": {"motion": 1.5}}', "less than or equal to 1", id="beyond 1"),
        pytest.param('{"weights": {"motion": "0.5"}}', "valid number", id="text"),
        pytest.param('{"weights": {"motion": NaN}}', "", id="no number"),
        pytest.param('{"weights": {"luck": 0.5}}', "threshold", id="unknown sign"),
        pytest.param('{"weights": {}, "more": 1}', "unknown field", id="unknown field"),
        pytest.param('{"version": 2, "weights": {}}', "version", id="another version"),
        pytest.param('{"weights": {"mo', "JSON", id="half a file"),
        pytest.param("", "JSON", id="empty file"),
        pytest.param(" " * 100_000, "larger", id="a large file"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / WEIGHTS_FILE).write_text(text)
    with pytest.raises(DataError) as caught:
        read_weights(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / WEIGHTS_FILE))
    assert reason in message
    assert "\n" not in message


def test_a_folder_in_its_place_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).mkdir()
    with pytest.raises(NoInputError, match="cannot be read"):
        read_weights(tmp_path)


def test_weights_out_of_range_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="from 0 to 1"):
        write_weights(tmp_path, {"motion": -0.1})
    assert list(tmp_path.iterdir()) == []
