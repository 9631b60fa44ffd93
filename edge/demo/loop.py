"""Demo: collect, label, train, export, run, and a report against the ground truth of the scene."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.demo.overview import draw_overview
from edgeloop.edge.demo.scene_truth import write_exemplars
from edgeloop.edge.demo.score import score_detector, score_labels
from edgeloop.edge.synth import open_scene

__all__ = ["DemoPlan", "run_demo"]

Report = dict[str, Any]


SCENE = "conveyor"
STEP = 20  # scene frames, at 30 per second, from one collected frame to the next
EXEMPLARS = 5  # frames with drawn boxes
LIVE_FRAMES, LIVE_FPS = 600, 60
LIVE_START = 108_000  # scene frame: the device runs an hour after the footage


@dataclass(frozen=True)
class DemoPlan:
    """Sizes and limits of a demo.

    Attributes:
        out: Folder of all results.
        seed: Random seed.
        size: Width and height of the camera image, px.
        frames: Number of frames to collect.
        train_seconds: Time limit of the training.
        imgsz: Side of the detector's input, px.
    """

    out: Path
    seed: int
    size: tuple[int, int]
    frames: int
    train_seconds: int
    imgsz: int

    def source(self, **query: int) -> str:
        """Build the SOURCE that any verb takes."""
        options = {"seed": self.seed, "size": f"{self.size[0]}x{self.size[1]}", **query}
        return f"synth:{SCENE}?" + "&".join(f"{name}={value}" for name, value in options.items())


def run_demo(plan: DemoPlan) -> Report:
    """Run the loop and write `report.json`, `overview.png` and `annotated.mp4` into `plan.out`.

    Args:
        plan: Sizes and limits; `plan.out` exists and is empty.

    Returns:
        The report, as written.

    Raises:
        VerbError: A verb failed and printed why. Earlier results stay.
    """
    out, clock = plan.out, _Clock()
    scene = open_scene(SCENE, seed=plan.seed, size=plan.size)
    frames, exemplars, dataset = out / "frames", out / "exemplars.json", out / "dataset"
    run, bundle = out / "run", out / f"{SCENE}.onnx"

    with clock.stage("collect"):
        footage = plan.source(step=STEP, frames=plan.frames)
        call_verb("collect", footage, "-o", frames)
        write_exemplars(scene, frames, exemplars, count=EXEMPLARS)
    with clock.stage("label"):
        call_verb("label", frames, "-e", exemplars, "-o", dataset)
    with clock.stage("train"):
        limit = ("--time-limit", plan.train_seconds, "--imgsz", plan.imgsz, "--seed", plan.seed)
        call_verb("train", dataset, "-o", run, *limit)
    with clock.stage("export"):
        call_verb("export", run, "-d", dataset, "-o", bundle)
    with clock.stage("run"):
        camera = plan.source(start=LIVE_START, frames=LIVE_FRAMES, fps=LIVE_FPS)
        sinks = ("--video", out / "annotated.mp4", "--summary", out / "run.json")
        call_verb("run", bundle, camera, *sinks)
    with clock.stage("score"):
        labels = score_labels(scene, dataset, exemplars)
        detector = score_detector(scene, bundle, start=LIVE_START, count=200, step=STEP)
        draw_overview(scene, dataset, bundle, out / "overview.png")

    report = {
        "labels": labels,
        "detector": detector,
        "parity": json.loads(bundle.with_suffix(".json").read_text())["parity"],
        "run": json.loads((out / "run.json").read_text()),
        "seconds": clock.seconds,
        "plan": {"seed": plan.seed, "frames": plan.frames, "exemplar_frames": EXEMPLARS},
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


class _Clock:
    """Clock that adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.seconds["total"] = round(sum(v for k, v in self.seconds.items() if k != "total"), 1)
