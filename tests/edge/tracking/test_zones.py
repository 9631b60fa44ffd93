"""Zones and lines: files, counts and drawings of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.draw.zones import ZONE_COLOR
from edgeloop.edge.tracking import Event, ZoneCounter, ZoneFile, ZoneTotals, read_zones
from edgeloop.edge.tracking.counter import FORGET_S
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError

NAMES = ("car", "tram")
SQUARE = [[100, 100], [200, 100], [200, 200], [100, 200]]
SIZE = (320, 240)


def counter(**places: Any) -> ZoneCounter:
    return ZoneCounter(ZoneFile.model_validate(places), NAMES, "zones.json")


def zone(**more: Any) -> dict[str, Any]:
    return {"name": "yard", "polygon": SQUARE, **more}


def line(**more: Any) -> dict[str, Any]:
    return {"name": "gate", "from": [0, 100], "to": [200, 100], **more}


def at(*objects: tuple[int, float, float], class_id: int = 0) -> Detections:
    """Objects of id that stand at x, y: boxes of 20 x 40 pixels above these points."""
    return Detections(
        np.array([(x - 10, y - 40, x + 10, y) for _, x, y in objects], np.float32).reshape(-1, 4),
        np.ones(len(objects), np.float32),
        np.full(len(objects), class_id, np.int64),
        np.array([number for number, _, _ in objects], np.int64),
    )


def walk(counting: ZoneCounter, ways: Iterable[Detections], step_s: float = 0.5) -> list[Event]:
    return [
        event
        for number, found in enumerate(ways)
        for event in counting.update(found, SIZE, 10 + number * step_s)
    ]


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.direction or event.kind for event in events]


def test_an_object_that_walks_through_a_zone_enters_and_leaves_with_its_stay() -> None:
    yard = counter(zones=[zone()])
    events = walk(yard, [at((7, x, 150)) for x in (80, 110, 140, 170, 230)])
    assert events == [Event("enter", "yard", 7, 0), Event("leave", "yard", 7, 0, dwell_s=1.5)]
    assert yard.zone_totals() == {"yard": {"car": ZoneTotals(entered=1, left=1, inside=0, dwell_s=1.5)}}
    assert yard.line_totals() == {}


def test_where_it_stands_counts_not_its_middle() -> None:
    yard = counter(zones=[zone()])
    assert walk(yard, [at((1, 150, 210))]) == [], "the box reaches into the zone, its foot does not"
    assert kinds(walk(yard, [at((2, 150, 199))])) == ["enter"]


def test_an_object_that_is_not_seen_any_more_has_left_when_it_was_last_seen() -> None:
    yard = counter(zones=[zone()])
    walk(yard, [at((1, 150, 150)), at((1, 150, 150))])
    assert yard.update(at(), SIZE, 10.5 + 0.9 * FORGET_S) == ()
    (gone,) = yard.update(at(), SIZE, 10.5 + 1.1 * FORGET_S)
    assert gone == Event("leave", "yard", 1, 0, dwell_s=0.5)


def test_a_short_absence_is_no_end_of_a_stay() -> None:
    yard = counter(zones=[zone()])
    assert kinds(walk(yard, [at((1, 150, 150)), at(), at((1, 150, 150))])) == ["enter"]


def test_a_box_that_trembles_on_an_edge_enters_once_and_crosses_once() -> None:
    places = counter(zones=[zone()], lines=[line()])
    trembling = [at((1, 150, 90))] + [at((1, 150, 100 + d)) for d in (-1, 1, -1, 1, -1.5, 0.5)]
    assert kinds(walk(places, [*trembling, at((1, 150, 110))])) == ["enter", "in"]


def test_who_stays_long_enough_is_reported_once() -> None:
    yard = counter(zones=[zone(dwell_s=1)])
    events = walk(yard, [at((1, 150, 150))] * 6)
    assert events == [Event("enter", "yard", 1, 0), Event("dwell", "yard", 1, 0, dwell_s=1.0)]


@pytest.mark.parametrize(
    ("ends", "way", "directions"),
    [
        pytest.param([[0, 100], [200, 100]], [(50, 80), (50, 120)], ["in"], id="down, to the right hand"),
        pytest.param([[0, 100], [200, 100]], [(50, 120), (50, 80)], ["out"], id="up"),
        pytest.param([[200, 100], [0, 100]], [(50, 80), (50, 120)], ["out"], id="the line turned round"),
        pytest.param([[100, 0], [100, 200]], [(80, 50), (120, 50)], ["out"], id="a line downwards"),
        pytest.param([[0, 0], [200, 200]], [(120, 80), (80, 120)], ["in"], id="a slanting line"),
        pytest.param([[0, 100], [200, 100]], [(50, 80), (50, 120), (50, 80)], ["in", "out"], id="and back"),
        pytest.param([[0, 100], [200, 100]], [(50, 80), (50, 95)], [], id="turned before it"),
        pytest.param([[0, 100], [200, 100]], [(250, 80), (250, 120)], [], id="past its end"),
        pytest.param([[0, 100], [200, 100]], [(190, 99.5), (190, 120)], [], id="came out of nowhere on it"),
        pytest.param([[0, 100], [200, 100]], [(50, 20), (52, 180)], ["in"], id="in one leap"),
    ],
)
def test_a_line_counts_who_goes_through_it_by_direction(
    ends: list[list[float]], way: list[tuple[float, float]], directions: list[str]
) -> None:
    gate = counter(lines=[{"name": "gate", "from": ends[0], "to": ends[1]}])
    assert kinds(walk(gate, [at((3, x, y)) for x, y in way])) == directions
    counts = {"in": directions.count("in"), "out": directions.count("out")}
    assert gate.line_totals() == {"gate": {"car": counts} if directions else {}}


STEPS = st.tuples(st.integers(0, SIZE[0]), st.integers(0, SIZE[1]))
PATHS = st.lists(st.lists(STEPS, min_size=1, max_size=30), min_size=1, max_size=4)


def makes_a_zone(corners: list[tuple[int, int]]) -> bool:
    try:
        counter(zones=[zone(polygon=corners)], units="pixels")
    except ValueError:
        return False
    return True


CORNERS = st.lists(STEPS, min_size=3, max_size=7).filter(makes_a_zone)
EXAMPLES = settings(derandomize=True, max_examples=50, deadline=None)


@EXAMPLES
@given(corners=CORNERS, paths=PATHS)
def test_on_any_path_through_any_polygon_who_entered_has_left_or_is_inside(
    corners: list[tuple[int, int]], paths: list[list[tuple[int, int]]]
) -> None:
    yard = counter(zones=[zone(polygon=corners)])
    inside: set[int] = set()
    frames = zip_longest(*paths)
    for event in walk(yard, [at(*((n, *p) for n, p in enumerate(frame) if p)) for frame in frames]):
        assert event.kind == ("leave" if event.tracker_id in inside else "enter")
        inside ^= {event.tracker_id}
    for totals in yard.zone_totals()["yard"].values():
        assert totals.entered - totals.left == totals.inside == len(inside)


@EXAMPLES
@given(
    ends=st.lists(STEPS, min_size=2, max_size=2, unique=True), path=st.lists(STEPS, min_size=1, max_size=30)
)
def test_the_way_back_over_any_line_undoes_the_way_there(
    ends: list[tuple[int, int]], path: list[tuple[int, int]]
) -> None:
    gate = counter(lines=[{"name": "gate", "from": ends[0], "to": ends[1]}])
    walk(gate, [at((1, *point)) for point in [*path, *path[::-1]]])
    for crossed in gate.line_totals()["gate"].values():
        assert crossed["in"] == crossed["out"]


def test_classes_count_apart_and_others_not_at_all() -> None:
    places = counter(zones=[zone(classes=["tram"])], lines=[line()])
    way = [(150, 80), (150, 150)]
    walk(places, [at((1, x, y), class_id=0) for x, y in way])
    walk(places, [at((2, x, y), class_id=1) for x, y in way])
    assert list(places.zone_totals()["yard"]) == ["tram"]
    assert places.line_totals()["gate"] == {"car": {"in": 1, "out": 0}, "tram": {"in": 1, "out": 0}}


def test_a_class_that_a_later_model_adds_counts_unless_classes_are_chosen() -> None:
    names = ["car"]
    places = ZoneFile.model_validate({"zones": [zone(), zone(name="cars", classes=["car"])]})
    yard = ZoneCounter(places, names, "zones.json")
    names.append("tram")
    assert walk(yard, [at((1, 150, 150), class_id=1)]) == [Event("enter", "yard", 1, 1)]
    assert list(yard.zone_totals()["yard"]) == ["tram"]


def test_a_class_that_flickers_leaves_as_what_it_entered() -> None:
    yard = counter(zones=[zone(classes=["car"])])
    walk(yard, [at((1, 150, 150)), at((1, 150, 150), class_id=1), at((1, 150, 230), class_id=1)])
    assert yard.zone_totals()["yard"] == {"car": ZoneTotals(entered=1, left=1, inside=0, dwell_s=1.0)}


def test_what_has_no_id_does_not_count() -> None:
    places = counter(zones=[zone()], lines=[line()])
    assert walk(places, [at((-1, 150, 80)), at((-1, 150, 150))]) == []


def test_memory_is_bounded_by_what_is_in_the_picture() -> None:
    places = counter(zones=[zone()], lines=[line()])
    walk(places, [at((number, 150, 150)) for number in range(1000)])
    assert len(places._zones[0]._stays) + len(places._lines[0]._sides) < 12
    assert places.zone_totals()["yard"]["car"].entered == 1000


SHARES = [[0.3125, 5 / 12], [0.625, 5 / 12], [0.625, 5 / 6], [0.3125, 5 / 6]]
"""`SQUARE` in shares of a frame of `SIZE`."""


@pytest.mark.parametrize("units", [{}, {"units": "shares"}])
def test_places_in_shares_count_as_those_in_pixels(units: dict[str, str]) -> None:
    shares = counter(
        zones=[zone(polygon=SHARES)], lines=[line(**{"from": [0, 5 / 12], "to": [0.625, 5 / 12]})], **units
    )
    pixels = counter(zones=[zone()], lines=[line()])
    ways = [at((1, 150, y)) for y in (80, 110, 150, 190, 230)]
    assert walk(shares, ways) == walk(pixels, ways) != []
    assert shares.zones.zones[0].polygon == tuple((x, pytest.approx(y)) for x, y in SQUARE)


@EXAMPLES
@given(corners=CORNERS, size=st.tuples(st.integers(16, 4000), st.integers(16, 4000)))
def test_shares_of_any_polygon_give_its_pixels_on_any_frame(
    corners: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    parts = [(x / SIZE[0], y / SIZE[1]) for x, y in corners]
    yard = counter(zones=[zone(polygon=parts)], units="shares")
    yard.update(at(), size, 0)
    for (x, y), (px, py) in zip(corners, yard.zones.zones[0].polygon, strict=True):
        assert (px, py) == (pytest.approx(x * size[0] / SIZE[0]), pytest.approx(y * size[1] / SIZE[1]))


@EXAMPLES
@given(corners=st.lists(STEPS, min_size=4, max_size=7, unique=True))
def test_a_polygon_is_refused_as_a_bow_tie_if_and_only_if_two_of_its_edges_cross(
    corners: list[tuple[int, int]],
) -> None:
    def turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
        return int(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))

    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    cross = any(
        turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0
        for a, b in edges
        for c, d in edges
    )
    try:
        counter(zones=[zone(polygon=corners)], units="pixels")
        refused = False
    except ValueError as error:
        refused = "a bow tie" in str(error)
    assert refused == cross


def test_zones_follow_frames_that_change_their_size_and_keep_their_shape() -> None:
    yard = counter(zones=[zone()], lines=[line()])
    assert kinds(walk(yard, [at((1, 150, 90)), at((1, 150, 150))])) == ["enter", "in"]
    assert yard.update(at((1, 75, 75)), (160, 120), 20) == ()
    assert yard.zones.zones[0].polygon == ((50, 50), (100, 50), (100, 100), (50, 100))
    assert kinds(yard.update(at((1, 75, 110)), (160, 120), 20.5)) == ["leave"]


def test_zones_in_pixels_end_with_frames_of_another_shape_and_those_in_shares_go_on() -> None:
    pixels, shares = counter(zones=[zone()]), counter(zones=[zone(polygon=SHARES)])
    for places in (pixels, shares):
        places.update(at(), SIZE, 0)
    shares.update(at(), (320, 180), 1)
    assert shares.zones.zones[0].polygon[0] == (100, pytest.approx(75))
    with pytest.raises(DataError, match=r"zones.json: the frames were 320x240 and are 320x180 now"):
        pixels.update(at(), (320, 180), 1)


def test_a_file_whose_values_tell_shares_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "zones.json"
    for units in ({}, {"units": "shares"}):
        path.write_text(json.dumps({"zones": [zone(polygon=SHARES)], **units}))
        assert read_zones(path, NAMES).in_shares
        assert read_zones(path, None).in_shares
    (said,) = caplog.messages
    assert "no coordinate is beyond 1, so all are shares of the picture" in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_have_any_encoding_of_an_editor(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "zones.json"
    path.write_bytes(json.dumps({"zones": [zone(name="Höfe")]}, ensure_ascii=False).encode(encoding))
    assert read_zones(path, NAMES).zones[0].name == "Höfe"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["zones", "lines", "units", "name", "polygon", "from", "to"]), inner
        )
    ),
    max_leaves=12,
)


@EXAMPLES
@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_file_is_zones_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_zones(path, NAMES)


@EXAMPLES
@given(
    points=st.lists(
        st.tuples(*[st.floats(0, 65536) | st.floats(0, 1.02) | st.integers(0, 300)] * 2),
        min_size=3,
        max_size=8,
    ),
    units=st.sampled_from([{}, {"units": "pixels"}, {"units": "shares"}]),
    size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
)
def test_any_places_count_on_any_frame_or_are_refused(
    points: list[tuple[float, float]], units: dict[str, str], size: tuple[int, int]
) -> None:
    ends = {"from": points[0], "to": points[1]}
    try:
        places = counter(zones=[zone(polygon=points)], lines=[line(**ends)], **units)
    except ValueError:
        return
    with contextlib.suppress(DataError):
        for y in (0.0, size[1] / 2, float(size[1])):
            places.update(at((1, size[0] / 2, y)), size, y)
        annotate(np.zeros((size[1], size[0], 3), np.uint8), Detections.empty(), NAMES, zones=places)


def test_a_zone_beyond_the_frame_is_refused_with_both_sizes() -> None:
    far = counter(zones=[zone(polygon=[[0, 0], [1900, 0], [1900, 1000]])])
    with pytest.raises(
        DataError, match=r"zones.json: 'yard' reaches \(1900, 0\), but the frames are 320x240"
    ):
        far.update(at(), SIZE, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("not json", "zones {path}:1:2: no JSON (expected", id="no json"),
        pytest.param("[]", "Input should be an object", id="a list"),
        pytest.param({}, "at least one zone or line, got none", id="nothing"),
        pytest.param({"zones": [zone()], "area": 1}, "area: unknown field;", id="unknown key"),
        pytest.param(
            {"zones": [{"name": "yard", "polygn": SQUARE}]},
            "zones[0].polygn: unknown field (and 1 more);",
            id="misspelled key",
        ),
        pytest.param({"zones": [{"polygon": SQUARE}]}, "zones[0].name: Field required", id="no name"),
        pytest.param({"zones": [zone(name="")]}, "zones[0].name: ", id="empty name"),
        pytest.param(
            {"zones": [zone(polygon=SQUARE[:2])]},
            "zones[0].polygon: expected at least 3 points, got 2;",
            id="two corners",
        ),
        pytest.param(
            {"zones": [zone(polygon=[[0, 0], [5, 5], [9, 9]])]}, "corners lie on one line", id="no area"
        ),
        pytest.param(
            {"zones": [zone(polygon=[[0, 0], [5, "x"], [9, 9]])]},
            "zones[0].polygon[1][1]: Input should be a valid number, unable to parse string as a number, got",
            id="a word for a number",
        ),
        pytest.param(
            {"zones": [zone(polygon=[[10, 10], [90, 90], [90, 10], [10, 90]])]},
            "'yard': a bow tie: the edge from corner 1 crosses the edge from corner 3;",
            id="a bow tie",
        ),
        pytest.param({"zones": [zone()], "units": "shares"}, "'yard': the file is in shares", id="no shares"),
        pytest.param(
            {"zones": [zone()], "lines": [line(**{"from": [0, 0.5], "to": [1, 0.5]})]},
            "'gate': within one pixel; shares of the picture (0 to 1) are for all places",
            id="shares beside pixels",
        ),
        pytest.param(
            {"lines": [line(**{"from": [0, 0.5], "to": [1, 0.5]})], "units": "pixels"},
            "'gate': within one pixel",
            id="shares called pixels",
        ),
        pytest.param(
            {"lines": [line(**{"from": [0, 0.5], "to": [320, 0.5]})]},
            "'gate': y in shares of the picture (0.5) and the other axis in pixels (320)",
            id="one axis in shares",
        ),
        pytest.param(
            {"zones": [zone()], "units": "percent"}, "units: Input should be 'pixels'", id="no unit"
        ),
        pytest.param({"zones": [zone(polygon=[[-5, 0], [5, 5], [9, 0]])]}, "got -5", id="outside"),
        pytest.param(
            {"lines": [line(to=[0, 10, 20])]}, "lines[0].to: expected at most 2 coordinates, got 3;", id="3-d"
        ),
        pytest.param({"zones": [zone(dwell_s=0)]}, "zones[0].dwell_s", id="no stay"),
        pytest.param({"lines": [line(to=[0, 100])]}, "the same point twice", id="no length"),
        pytest.param(
            {"lines": [{"name": "gate", "from": [0, 0]}]}, "lines[0].to: Field required", id="one end"
        ),
        pytest.param(
            {"zones": [zone()], "lines": [line(name="yard")]}, "got 'yard' twice", id="one name twice"
        ),
        pytest.param(
            {"lines": [line(classes=["bus"])]},
            "'gate' names the class 'bus', which the model does not have; it has car, tram",
            id="unknown class",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_says_where(tmp_path: Path, text: Any, says: str) -> None:
    path = tmp_path / "zones.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(DataError) as refused:
        read_zones(path, NAMES)
    assert says.format(path=path) in str(refused.value)
    assert str(refused.value).startswith(f"zones {path}:")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("write", "error", "says"),
    [
        pytest.param(lambda _: None, NoInputError, "no such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), NoInputError, "no such file", id="a folder"),
        pytest.param(
            lambda path: path.write_bytes(b" " * (1 << 21)), DataError, "at most 1048576", id="huge"
        ),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe{}"), DataError, "no JSON", id="no text"),
    ],
)
def test_what_is_no_file_of_zones_is_refused(
    tmp_path: Path, write: Any, error: type[EdgeloopError], says: str
) -> None:
    path = tmp_path / "zones.json"
    write(path)
    with pytest.raises(error, match=says):
        read_zones(path, NAMES)


def test_zones_are_drawn_under_the_boxes_with_their_counts() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    places = counter(zones=[zone()], lines=[line()])
    empty = annotate(image, Detections.empty(), NAMES, zones=places)
    assert (image == 128).all()
    assert (empty[150, 98:103] != 128).any(), "the left edge of the zone"
    assert (empty[98:103, 30] != 128).any(), "the line"
    assert (empty[130:170, 130:190] == 128).all(), "the ground inside stays visible"
    walk(places, [at((1, 150, 150))])
    assert (annotate(image, Detections.empty(), NAMES, zones=places) != empty).any(), "the count has changed"


def test_labels_of_boxes_leave_the_counts_readable() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    places = counter(zones=[zone()])
    empty = annotate(image, Detections.empty(), NAMES, zones=places)
    text = (empty[80:96, 100:240] == ZONE_COLOR).all(axis=2)
    assert text.any()
    below = annotate(image, at((1, 110, 140)), NAMES, zones=places)
    assert ((below[80:96, 100:240] == ZONE_COLOR).all(axis=2) == text).all()


@pytest.mark.parametrize("size", [(8, 8), (3840, 2160)])
def test_zones_can_be_drawn_on_any_image(size: tuple[int, int]) -> None:
    places = counter(zones=[zone(polygon=[[0, 0], [8, 0], [8, 8]])], lines=[line(to=[8, 8])])
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert annotate(image, Detections.empty(), NAMES, zones=places).shape == image.shape
