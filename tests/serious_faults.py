"""Faults of a page that keep somebody from using it, as axe-core finds them."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def serious_faults(page: Page) -> list[str]:
    """Kind and element of each serious or critical fault."""
    return [
        f"{fault['id']}: {node['html']:.200}"
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
