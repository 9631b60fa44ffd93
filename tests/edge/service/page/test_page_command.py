"""`edgeloop serve` as a process: it says its address once, and ends at once with viewers connected."""

from __future__ import annotations

import http.client
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.served import started

CONFIG = """
state = "state"
log.format = "text"
web.port = {port}
health.free_mb = 0
[models.block]
file = "{model}"
threads = 1
[cameras.belt]
source = "synth:conveyor?seed=1&fps=10&size=320x240"
"""


def test_it_says_its_address_and_ends_with_viewers(block_model: Path, tmp_path: Path) -> None:
    config = tmp_path / "edgeloop.toml"
    config.write_text(CONFIG.format(port=0, model=block_model))
    with started("serve", config) as (process, served):
        parts = urlsplit(served.url)
        links = [http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20) for _ in range(3)]
        try:
            for link, path in zip(
                links, ("/cameras/belt.mjpg", "/cameras/belt.mjpg", "/api/events"), strict=True
            ):
                link.request("GET", f"/{path}")
                assert link.getresponse().readline()
            began_at = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began_at < 4  # the page, the loops and the process of the model
        finally:
            for link in links:
                link.close()
        assert process.stderr is not None
        assert "http://" not in process.stderr.read()
