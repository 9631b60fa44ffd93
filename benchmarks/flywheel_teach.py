"""Time until a student answers: `python benchmarks/flywheel_teach.py --out OUT`, on an idle machine.

`edgeloop teach` runs on the conveyor in a process of its own. The long way round to a detector is `edgeloop
demo` on the same scene, unless OUT/demo holds one already. Both detectors are scored on the same frames of an
hour later.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import run
from typing import Any

from edgeloop.edge.demo.loop import LIVE_START, STEP
from edgeloop.edge.demo.score import score_detector
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from report import Table, add_write_option, publish

_SEED, _SCORED = 7, 200  # the seed of `edgeloop demo`, and the number of frames that it scores on
_GOALS = {"first": 45.0, "student": 360.0, "ratio": 0.95}

Moment = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--duration", type=float, default=480, help="Seconds of teaching.")
    add_write_option(parser, "teach")
    arguments = parser.parse_args()
    loop, demo = arguments.out / "loop", arguments.out / "demo"
    if loop.exists():  # what was learned in it would be timed as if nothing had been
        parser.error(f"{loop}: exists already; remove it, or name another folder with --out")
    if not (demo / "report.json").is_file():
        _call("demo", "--out", demo, "--seed", _SEED)
    _call("teach", f"synth:conveyor?seed={_SEED}&fps=60", "-o", loop, "--duration", arguments.duration)
    moments = [json.loads(line) for line in (loop / "timeline.jsonl").read_text().splitlines()]
    note = (
        "Frames/s: median over the seconds in which each answered. mAP50: on the same "
        f"{_SCORED} frames of an hour later; the long way round is `edgeloop demo`."
    )
    publish(arguments.write, teach_table(moments, _scores(loop, demo)), note=note)


def _call(*words: object) -> None:
    run([sys.executable, "-m", "edgeloop", *map(str, words)], check=True)


def _scores(loop: Path, demo: Path) -> tuple[float | None, float]:
    """Score the student, None if there is none, and the detector of the demo; mAP50."""
    opened = LoopFolder.open(loop)
    current, scene = opened.current(), open_scene("conveyor", seed=_SEED)
    student = None
    if current is not None:
        bundle = opened.bundle(current.number)
        student = score_detector(scene, bundle, start=LIVE_START, count=_SCORED, step=STEP)["map50"]
    return student, float(json.loads((demo / "report.json").read_text())["detector"]["map50"])


def teach_table(moments: Sequence[Moment], scores: tuple[float | None, float]) -> Table:
    """Build the table from the timeline of a teaching and the scores of student and demo."""
    student, long_way = scores
    first = _time(moments, lambda moment: moment["frames"] > 0)
    taken_over = _time(moments, lambda moment: str(moment["answers"]).startswith("student"))
    rows = [
        ("first answer, s", f"{_GOALS['first']:.0f} or less", _cell(first, 1)),
        ("the student answers, s", f"{_GOALS['student']:.0f} or less", _cell(taken_over, 1)),
        ("frames/s of the teacher", "", _cell(_rate(moments, "teacher"), 1)),
        ("frames/s of the student", "", _cell(_rate(moments, "student"), 1)),
        ("mAP50 of the long way round", "", _cell(long_way, 3)),
        ("mAP50 of the student", "", _cell(student, 3)),
        (
            "ratio",
            f"{_GOALS['ratio']:.2f} or more",
            _cell(None if student is None else student / long_way, 3),
        ),
    ]
    return Table("<>>", ("teach", "goal", "measured"), [rows])


def _time(moments: Sequence[Moment], begins: Callable[[Moment], bool]) -> float | None:
    return next((float(moment["time_s"]) for moment in moments if begins(moment)), None)


def _rate(moments: Sequence[Moment], who: str) -> float | None:
    rates = [moment["fps"] for moment in moments if str(moment["answers"]).startswith(who) and moment["fps"]]
    return statistics.median(rates) if rates else None


def _cell(figure: float | None, places: int) -> str:
    return "never" if figure is None else f"{figure:.{places}f}"


if __name__ == "__main__":
    main()
