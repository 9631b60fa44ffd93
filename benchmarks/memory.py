"""Whether memory stays flat: `python benchmarks/memory.py --frames 1000 10000`.

For each number of frames, frames of 320x240 of the built-in scene are collected, labelled, counted, and a
sample of them is drawn, each by its verb in a process of its own; printed is the peak memory of each. By
default whatever moves is labelled: then nothing is learnt, and no peak of learning hides what grows with the
frames. `--prompts` takes what `edgeloop label --prompts` does, with boxes on five frames.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge.demo.truth import SceneTruth, write_exemplars
from edge.synth import open_scene
from street_truth import DRAWN, MOVING

SEED, SIZE, STEP = 11, (320, 240), 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--prompts", default=MOVING, help="as in `edgeloop label`, or `moving`")
    arguments = parser.parse_args()
    table = Table("verb", *(f"{count} frames" for count in arguments.frames))
    with tempfile.TemporaryDirectory() as temporary:
        columns = [
            _peaks(count, arguments.prompts, Path(temporary) / str(count)) for count in arguments.frames
        ]
    for verb in columns[0]:
        table.add_row(verb, *(column[verb] for column in columns))
    Console(width=100).print(table)


def _peaks(count: int, prompts: str, out: Path) -> dict[str, str]:
    """What each verb took, by its name."""
    frames, dataset, exemplars = out / "frames", out / "dataset", out / "exemplars.json"
    source = f"synth:conveyor?seed={SEED}&size={SIZE[0]}x{SIZE[1]}&step={STEP}&frames={count}"
    peaks = {"collect": _peak("collect", source, "-o", frames, "--keep-all")}
    if prompts == MOVING:
        peaks["label"] = _peak("label", frames, "-o", dataset, "--classes", MOVING)
    else:
        write_exemplars(
            SceneTruth(open_scene("conveyor", seed=SEED, size=SIZE)), frames, exemplars, count=len(DRAWN)
        )
        peaks["label"] = _peak("label", frames, "-o", dataset, "-e", exemplars, "--prompts", prompts)
    # Frames of a belt that comes round look alike: how many leak is not asked here.
    peaks["stats"] = _peak("stats", dataset, "--limit", 1)
    peaks["audit"] = _peak("audit", dataset, "--sheet", out / "sheet.png")
    return peaks


def _peak(*words: object) -> str:
    """Peak memory and time of a verb."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "edge", *map(str, words)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"edgeloop {words[0]} ended with status {os.waitstatus_to_exitcode(status)}")
    return f"{usage.ru_maxrss / 1024:.0f} MB, {time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    main()
