"""Sources and sinks of another package, found through its entry points."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.calls import edgeloop

PLUG = '''
import time
import numpy as np
from edgeloop import Frame, Source, UnavailableError


class Flash(Source):
    """As many frames as the address says, every second one white."""

    live, fps, length, dropped, skipped = False, 10.0, None, 0, 0

    def __init__(self, name):
        self.name = name

    def __iter__(self):
        for index in range(int(self.name.rpartition("/")[2])):
            image = np.full((120, 160, 3), 255 * (index % 2), np.uint8)
            yield Frame(image, index, time.monotonic(), time.time(), self.name)

    def stop(self):
        pass


def lack(*_):
    import no_such_package


def open_flash(text, policy):
    if text == "away://1":
        raise UnavailableError("source away://1: nobody answers")
    return Flash(text)


class Tally:
    """Writes a line per frame, and a last one when it is closed."""

    def __init__(self, path, names, source):
        self.file = open(path, "a")
        self.names, self.source = "broken pipe" if path.endswith(".pipe") else names, source

    def write(self, result):
        if self.names == "broken pipe":
            raise BrokenPipeError("socket closed")
        found = [self.names[class_id] for class_id in result.detections.class_id]
        print(self.source.name, result.frame.index, found, file=self.file)

    def close(self):
        print("closed", file=self.file)
        self.file.close()
'''
ENTRY_POINTS = """
[edgeloop.sources]
flash = plug:open_flash
away = plug:open_flash
broken = plug_that_is_not_there:open
lacking = plug:lack
http = plug:open_flash

[edgeloop.sinks]
tally = plug:Tally
broken = plug:nothing
lacking = plug:lack
"""


@pytest.fixture(autouse=True)
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a source and a sink."""
    (tmp_path / "plug.py").write_text(PLUG)
    info = tmp_path / "plug-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_a_source_and_a_sink_of_another_package(block_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    done = edgeloop("run", block_model, "flash://x/3", "--sink", f"tally:{out}")
    assert done.returncode == 0, done.stderr
    assert out.read_text().splitlines() == [
        "flash://x/3 0 []",
        "flash://x/3 1 ['block']",
        "flash://x/3 2 []",
        "closed",
    ]


def test_the_name_of_a_source_of_another_package_shows_no_secret(block_model: Path) -> None:
    done = edgeloop("run", block_model, "flash://user:s3cr3t@x/3", "--json")
    assert [json.loads(line)["source"] for line in done.stdout.splitlines()] == ["flash://***@x/3"] * 3
    assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.slow
def test_each_of_several_sources_has_a_sink_of_its_own(block_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    done = edgeloop("run", block_model, "flash://x/3", "flash://y/2", "away://1", "--sink", f"tally:{out}")
    assert done.returncode == 69
    lines = out.read_text().splitlines()
    assert [sum(line.startswith(name) for line in lines) for name in ("flash://x", "flash://y")] == [3, 2]
    assert lines.count("closed") == 3
    assert "1 of 3 sources failed: source away://1: nobody answers" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(
            ["flash://x/3", "--sink", "nowhere:x"],
            2,
            "--sink nowhere: no installed package provides it; installed sinks: broken, lacking, tally",
            id="unknown sink",
        ),
        pytest.param(
            ["flash://x/3", "--sink", "broken"],
            69,
            "plug-in broken (plug:nothing) cannot be loaded: AttributeError: module 'plug' has no attribute",
            id="sink that is not in its module",
        ),
        pytest.param(
            ["broken://x"],
            69,
            "plug-in broken (plug_that_is_not_there:open) cannot be loaded: ModuleNotFoundError: No module",
            id="source that cannot be imported",
        ),
        pytest.param(
            ["lacking://x"],
            69,
            "plug-in lacking: ModuleNotFoundError: No module named 'no_such_package'",
            id="source that fails to open",
        ),
        pytest.param(
            ["flash://x/3", "--sink", "lacking"],
            69,
            "plug-in lacking: ModuleNotFoundError: No module named 'no_such_package'",
            id="sink that fails to open",
        ),
        pytest.param(["http://127.0.0.1:9/3"], 69, "nobody answers", id="scheme that is built in"),
        pytest.param(["flush://x"], 2, "flush://x: not an address; expected http", id="unknown scheme"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_one_line(
    block_model: Path, arguments: list[str], code: int, says: str
) -> None:
    done = edgeloop("run", block_model, *arguments)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.slow
def test_a_sink_that_fails_names_its_source_and_is_in_the_summary(block_model: Path, tmp_path: Path) -> None:
    figures = tmp_path / "run.json"
    sink = f"tally:{tmp_path / 'out.pipe'}"
    done = edgeloop("run", block_model, "flash://x/3", "flash://y/3", "--sink", sink, "--summary", figures)
    says = "flash://x/3: BrokenPipeError: socket closed"
    assert done.returncode == 70
    assert f"edgeloop: error: 2 of 2 sources failed: {says}" in done.stderr
    assert not figures.exists(), "no frame was processed"
