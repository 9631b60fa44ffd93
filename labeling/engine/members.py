"""Training of the ensemble's members, each without some of the exemplar frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from threading import Event, Lock

import numpy as np
import torch
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.augment import Sample, resized
from edgeloop.export.learn.fit import Task, fit
from edgeloop.export.learn.recipe import FEW_IMAGES, Recipe, choose_recipe
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.detector_weights import read_detector, write_detector
from edgeloop.export.network.device import choose_device
from edgeloop.export.network.start_detector import start_detector
from edgeloop.export.train_options import Device, TrainOptions
from edgeloop.export.trainer import OnStep, TrainStep
from edgeloop.labeling.engine.copy_paste import Cutout, by_class, cut_objects, paste_objects
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars
from edgeloop.labeling.sam import Segmenter
from edgeloop.labeling.step_progress import Progress
from edgeloop.models.errors import UsageError

__all__ = [
    "MEMBERS",
    "choose_member_recipe",
    "held_out_by",
    "learnable",
    "limited_threads",
    "train_member",
    "train_members",
]

MEMBERS = 5
"""Members of the ensemble, if there are as many exemplar frames."""

_MAX_STEPS = 300  # of a member
_LARGEST_SIDE = 960  # px, if objects are small
_LARGE, _BATCH_OF_LARGE = 640, 3  # side, px, beyond which a step has fewer images, to save time


class _StoppedError(Exception):
    """End of a training because another one failed or the job was interrupted."""


@dataclass(frozen=True, eq=False)
class _Picture(LabeledImage):
    """Image in memory.

    Attributes:
        pixels: HxWx3 uint8 BGR.
    """

    pixels: NDArray[np.uint8] = field(kw_only=True)

    def read(self) -> NDArray[np.uint8]:
        """Return the pixels."""
        return self.pixels


def held_out_by(frames: int) -> list[int]:
    """Number of the member that does not see each exemplar frame.

    With one frame, its only member sees it all the same.
    """
    return [number % min(MEMBERS, frames) for number in range(frames)]


def train_members(
    exemplars: Exemplars,
    segmenter: Segmenter,
    folder: Path,
    *,
    weights: str | None,
    device: Device,
    seed: int,
    progress: Progress,
    pasted: int = 60,
) -> tuple[list[CompactDetector], int]:
    """Train the members, as many at a time as there are cores.

    Args:
        exemplars: Frames with boxes.
        segmenter: Draws the masks along which objects are cut out and pasted.
        folder: Keeps finished members and checkpoints, so that an interrupted training continues.
        weights: Start weights, as of `edgeloop train --weights`.
        device: Device to train on.
        seed: Random seed.
        progress: Shows the steps.
        pasted: Frames with pasted objects for each member.

    Returns:
        Members in evaluation mode on the CPU, and the long side of their input, px.

    Raises:
        DataError: A frame cannot be read, or a checkpoint is damaged.
        UsageError: The start weights are "none", or unknown.
        EdgeloopError: The start weights or the device cannot be used.
    """
    if weights == "none":
        raise UsageError(
            "--weights none: detectors that label share a trained backbone; expected imagenet, "
            "edgeloop-lite0 or a .safetensors file"
        )
    keep_freed_memory()
    names, on = exemplars.names, choose_device(device)
    drawn = [learnable(frame) for frame in exemplars.frames]
    recipe = choose_member_recipe(drawn, weights=weights, device=device, seed=seed)
    frames = [resized(sample, recipe.side) for sample in drawn]
    left_out = held_out_by(len(frames))
    count = max(left_out) + 1
    paths = [folder / f"member{number}.safetensors" for number in range(count)]
    missing = [number for number in range(count) if not paths[number].is_file()]
    cutouts = [cut_objects(frame, segmenter) for frame in frames] if missing else []
    # Random weights come from torch's global generator, so they are drawn one after the other.
    detectors = {number: start_detector(names, weights, seed=seed + number)[0] for number in missing}

    stopped, lock = Event(), Lock()

    def step(_: TrainStep) -> None:
        if stopped.is_set():
            raise _StoppedError
        with lock:
            advance(1)

    def train(number: int) -> None:
        seen = [row for row, holder in enumerate(left_out) if count == 1 or holder != number]
        kept = train_member(
            detectors[number].to(on), [frames[row] for row in seen], chain(*(cutouts[row] for row in seen)),
            names, recipe, folder / f"member{number}", seed=(seed, number), pasted=pasted, on_step=step,
        )  # fmt: skip
        write_detector(kept.cpu(), names, paths[number])

    workers = 1 if on.type == "cuda" else min(count, usable_cores())
    with (
        progress(len(missing) * (recipe.steps or 0), "Learning") as advance,
        limited_threads(max(1, usable_cores() // workers)),
        ThreadPoolExecutor(workers, "edgeloop-members") as pool,
    ):
        trainings = [pool.submit(train, number) for number in missing]
        try:
            for finished in wait(trainings, return_when=FIRST_EXCEPTION).done:
                finished.result()
        except BaseException:  # Ctrl-C too: the pool would wait for the end of the other trainings
            stopped.set()
            for training in trainings:
                training.cancel()
            raise
    return [read_detector(path)[0] for path in paths], recipe.side


def choose_member_recipe(
    drawn: Sequence[Sample], *, weights: str | None, device: Device, seed: int
) -> Recipe:
    """Choose the settings of a member for exemplar frames, one of which has a box at least.

    It is the few-shot preset whatever their number: labels need accuracy, not the speed of a device.
    """
    labeled = [_picture(sample) for sample in drawn if len(sample.class_id)]
    recipe = choose_recipe(
        labeled[:: -(-len(labeled) // FEW_IMAGES)],
        TrainOptions(weights=weights, device=device, seed=seed),
        largest_side=_LARGEST_SIDE,
    )
    steps = (recipe.steps or 0) * (1 if len(drawn) <= FEW_IMAGES else 2)
    batch = min(recipe.batch, _BATCH_OF_LARGE) if recipe.side > _LARGE else recipe.batch
    return replace(recipe, steps=min(steps, _MAX_STEPS), batch=batch)


def train_member(
    detector: CompactDetector,
    frames: Sequence[Sample],
    cutouts: Iterable[tuple[int, Cutout]],
    names: Sequence[str],
    recipe: Recipe,
    folder: Path,
    *,
    seed: tuple[int, int],
    pasted: int,
    on_step: OnStep,
) -> CompactDetector:
    """Train one member.

    Args:
        detector: Detector to start from, on its device.
        frames: Frames that it sees, at most as large as its input.
        cutouts: Objects of these frames, each with its class.
        names: Class names.
        recipe: Settings.
        folder: Keeps the checkpoint.
        seed: Random seed of the job, and number of the member.
        pasted: Frames with pasted objects.
        on_step: Called after every step.

    Returns:
        The member, in evaluation mode.
    """
    pictures = _with_pasted(frames, by_class(cutouts), np.random.default_rng(seed), pasted)
    folder.mkdir(parents=True, exist_ok=True)
    task = Task(
        train=ImageCache(pictures, recipe.side, None), val=None, names=names,
        recipe=replace(recipe, batch=min(recipe.batch, len(frames))), seed=sum(seed), patience=None,
        seconds=None, folder=folder,
    )  # fmt: skip
    return fit(detector, task, on_step)[0]


def _with_pasted(
    frames: Sequence[Sample], cutouts: Mapping[int, Sequence[Cutout]], rng: np.random.Generator, pasted: int
) -> list[LabeledImage]:
    """Frames as they are, a third of all or more, and with pasted objects."""
    made = [paste_objects(frames[number % len(frames)], cutouts, rng) for number in range(pasted)]
    untouched = [*frames] * max(1, len(made) // (2 * len(frames)))
    return [_picture(sample) for sample in (*untouched, *made)]


def learnable(frame: ExemplarFrame) -> Sample:
    """Read a frame with what is to be labeled; all else is background."""
    named = frame.class_id >= 0
    return Sample(frame.image(), frame.class_id[named], frame.xyxy[named])


def _picture(sample: Sample) -> LabeledImage:
    height, width = sample.image.shape[:2]
    size = np.array((width, height, width, height), np.float32)
    middles = (sample.xyxy[:, :2] + sample.xyxy[:, 2:]) / 2
    xywh = np.concatenate((middles, sample.xyxy[:, 2:] - sample.xyxy[:, :2]), axis=1) / size
    return _Picture(Path(), sample.class_id, xywh.astype(np.float32), pixels=sample.image)


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Limit the threads of one training: so small a network gains more from trainings side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
