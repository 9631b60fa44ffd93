"""`edgeloop studio` or `edgeloop serve` in a process of its own, and a browser for its page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright


@contextmanager
def serve_page(*arguments: object, cwd: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a command with these arguments: address of the page, and process."""
    command = [sys.executable, "-c", "from edgeloop.edge.cli.app import main; main()"]
    process = subprocess.Popen([*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True, cwd=cwd)
    try:
        lines = process.stderr or ()
        yield next(found[0] for line in lines if (found := re.search(r"http://[^\s\"]+", line))), process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def open_chromium(playwright: Playwright, *flags: str) -> Browser:
    """Open chromium of the system, without a screen."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *flags])
