"""Demo: collect, label, train, export, run, and a report against the ground truth of the scene."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.demo.overview import draw_overview
from edgeloop.edge.demo.scene_truth import write_exemplars
from edgeloop.edge.demo.score import score_detector, score_labels
from edgeloop.edge.synth import open_scene

__all__ = ["DemoPlan", "run_demo"]

Report = dict[str, Any]


@dataclass(frozen=True)
class DemoPlan:
    """Sizes and limits of a demo; the defaults take a few minutes on two CPU cores.

    Frame indices are those of the scene, at 30 per second. The device runs an hour after the footage.

    Attributes:
        out: Folder of all results.
        scene: Name of the built-in scene.
        seed: Random seed.
        size: Width and height of the camera image, px.
        frames: Number of frames to collect.
        step: Scene frames between two collected ones.
        exemplars: Number of frames with drawn boxes.
        train_seconds: Time limit of the training.
        imgsz: Side of the detector's input, px.
        live_frames: Frames of the live run.
        live_fps: Rate of the live camera.
    """

    out: Path
    scene: str = "conveyor"
    seed: int = 7
    size: tuple[int, int] = (640, 480)
    frames: int = 240
    step: int = 20
    exemplars: int = 5
    train_seconds: int = 110
    imgsz: int = 320
    live_frames: int = 600
    live_fps: int = 60
    later: int = field(default=108_000, init=False)

    def source(self, **query: int) -> str:
        """Build the SOURCE that any verb takes."""
        options = {"seed": self.seed, "size": f"{self.size[0]}x{self.size[1]}", **query}
        return f"synth:{self.scene}?" + "&".join(f"{name}={value}" for name, value in options.items())


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
    scene = open_scene(plan.scene, seed=plan.seed, size=plan.size)
    frames, exemplars, dataset = out / "frames", out / "exemplars.json", out / "dataset"
    run, bundle = out / "run", out / f"{plan.scene}.onnx"

    with clock.stage("collect"):
        footage = plan.source(step=plan.step, frames=plan.frames)
        call_verb("collect", footage, "-o", frames)
        write_exemplars(scene, frames, exemplars, count=plan.exemplars)
    with clock.stage("label"):
        call_verb("label", frames, "-e", exemplars, "-o", dataset)
    with clock.stage("train"):
        limit = ("--time-limit", plan.train_seconds, "--imgsz", plan.imgsz, "--seed", plan.seed)
        call_verb("train", dataset, "-o", run, *limit)
    with clock.stage("export"):
        call_verb("export", run, "-d", dataset, "-o", bundle)
    with clock.stage("run"):
        camera = plan.source(start=plan.later, frames=plan.live_frames, fps=plan.live_fps)
        sinks = ("--video", out / "annotated.mp4", "--summary", out / "run.json")
        call_verb("run", bundle, camera, *sinks)
    with clock.stage("score"):
        labels = score_labels(scene, dataset, exemplars)
        detector = score_detector(scene, bundle, start=plan.later, count=200, step=plan.step)
        draw_overview(scene, dataset, bundle, out / "overview.png")

    report = {
        "labels": labels,
        "detector": detector,
        "parity": json.loads(bundle.with_suffix(".json").read_text())["parity"],
        "run": json.loads((out / "run.json").read_text()),
        "seconds": clock.seconds,
        "plan": {"seed": plan.seed, "frames": plan.frames, "exemplar_frames": plan.exemplars},
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
