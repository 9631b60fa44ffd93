"""Speed of the studio's page, and a person's effort on it: `python benchmarks/studio.py STREET`.

The page runs in chromium without a screen, on the machine that serves it. A click is measured in the page,
from `pointerdown` until the canvas with its mask is drawn; showing it on a screen takes up to one frame more.
5,000 frames are opened from the start of the command until all thumbnails in sight are shown.

For effort, a scripted person (scripted_person.py) draws five frames of the street, evenly spaced, with a
mouse of real pixels on a screen of 1920x1080: plain boxes, boxes that snap after a drag, clicks, and
proposals: then the first frame is drawn, and on each further one the person settles what was learned from
those before and draws what is missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, sync_playwright
from scripted_person import Person, iou, wait_until
from served_page import open_chromium, serve_page

from report import Table, add_write_option, publish

FRAMES = 5000
CLICKS = 120
HOVER_S = 6.0
EXACT_PX = 2.5  # standard deviation of where a press or release ends up, screen px
HURRIED = 0.06  # the same of a hurried hand, in sides of the box
PLAIN = "plain boxes"
BOUND = "bound: each click exact and right"
CLICK = "click if the mask shown fits, else drag"
PROPOSALS = "proposals by key, the rest by careful drag, snapped"
GESTURES = (PLAIN, "careful drag, snapped", "hurried drag, snapped", CLICK, PROPOSALS, BOUND)
LEARNING_S = 120.0  # waited for proposals after each frame, at most
PARTS = ("click", "open", "drawing")
# Requests under way, and clicks timed from the press to the picture that holds their mask.
_PROBE = """
window.asking = 0;
window.clicks = [];
const plain = window.fetch;
window.fetch = async (url, options) => {
  const counts = /masks|snap/.test(url);
  window.asking += counts;
  try {
    const reply = await plain(url, options), body = await reply.clone().text();
    return new Response(body, {status: reply.status, headers: reply.headers});
  } finally { setTimeout(() => { window.asking -= counts; }); }
};
let pressed = 0, had = 0;
const outlined = (view) => view.shapes.filter(({label, polygons}) => label && polygons?.length).length;
document.addEventListener('pointerdown', (event) => {
  pressed = event.timeStamp;
  had = outlined(document.querySelector('frame-view'));
}, {capture: true});
document.addEventListener('drawn', (event) => {
  if (!pressed || outlined(event.target) <= had) return;
  window.clicks.push(performance.now() - pressed);
  pressed = 0;
}, {capture: true});
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("street", type=Path, help="Folder with images/ and instances.json.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="Parts to measure.")
    parser.add_argument("--clicks", type=int, default=CLICKS, help="Clicks that are timed in each row.")
    parser.add_argument("--frames", type=int, default=FRAMES, help="Frames to open.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the places and of the hand.")
    add_write_option(parser, "studio")
    arguments = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = open_chromium(playwright, "--enable-precise-memory-info")
        out = Path(folder)
        if "click" in arguments.only:
            tables.append(_time_clicks(browser, arguments, out / "click"))
        if "open" in arguments.only:
            tables.append(_time_opening(browser, arguments, out / "open"))
        if "drawing" in arguments.only:
            tables.append(_measure_effort(browser, arguments, out / "drawing"))
        browser.close()
    publish(
        arguments.write,
        *tables,
        note=f"The hand of seed {arguments.seed} misses by {EXACT_PX} screen px; a hurried one by "
        f"{HURRIED:.0%} of the box's sides if that is more. The bound is the way from object to object, "
        "with one press each.",
    )


def _time_clicks(browser: Browser, arguments: argparse.Namespace, out: Path) -> Table:
    """Clicks and hovering, at the size of the street's frames."""
    truth = _truth(arguments.street)
    names = sorted(truth)[:: max(1, len(truth) // 200)][:200]
    frames = _link(arguments.street, names, out / "frames")
    rng = np.random.default_rng(arguments.seed)
    rows: list[tuple[str, ...]] = []
    with serve_page("studio", frames) as (url, _):
        # The first frame encodes ever others in the background: their number counts up.
        ahead = itertools.count(3)
        for title, preview, busy in (
            ("click to mask", False, False),
            ("click to mask, next frame encoded meanwhile", False, True),
            ("click to mask that the pointer showed", True, False),
        ):
            page = _open(browser, url, preview=preview)
            middles = [(box[:2] + box[2:]) / 2 for box in truth[names[0]]]
            for _ in range(arguments.clicks):
                x, y = middles[rng.integers(len(middles))] + rng.normal(scale=3, size=2)
                at = page.evaluate("(at) => document.querySelector('frame-view').toPage(at)", [x, y])
                page.mouse.move(*at)
                page.wait_for_timeout(300 if preview else 20)
                if busy:
                    _encode(page, next(ahead) % len(names))
                page.keyboard.down("Control")
                seen = page.evaluate("window.clicks.length")
                page.mouse.click(*at)
                page.keyboard.up("Control")
                wait_until(page, f"window.clicks.length > {seen}", limit_s=2)
                page.keyboard.press("Control+z")
            rows.append((title, *_percentiles(page.evaluate("window.clicks"))))
            page.context.close()
        page = _open(browser, url, preview=False)
        rows.append(("mask from the API", *_percentiles(_time_api(page, truth[names[0]], arguments.clicks))))
        page.context.close()
        for title, busy in (("hover", False), ("hover, next frames encoded meanwhile", True)):
            page = _open(browser, url, preview=True)
            rows.append((title, "", "", "", f"{_hover(page, ahead, len(names), busy=busy):.1f} a second"))
            page.context.close()
    header = ("768x432 px", "p50", "p95", "p99", "rate")
    return Table("<>>>>", header, [[(*row, "")[:5] for row in rows]])


def _time_api(page: Page, boxes: NDArray[np.float32], count: int) -> list[float]:
    """Milliseconds of requests for masks, asked from the page one after the other."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    points = [middles[index % len(middles)].tolist() for index in range(count)]
    times: list[float] = page.evaluate(
        """async (points) => {
          const times = [], headers = {'Content-Type': 'application/json'};
          for (const point of points) {
            const began = performance.now(), body = JSON.stringify({points: [point], labels: [1]});
            await (await fetch('api/frames/0/masks', {method: 'POST', headers, body})).json();
            times.push(performance.now() - began);
          }
          return times;
        }""",
        points,
    )
    return times


def _hover(page: Page, ahead: Iterator[int], frames: int, *, busy: bool) -> float:
    """Previews a second while the pointer moves over the frame."""
    answers: list[float] = []
    page.on("requestfinished", lambda asked: answers.append(0.0) if asked.url.endswith("masks") else None)
    began = time.monotonic()
    for step in itertools.count():
        elapsed = time.monotonic() - began
        if elapsed > HOVER_S:
            break
        if busy and step % 20 == 0:
            _encode(page, next(ahead) % frames)
        place = [384 + 300 * np.sin(elapsed), 216 + 160 * np.cos(1.7 * elapsed)]
        page.mouse.move(*page.evaluate("(at) => document.querySelector('frame-view').toPage(at)", place))
        page.wait_for_timeout(8)
    return len(answers) / HOVER_S


def _encode(page: Page, number: int) -> None:
    page.evaluate(f"void fetch('api/frames/{number}/encode', {{method: 'POST', body: ''}})")


def _time_opening(browser: Browser, arguments: argparse.Namespace, out: Path) -> Table:
    """A folder of many frames, from the command to its thumbnails, and the memory of both ends."""
    names = sorted(_truth(arguments.street))
    frames = out / "frames"
    frames.mkdir(parents=True)
    for number, name in zip(range(arguments.frames), itertools.cycle(names)):
        shutil.copyfile(arguments.street / "images" / name, frames / f"{number:06d}{Path(name).suffix}")
    began = time.monotonic()
    with serve_page("studio", frames) as (url, process):
        served = time.monotonic() - began
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        opened = time.monotonic()
        page.goto(url)
        shown = "(() => { const all = [...document.querySelectorAll('frame-grid img')]; "
        shown += "return all.length > 0 && all.every((each) => each.naturalWidth > 0); })()"
        wait_until(page, shown)
        visible = time.monotonic() - opened
        rows = [
            ("command until it listens", f"{served:.2f} s"),
            ("page until all thumbnails in sight are shown", f"{visible:.2f} s"),
            ("together", f"{served + visible:.2f} s"),
            ("server's memory", _megabytes(process.pid)),
            ("page's heap", _heap(page)),
        ]
        for share in np.linspace(0, 1, 60):
            page.evaluate(
                f"(list => list.scrollTo(0, {share} * list.scrollHeight))"
                "(document.querySelector('frame-grid .list'))"
            )
            page.wait_for_timeout(60)
        wait_until(page, shown)
        rows += [
            ("server's memory after all frames were scrolled past", _megabytes(process.pid)),
            ("page's heap after all frames were scrolled past", _heap(page)),
        ]
        page.close()
    return Table("<>", (f"{arguments.frames:,} frames", ""), [rows])


def _measure_effort(browser: Browser, arguments: argparse.Namespace, out: Path) -> Table:
    """Five frames drawn by gesture."""
    truth = _truth(arguments.street)
    names = [sorted(truth)[place] for place in np.linspace(0, len(truth) - 1, 5).astype(int)]
    classes = _classes(arguments.street)
    rows, waits = [], []
    for title in GESTURES:
        frames = _link(arguments.street, names, out / str(GESTURES.index(title)))
        with serve_page("studio", frames) as (url, _):
            page = _open(
                browser,
                url,
                preview=title == CLICK,
                snap=title != PLAIN,
                wide=True,
                classes=classes,
            )
            person = Person(page, EXACT_PX, np.random.default_rng(arguments.seed))
            ious = []
            for number, name in enumerate(names):
                page.evaluate(f"document.querySelector('studio-draw').openFrame({number})")
                page.wait_for_timeout(800)
                person.start()
                ious += _draw_frame(person, truth[name], _class_ids(arguments.street, name), title, classes)
                if title == PROPOSALS and number + 1 < len(names):
                    person.complete()
                    waits.append(_wait_for_proposals(page, learned_from=number + 1))
            page.context.close()
        figures = (person.travel_px, person.presses, person.corrections, person.keys)
        rows.append((title, len(ious), float(np.mean(ious)), *figures))
    plain = rows[0]
    shown = [
        (
            title,
            f"{travel:,.0f} px",
            f"{travel / plain[3]:.0%}",
            str(presses),
            f"{presses / plain[4]:.0%}",
            str(corrections),
            str(keys),
            f"{quality:.3f}",
        )
        for title, _, quality, travel, presses, corrections, keys in rows
    ]
    header = (f"{plain[1]} objects", "travel", "", "presses", "", "corrections", "keys", "mean IoU")
    waited = f"proposals were waited for {np.median(waits):.0f} s after a frame"
    return Table("<>>>>>>>", header, [shown, [(waited, *[""] * 7)]])


def _wait_for_proposals(page: Page, *, learned_from: int) -> float:
    """Wait until what was learned from so many frames was looked for in all others; the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < LEARNING_S:
        said = page.evaluate("fetch('api/proposals').then((reply) => reply.json())")
        if said["learned_from"] == learned_from and said["searched"]:
            break
        page.wait_for_timeout(250)
    page.wait_for_timeout(2000)  # the search of four frames
    return time.monotonic() - began


def _draw_frame(
    person: Person, boxes: NDArray[np.float32], classes: Sequence[int], gesture: str, names: Sequence[str]
) -> list[float]:
    """Draw all objects of a frame, whose classes are number keys; the IoU of each."""
    accepted = person.settle(boxes, [names[each - 1] for each in classes]) if gesture == PROPOSALS else {}
    ious = [iou(boxes[index], person.correct(boxes[index], box)) for index, box in accepted.items()]
    left = [index for index in range(len(boxes)) if index not in accepted]
    while left:
        index = left.pop(person.nearest(boxes[left]))
        box = boxes[index]
        person.choose(classes[index])
        if gesture == BOUND:
            person.move_to(box)
            ious.append(1.0)
            continue
        made = person.click(box) if gesture == CLICK else None
        if made is None:
            made = person.drag(box, error=HURRIED if gesture.startswith("hurried") else 0)
        ious.append(iou(box, person.correct(box, made)))
    return ious


def _open(
    browser: Browser,
    url: str,
    *,
    preview: bool,
    snap: bool = True,
    wide: bool = False,
    classes: Sequence[str] = ("object",),
) -> Page:
    """Open the first frame, encoded; names of classes are for the number keys."""
    viewport = {"width": 1920, "height": 1080} if wide else {"width": 1280, "height": 800}
    context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
    settings = json.dumps({"preview": preview, "snap": snap})
    context.add_init_script(f"localStorage.setItem('studio.draw', {json.dumps(settings)});\n{_PROBE}")
    page = context.new_page()
    page.goto(url)
    page.evaluate(
        "(names) => fetch('api/classes', {method: 'PUT', headers: {'Content-Type': 'application/json'}, "
        "body: JSON.stringify({names})})",
        list(classes),
    )
    page.goto(f"{url}#draw/0")
    page.reload()
    wait_until(page, "document.querySelector('frame-view')?.width > 0")
    page.wait_for_timeout(1500)
    return page


def _truth(street: Path) -> dict[str, NDArray[np.float32]]:
    """Boxes (N, 4) of each image that has any."""
    coco = json.loads((street / "instances.json").read_text())
    boxes: dict[int, list[list[float]]] = {}
    for label in coco["annotations"]:
        x, y, width, height = label["bbox"]
        boxes.setdefault(label["image_id"], []).append([x, y, x + width, y + height])
    images = {image["file_name"]: image["id"] for image in coco["images"] if image["id"] in boxes}
    return {name: np.array(boxes[number], dtype=np.float32) for name, number in images.items()}


def _classes(street: Path) -> list[str]:
    coco = json.loads((street / "instances.json").read_text())
    return [each["name"] for each in sorted(coco["categories"], key=lambda each: each["id"])]


def _class_ids(street: Path, name: str) -> list[int]:
    """Number key of each box of an image."""
    coco = json.loads((street / "instances.json").read_text())
    (number,) = (image["id"] for image in coco["images"] if image["file_name"] == name)
    return [label["category_id"] for label in coco["annotations"] if label["image_id"] == number]


def _link(street: Path, names: Sequence[str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).symlink_to((street / "images" / name).resolve())
    return folder


def _percentiles(times_ms: Sequence[float]) -> tuple[str, str, str]:
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    return f"{p50:.0f} ms", f"{p95:.0f} ms", f"{p99:.0f} ms"


def _megabytes(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return f"{int(kilobytes) / 1024:.0f} MB"


def _heap(page: Page) -> str:
    return f"{page.evaluate('performance.memory.usedJSHeapSize') / 2**20:.0f} MB"


if __name__ == "__main__":
    main()
