"""Picture of the page of the service for the documentation, taken of the real page.

    python benchmarks/service_pictures.py parts.onnx --work /tmp/service-pictures

It runs `edgeloop serve` with a bundle of the built-in conveyor, as `edgeloop demo` makes one, on three
cameras, one of which is away, with zones and clips, and photographs the page into docs/images/.
Needs chromium and the extras `serve` and `dev`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from served_page import open_chromium, serve_page

ROOT = Path(__file__).parent.parent
WINDOW = {"width": 1280, "height": 860}
QUALITY = 80
CONFIG = """
name = "line-3"
state = "state"
web.port = 0
health.free_mb = 0
[models.parts]
file = {model}
[clips]
before_s = 1
after_s = 1
[cameras.belt]
source = "synth:conveyor?seed=1&fps=8"
zones = "zones.json"
[cameras.packing]
source = "synth:conveyor?seed=9&fps=8"
zones = "zones.json"
[cameras.door]
source = "rtsp://127.0.0.1:9/door"
"""
ZONES = {
    "zones": [{"name": "check", "polygon": [[150, 60], [480, 60], [480, 430], [150, 430]]}],
    "lines": [{"name": "exit", "from": [560, 20], "to": [560, 460]}],
}


def main() -> None:
    """Run the service, and photograph its page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path, help="Bundle of the conveyor.")
    parser.add_argument("--work", type=Path, required=True, help="Folder of the configuration and the state.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="Folder of the picture.")
    parser.add_argument("--wait-s", type=float, default=40, help="Running time of the service before it, s.")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    config = options.work / "edgeloop.toml"
    config.write_text(CONFIG.format(model=json.dumps(str(options.model.resolve()))))
    (options.work / "zones.json").write_text(json.dumps(ZONES))
    with serve_page("serve", config) as (url, _), sync_playwright() as playwright:
        browser = open_chromium(playwright)
        page = browser.new_page(viewport=WINDOW, device_scale_factor=1)  # type: ignore[arg-type]
        page.goto(url)
        time.sleep(options.wait_s)
        page.screenshot(path=options.out / "service.jpg", type="jpeg", quality=QUALITY)
        browser.close()


if __name__ == "__main__":
    main()
