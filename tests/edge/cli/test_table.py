"""Figures in columns."""

from __future__ import annotations

import pytest

from edgeloop.edge.cli.table import table


def test_columns_line_up_and_sections_stand_apart() -> None:
    labels = [("car", "1204", "3 / 14 / 90"), ("person", "7", "")]
    assert table("<>>", ("", "train", "side, px"), [("images", "20", "")], labels).splitlines() == [
        "        train     side, px",
        "--------------------------",
        "images     20",
        "--------------------------",
        "car      1204  3 / 14 / 90",
        "person      7",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table("<<", ("what", "classes")) == "what  classes"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table("<<", ("what", "classes"), [("car",)])
