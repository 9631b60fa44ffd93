"""Pictures of the studio for the README and the documentation, taken of the real page.

    python benchmarks/studio_pictures.py --work /tmp/studio-pictures

It renders frames of the built-in conveyor, draws five of them from the scene's own truth, labels, trains and
exports through the page's API, and photographs every tab into docs/images/. A second call with the same
folder only takes the pictures. Needs chromium and the extra `dev`.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from playwright.sync_api import Page, sync_playwright
from served_page import open_chromium, serve_page

from edgeloop.edge.synth import Scene, open_scene

ROOT = Path(__file__).parent.parent
SCENE = "conveyor"
SEED = 11
SIZE = (960, 540)
NUMBERS = range(0, 60 * 45, 45)
CLICKED = 4  # frame of the Draw picture
DRAWN = range(0, 60, 12)
WINDOW = {"width": 1280, "height": 800}
QUALITY = 78  # of JPEG: about 100 kB each
KEY = "pictures00000000"


def main() -> None:
    """Prepare the project, and photograph its tabs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="Folder of the frames and the project.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="Folder of the pictures.")
    parser.add_argument("--train-s", type=float, default=180, help="Wall time of the training, s.")
    options = parser.parse_args()
    scene = open_scene(SCENE, seed=SEED, size=SIZE)
    frames = options.work / "conveyor"
    write_frames(scene, frames)
    with serve_page("studio", frames.name, "--key", KEY, cwd=frames.parent) as (url, _):
        prepare(url, scene, options.train_s)
        photograph(url, options.out)


def write_frames(scene: Scene, folder: Path) -> None:
    """Render the frames, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        path = folder / f"belt_{number:05d}.jpg"
        if not path.exists():
            cv2.imwrite(str(path), scene.render(number))


def api(url: str, method: str, path: str, body: Any = None) -> Any:
    """Ask the API."""
    data = None if method == "GET" else json.dumps(body).encode() if body is not None else b""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(f"{url}api/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)


def prepare(url: str, scene: Scene, train_s: float) -> None:
    """Draw, label, train, export, begin an audit, and add zones, as far as that was not done."""
    if not api(url, "GET", "frames")["drawn"]:
        for number in DRAWN:
            truth = scene.truth(NUMBERS[number])
            boxes = [
                {"xyxy": box, "name": scene.classes[class_id]}
                for box, class_id in zip(truth.xyxy.tolist(), truth.class_id.tolist(), strict=True)
            ]
            api(url, "PUT", f"frames/{number}/boxes", {"boxes": boxes, "complete": True})
    for verb, settings in (("label", {}), ("train", {"time_limit_s": train_s}), ("export", {})):
        job = api(url, "GET", f"jobs/{verb}")
        if not job["exists"]:
            api(url, "POST", f"jobs/{verb}/start", {"settings": settings})
        while (job := api(url, "GET", f"jobs/{verb}"))["status"] in {"running", "pausing"}:
            time.sleep(1)
        print(verb, job["status"], round(job["seconds"]), "s", flush=True)
    api(url, "PUT", f"frames/{CLICKED}/boxes", {"boxes": [], "complete": False})
    for _ in range(300):
        if api(url, "GET", "proposals")["searched"] == len(NUMBERS):
            break
        time.sleep(1)
    if not api(url, "GET", "audit")["choice"]:
        api(url, "POST", "audit/start", {"boxes": 100, "frames": 20})
        for place in range(37):
            api(url, "PUT", f"audit/boxes/{place}", {"right": True})
    if not api(url, "GET", "zones")["base"]:
        zone = [[0.08, 0.24], [0.4, 0.24], [0.44, 0.78], [0.05, 0.78]]
        api(
            url,
            "PUT",
            "zones",
            {
                "zones": [{"name": "packing", "points": zone, "dwell_s": 20}],
                "lines": [{"name": "gate", "points": [[0.68, 0.82], [0.66, 0.2]], "classes": ["gear"]}],
            },
        )


def photograph(url: str, out: Path) -> None:
    """Take a picture of every tab."""
    with sync_playwright() as playwright:
        browser = open_chromium(playwright, "--disable-background-networking")
        for name, steps in TABS.items():
            page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
            page.goto(f"{url}#{name}")
            page.wait_for_timeout(1500)
            if steps is not None:
                steps(page)
            page.wait_for_timeout(1000)
            path = out / f"studio-{name}.jpg"
            page.screenshot(path=path, type="jpeg", quality=QUALITY)
            page.close()
            print(path, path.stat().st_size // 1000, "kB", flush=True)
        browser.close()


def show_draw(page: Page) -> None:
    """Outline an object of a frame that nobody drew, by a click."""
    scene = open_scene(SCENE, seed=SEED, size=SIZE)
    truth = scene.truth(NUMBERS[CLICKED])
    left, top, right, bottom = truth.xyxy[0].tolist()
    middle = [(left + right) / 2, (top + bottom) / 2]
    page.goto(page.url.partition("#")[0] + f"#draw/{CLICKED}")
    page.wait_for_timeout(3000)
    page.keyboard.press(str(1 + int(truth.class_id[0])))
    x, y = page.evaluate("([x, y]) => document.querySelector('frame-view').toPage([x, y])", middle)
    page.mouse.move(x, y)
    page.wait_for_timeout(500)
    page.mouse.click(x, y)


def show_review(page: Page) -> None:
    """Wait until the queue is arranged."""
    page.locator("studio-review img").first.wait_for(timeout=300_000)


def show_zones(page: Page) -> None:
    """Select the line."""
    page.keyboard.press("q")


TABS: dict[str, Callable[[Page], None] | None] = {
    "draw": show_draw,
    "label": None,
    "review": show_review,
    "audit": None,
    "train": None,
    "try": None,
    "zones": show_zones,
}


if __name__ == "__main__":
    main()
