"""`edgeloop teach`: answer on a source from the start, and bring up the detector that takes over."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.models.task import Task

__all__ = ["teach"]

INTERRUPTED = 130


@click.command(context_settings={"show_default": True})
@click.argument("source")
@click.option(
    "-e",
    "--exemplars",
    type=click.Path(path_type=Path),
    help="Boxes around all objects of interest on a few frames: a COCO json, or a folder of YOLO text files "
    "with classes.txt. Not needed for synth: scenes, and to go on with a loop.",
)
@click.option(
    "-o",
    "--out",
    "loop",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="LOOP",
    help="Folder of the loop: new, or one to go on with.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder of the images of the boxes.  [default: beside them]",
)
@click.option(
    "--task",
    type=click.Choice(get_args(Task)),
    help="Task of the student: boxes, or boxes and masks. The teacher answers with boxes.  [default: "
    "detect, or that of the loop]",
)
@click.option(
    "--count",
    type=click.IntRange(10, 2000),
    default=120,
    metavar="N",
    help="Number of frames to keep before the student learns. Higher values teach it more but take longer.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=15,
    metavar="N",
    help="Passes of the student over these frames. Higher values teach it more but take longer.",
)
@click.option(
    "--imgsz",
    type=click.IntRange(64),
    metavar="N",
    help="Side of the student's input, px, a multiple of 32.  [default: by the objects' sizes]",
)
@click.option(
    "--agreement",
    type=FloatRange(0, 1),
    default=0.8,
    metavar="P",
    help="Minimum mAP50 of the student against the teacher's labels on later frames. Lower values let it "
    "take over sooner.",
)
@click.option(
    "--confidence",
    type=FloatRange(0, 1),
    default=0.25,
    metavar="P",
    help="Minimum confidence of a detection.",
)
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Random seed of a new loop.")
@click.option("--track", is_flag=True, help="Give each object an id that it keeps; needs edgeloop[track].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per frame on stdout.")
@click.option("--video", type=click.Path(path_type=Path), help="Write an annotated video, .mp4 or .avi.")
@click.option("--show", is_flag=True, help="Show annotated frames in a window; q ends the run.")
@click.option("--overwrite", is_flag=True, help="Replace a video that exists.")
@click.option("--max-frames", type=click.IntRange(1), metavar="N", help="End SOURCE after N frames.")
@click.option("--duration", type=FloatRange(0, min_open=True), metavar="S", help="End after S seconds.")
def teach(
    source: str,
    exemplars: Path | None,
    loop: Path,
    images: Path | None,
    task: Task | None,
    count: int,
    epochs: int,
    imgsz: int | None,
    agreement: float,
    confidence: float,
    seed: int,
    track: bool,
    as_json: bool,
    video: Path | None,
    show: bool,
    overwrite: bool,
    max_frames: int | None,
    duration: float | None,
) -> None:
    """Answer on SOURCE from the start, and bring up the detector that takes over.

    A teacher learns from the boxes of a person and answers at a few frames a second, with the same results as
    `edgeloop run`. Beside it a student learns from what the teacher finds. Once it agrees with the teacher on
    later frames, and is no worse on the person's, it takes over between two frames. SOURCE is as for
    `edgeloop run`: of footage no frame is lost, a camera drops those for which there is no time.

    After the end of footage it goes on until the student is made, so `edgeloop teach video.mp4 -e boxes.json
    -o loop` is the short way to a detector: loop/generations/0001/model.onnx. Ctrl-C ends it; all that was
    kept stays, and the same command goes on.

    A synth: scene without fps or frames is a camera of 60 frames a second, and needs no boxes.

    LOOP/timeline.jsonl and LOOP/teach.png show who answered, how fast and, for a synth: scene, how well.
    """
    # Loads OpenCV, torch and onnxruntime; --help does without.
    from edgeloop.labeling.teaching.teach_source import LearningPlan, TeachPlan, teach_source

    learning = LearningPlan(frames=count, epochs=epochs, imgsz=imgsz, agreement=agreement)
    interrupted = teach_source(
        TeachPlan(
            source=source,
            loop=loop,
            exemplars=exemplars,
            images=images,
            task=task,
            seed=seed,
            confidence=confidence,
            learning=learning,
            track=track,
            as_json=as_json,
            video=video,
            show=show,
            overwrite=overwrite,
            max_frames=max_frames,
            duration_s=duration,
        )
    )
    if interrupted:
        click.get_current_context().exit(INTERRUPTED)
