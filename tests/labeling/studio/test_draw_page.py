"""Drawing in a browser: mouse, keys, masks, two pages, a server that goes and comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.labeling.studio.serving import Serving, serve
from tests.waiting import until

DRAGGED = [40, 50, 120, 130]
KEY = "0123456789abcdefghij"
BROKEN = 6


def show(page: Page, frame: int) -> None:
    """Wait until a frame is open."""
    expect(page.get_by_text(f"Frame {frame}", exact=True)).to_be_visible()
    until(lambda: page.evaluate("document.querySelector('frame-view').width > 0"))
    expect(page.get_by_role("checkbox", name="Complete")).to_be_enabled()


def places(page: Page, *points: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of the image on the page."""
    script = "points => points.map(point => document.querySelector('frame-view').toPage(point))"
    return [(x, y) for x, y in page.evaluate(script, points)]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x1, y1), (x2, y2) = places(page, start, end)
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move(x2, y2, steps=3)
    page.mouse.up()


def saved(studio: Serving, frame: int) -> list[dict[str, Any]]:
    return list(studio.api("GET", f"frames/{frame}/boxes")["boxes"])


def corners(studio: Serving, frame: int) -> list[list[int]]:
    return [[round(value) for value in box["xyxy"]] for box in saved(studio, frame)]


def draw(studio: Serving, frame: int, *boxes: list[float]) -> None:
    drawn = [{"xyxy": box, "name": "bolt"} for box in boxes]
    studio.api("PUT", f"frames/{frame}/boxes", {"boxes": drawn, "complete": True})


def test_boxes_drawn_with_the_mouse_survive_a_reload(
    studio: Serving, open_page: Callable[[str], Page]
) -> None:
    page = open_page(f"{studio.url}#draw/1")
    show(page, 1)
    page.keyboard.press("s")  # no snapping
    drag(page, (40, 50), (120, 130))
    page.get_by_role("combobox", name="Class").fill("bolt")
    page.keyboard.press("Enter")
    drag(page, (120, 90), (140, 90))  # its right side
    drag(page, (60, 60), (65, 58))  # its inside
    until(lambda: corners(studio, 1) == [[45, 48, 145, 128]])
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()  # nothing is under way
    page.reload()
    show(page, 1)
    expect(page.get_by_role("button", name="bolt, from 45, 48 to 145, 128")).to_be_visible()
    expect(page.get_by_role("option", name="Frame 1, 1 box, complete")).to_be_visible()
    page.keyboard.press("Control+z")  # history is of the page
    page.keyboard.press("w")
    page.keyboard.press("Delete")
    until(lambda: studio.api("GET", "frames")["drawn"] == {})


def test_a_dragged_box_snaps_and_a_click_gives_a_mask(
    studio: Serving, open_page: Callable[[str], Page]
) -> None:
    draw(studio, 1, [0, 0, 3, 3])
    page = open_page(f"{studio.url}#draw/2")
    show(page, 2)
    drag(page, (10, 90), (90, 190))
    until(lambda: any(box["polygons"] for box in saved(studio, 2)))
    snapped = corners(studio, 2)
    page.keyboard.press("Control+z")
    until(lambda: corners(studio, 2) == [[10, 90, 90, 190]])
    page.keyboard.press("Control+Shift+Z")
    until(lambda: corners(studio, 2) == snapped)
    page.keyboard.press("e")
    until(lambda: saved(studio, 2) == [])
    (at,) = places(page, (160, 120))
    page.mouse.click(*at)
    until(lambda: saved(studio, 2))
    first = saved(studio, 2)
    page.keyboard.press("m")
    until(lambda: saved(studio, 2) != first)
    page.mouse.click(*places(page, (160, 200))[0], button="right")
    until(lambda: page.evaluate("document.querySelector('studio-draw').boxes.length") == 1)


def test_keys_alone_draw_a_box_and_name_it(page: Page, studio: Serving) -> None:
    page.get_by_role("option", name="Frame 0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    show(page, 1)
    page.keyboard.press("n")
    page.keyboard.type("gear")
    page.keyboard.press("Enter")
    until(lambda: [box["name"] for box in saved(studio, 1)] == ["gear"])
    ((x1, y1, x2, y2),) = corners(studio, 1)
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Alt+Shift+ArrowUp")
    until(lambda: corners(studio, 1) == [[x1 - 10, y1 - 2, x2 - 9, y2 - 1]])
    until(lambda: studio.project.drawn.names == ("gear",))
    page.keyboard.press("0")
    until(lambda: saved(studio, 1)[0]["name"] == "_ignore")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    show(page, 2)
    page.keyboard.press("c")
    until(lambda: corners(studio, 2) == corners(studio, 1))
    page.keyboard.press("g")
    expect(page.get_by_role("option", name="Frame 2, 1 box, complete")).to_be_visible()
    page.get_by_role("button", name="Not drawn").click()
    expect(page.get_by_role("option", name="Frame 3")).to_be_visible()
    expect(page.get_by_role("option", name="Frame 2")).to_have_count(0)


def test_a_class_named_while_a_new_one_is_being_saved_is_kept(page: Page, studio: Serving) -> None:
    page.get_by_role("option", name="Frame 1").click()
    show(page, 1)
    held: list[Route] = []
    page.route("**/api/frames/1/boxes", lambda route: held.append(route), times=1)
    with page.expect_request(lambda request: request.method == "PUT"):
        page.keyboard.press("n")
    page.keyboard.type("gear")
    page.keyboard.press("Enter")
    page.keyboard.press("0")
    with page.expect_response("**/api/classes") as reply:
        held[0].continue_()
    assert reply.value.ok
    assert studio.project.drawn.names == ("gear", "_ignore")


def test_two_pages_follow_each_other(studio: Serving, open_page: Callable[[str], Page]) -> None:
    draw(studio, 1, [10, 10, 50, 50])
    one, other = (open_page(f"{studio.url}#draw/1") for _ in range(2))
    for page in (one, other):
        show(page, 1)
        page.keyboard.press("w")
    one.keyboard.press("ArrowRight")
    expect(other.get_by_role("button", name="bolt, from 11, 10 to 51, 50")).to_be_visible()
    one.evaluate("document.querySelector('studio-draw').openFrame(2)")
    show(one, 2)
    # Both change frame 1 from the same base: one of them has not heard of the other's change.
    base = studio.api("GET", "frames/1/boxes")["base"]
    other.route("**/api/frames/1/boxes", lambda route: hold(route, studio, base))
    other.keyboard.press("Delete")
    notice = "Another page changed frame 1: its boxes are shown. Ctrl+Z brings yours back."
    expect(other.get_by_text(notice)).to_be_visible()
    expect(other.get_by_role("button", name="nut, from 5, 5 to 9, 9")).to_be_visible()
    other.console_errors.clear()  # type: ignore[attr-defined]
    other.unroute_all()
    other.keyboard.press("Control+z")
    until(lambda: saved(studio, 1) == [])


def hold(route: Any, studio: Serving, base: str) -> None:
    """Let a script be faster than the page, once."""
    if route.request.method == "PUT" and studio.api("GET", "frames/1/boxes")["base"] == base:
        box = {"xyxy": [5, 5, 9, 9], "name": "nut"}
        studio.api("PUT", "frames/1/boxes", {"boxes": [box], "complete": True, "base": base})
    route.continue_()


def test_a_frame_that_cannot_be_read_says_why_and_the_others_go_on(page: Page) -> None:
    expect(page.get_by_role("option", name=f"Frame {BROKEN}, cannot be read")).to_be_visible()
    page.get_by_role("option", name=f"Frame {BROKEN}").click()
    expect(page.get_by_text("broken.jpg: ")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Complete")).to_be_disabled()
    page.keyboard.press("a")
    show(page, BROKEN - 1)
    expect(page.get_by_text("broken.jpg: ")).to_be_hidden()


def test_boxes_drawn_while_the_server_is_away_are_saved_when_it_is_back(
    frames: Path, open_page: Callable[[str], Page]
) -> None:
    with serve(frames, key=KEY) as first:
        draw(first, 1, [10, 10, 50, 50])
        page = open_page(f"{first.url}#draw/1")
        show(page, 1)
        page.keyboard.press("w")
    port = int(first.url.split(":")[2].split("/")[0])
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("The server does not answer. Your boxes are kept here")).to_be_visible()
    page.keyboard.press("ArrowDown")
    with serve(frames, port=port, key=KEY) as second:
        until(lambda: corners(second, 1) == [[11, 11, 51, 51]])
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.console_errors.clear()  # type: ignore[attr-defined]
        page.close()
