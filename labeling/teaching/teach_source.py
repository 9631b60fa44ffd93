"""Teaching from the options of the command line: loop opened, process that learns named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from edgeloop.edge.run_job import RunJob
from edgeloop.edge.sources import LivePolicy
from edgeloop.edge.sources.synth import scene_of
from edgeloop.export.train_options import TrainOptions
from edgeloop.labeling.teaching.learning.learner_link import learner_command
from edgeloop.labeling.teaching.learning.learning_plan import LearningPlan
from edgeloop.labeling.teaching.open_loop import open_loop
from edgeloop.labeling.teaching.teach_job import TeachJob, Truth, teach
from edgeloop.models.task import Task

__all__ = ["LearningPlan", "TeachPlan", "teach_source"]

_SCENE_FPS = 60


@dataclass(frozen=True, slots=True)
class TeachPlan:
    """Options of `edgeloop teach`.

    Attributes:
        source: Source as text.
        loop: Folder of the loop.
        exemplars: The person's boxes; None for those of the loop, or of a scene.
        images: Folder of their images; None for the one beside them.
        seed: Random seed of a new loop.
        task: Task of a new loop; None for "detect".
        confidence: Minimum confidence of an answer, exclusive.
        learning: Settings of the learning.
        track: As of `RunJob`, like the rest.
        as_json: Print results.
        video: Annotated video; None for none.
        show: Show a window.
        overwrite: Replace a video that exists.
        max_frames: End after this many frames; None for no limit.
        duration_s: End after this many seconds; None for no limit.
    """

    source: str
    loop: Path
    exemplars: Path | None = None
    images: Path | None = None
    seed: int = 0
    task: Task | None = None
    confidence: float = 0.25
    learning: LearningPlan = field(default_factory=LearningPlan)
    track: bool = False
    as_json: bool = False
    video: Path | None = None
    show: bool = False
    overwrite: bool = False
    max_frames: int | None = None
    duration_s: float | None = None


def teach_source(plan: TeachPlan) -> bool:
    """Do what `teach` does, with the options of the command line.

    Returns:
        True if it was interrupted from the keyboard.

    Raises:
        EdgeloopError: As of `open_loop` and `teach`.
    """
    TrainOptions(epochs=plan.learning.epochs, imgsz=plan.learning.imgsz)  # refuses wrong values now
    is_scene = plan.source.startswith("synth:")
    source = _as_camera(plan.source) if is_scene else plan.source
    truth = Truth(*scene_of(source)) if is_scene else None
    drawn = scene_of(source, changing=False)[0] if is_scene else None  # nobody draws what comes later
    loop = open_loop(plan.loop, source, plan.exemplars, plan.images, drawn, seed=plan.seed, task=plan.task)
    run = RunJob(
        [source],
        LivePolicy(),
        track=plan.track,
        as_json=plan.as_json,
        video=plan.video,
        show=plan.show,
        overwrite=plan.overwrite,
        max_frames=plan.max_frames,
        duration_s=plan.duration_s,
    )
    command = learner_command(loop.root, plan.learning.model_dump_json())
    return teach(TeachJob(run, loop, plan.confidence, command, truth))


def _as_camera(scene: str) -> str:
    """Give an endless scene a rate: as footage, it would move on only as fast as the teacher answers."""
    query = scene.partition("?")[2]
    if {"fps", "frames"} & dict(parse_qsl(query)).keys():
        return scene
    return f"{scene}{'&' if query else '?'}fps={_SCENE_FPS}"
