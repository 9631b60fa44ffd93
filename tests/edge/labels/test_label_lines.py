"""Lines of label files: what tools write is read, the rest is one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.labels.label_lines import parse_label_lines
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.errors import DataError

NAMES = ("bolt", "", "gear")
BOX = [0.5, 0.5, 0.25, 0.5]


def parse(
    data: bytes, problems: LabelProblems | None = None, *, keypoints: bool = False
) -> tuple[list[int], list[list[float]]]:
    class_id, cxcywh, _ = parse_label_lines(
        data, Path("a.txt"), NAMES, problems or LabelProblems(), named_in="classes.txt", keypoints=keypoints
    )
    return class_id.tolist(), cxcywh.tolist()


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        pytest.param(b"0 0.5 0.5 0.25 0.5", [], id="box"),
        pytest.param(b"\xef\xbb\xbf0 0.5 0.5 0.25 0.5\r\n\r\n", [], id="BOM and CRLF"),
        pytest.param(b"0.0\t5e-1 .5 0.250000 +0.5", [], id="floats"),
        pytest.param(b"0 .5 .5 .25 .5 .93", ["score_column"], id="score"),
        pytest.param(b"0 .375 .25 .625 .25 .625 .75 .375 .75", ["polygon"], id="polygon"),
        pytest.param(b"0 .375 .25 .625 .25 .5 .75 .9", ["score_column", "polygon"], id="polygon and score"),
        pytest.param(b"0 .5 .5 .25 .5\n0 .5 .5 .25 .5", ["duplicate"], id="twice"),
        pytest.param(b"0 .5 .5 .25 .5\n0 .1 .1 0 .1", ["empty_box"], id="no area"),
    ],
)
def test_one_box_as_tools_write_it(line: bytes, kinds: list[str]) -> None:
    problems = LabelProblems()
    assert parse(line, problems) == ([0], [BOX])
    assert [*problems.by_kind] == kinds


def test_keypoints_are_no_polygon() -> None:
    assert parse(b"0 .5 .5 .25 .5 .1 .1 .9 .9", keypoints=True) == ([0], [BOX])


def test_what_reaches_beyond_the_image_ends_at_its_edge() -> None:
    problems = LabelProblems()
    _, (rounded, beyond) = parse(b"0 .5 .5 1.004 .5\n0 .9 .5 .4 .5", problems)
    assert rounded == [0.5, 0.5, 1, 0.5]
    assert beyond == pytest.approx([0.85, 0.5, 0.3, 0.5])
    assert [(kind, p.count, p.first) for kind, p in problems.by_kind.items()] == [("clipped", 1, "a.txt:2")]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"0 .5 .5 .25 1.02", "a.txt:1: expected a class number and x y width", id="too large"),
        pytest.param(b"0 .1 .1 .2 .2 .3 1.2", "a.txt:1: expected", id="polygon in pixels"),
        pytest.param(b"0 .5 .5 .25", "a.txt:1: expected", id="three numbers"),
        pytest.param(b"\n0 inf .5 .25 .5", "a.txt:2: expected", id="infinite"),
        pytest.param(b"0,.5,.5,.25,.5", "a.txt:1: expected", id="commas"),
        pytest.param(b"1 .5 .5 .25 .5", r"class 1 is out of range; classes.txt names 3", id="no name"),
        pytest.param(b"0.5 .5 .5 .25 .5", "class 0.5 is out of range", id="half a class"),
        pytest.param("0 .5".encode("utf-16"), "a.txt: not UTF-8 text; save it", id="UTF-16"),
        pytest.param("0 .5 é".encode("latin-1"), "a.txt: not UTF-8 text", id="Latin-1"),
    ],
)
def test_what_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told) as refused:
        parse(data)
    assert "\n" not in str(refused.value)
    problems = LabelProblems(strict=False)
    assert parse(data, problems) == ([], [])
    assert [problem.refused for problem in problems.by_kind.values()] == [True]


def test_outlines_are_kept_when_they_are_asked_for() -> None:
    problems = LabelProblems()
    text = b"0 .375 .25 .625 .25 .5 .75 .9\n2 .1 .1 1.004 .1 .9 .9 .1 .9"
    rows = parse_label_lines(text, Path("a.txt"), NAMES, problems, named_in="classes.txt", outlines="all")
    assert rows.outlines is not None
    triangle, square = (outline.tolist() for outline in rows.outlines)
    assert triangle == [[0.375, 0.25], [0.625, 0.25], [0.5, 0.75]]
    assert square == [pytest.approx(point) for point in [[0.1, 0.1], [1, 0.1], [0.9, 0.9], [0.1, 0.9]]]
    assert rows.cxcywh[0].tolist() == BOX
    assert [*problems.by_kind] == ["score_column"]  # no warning that only the box counts


def test_polygons_of_the_same_extent_are_two_objects() -> None:
    text = b"0 0 0 1 0 0 1\n0 1 0 1 1 0 1\n0 0 0 1 0 0 1"
    problems = LabelProblems()
    rows = parse_label_lines(text, Path("a.txt"), NAMES, problems, named_in="classes.txt", outlines="all")
    assert rows.outlines is not None
    assert [outline[0].tolist() for outline in rows.outlines] == [[0, 0], [1, 0]]
    assert len(rows.class_id) == len(rows.cxcywh) == 2
    assert problems.by_kind["duplicate"].first == "a.txt:3"


def test_a_box_among_outlines_is_named() -> None:
    text = b"0 .375 .25 .625 .25 .5 .75\n0 .5 .5 .25 .5\n0 .2 .2 .1 .1"
    with pytest.raises(
        DataError, match=r"a\.txt:3: labels are boxes, expected polygons .*train with --task detect"
    ):
        parse_label_lines(text, Path("a.txt"), NAMES, LabelProblems(), named_in="", outlines="all")
    lenient = LabelProblems(strict=False)
    rows = parse_label_lines(text, Path("a.txt"), NAMES, lenient, named_in="", outlines="all")
    assert rows.outlines is None
    assert len(rows.class_id) == 2
    assert lenient.by_kind["box_line"].count == 1


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.floats(-0.1, 1.1).map("{:.3f}".format),
    st.integers(-3, 400).map(str),
    st.text(max_size=3),
)
LINES = st.lists(NUMBERS, max_size=12).map(" ".join)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.one_of(st.lists(LINES, max_size=4).map("\n".join).map(str.encode), st.binary(max_size=60)))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    class_id, cxcywh, outlines = parse_label_lines(
        data, Path("a.txt"), NAMES, LabelProblems(strict=False), named_in="classes.txt", outlines="all"
    )
    assert outlines is None or len(outlines) == len(class_id)
    assert all(((outline >= 0) & (outline <= 1)).all() for outline in outlines or ())
    assert set(class_id.tolist()) <= {0, 2}
    corners = np.concatenate((cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, :2] + cxcywh[:, 2:] / 2))
    assert ((corners >= -1e-6) & (corners <= 1 + 1e-6)).all()
    assert (cxcywh[:, 2:] >= 0).all()
