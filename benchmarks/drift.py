"""Drift: false alarms on the second half of real scenes, and delays of simulated changes.

Statistics come from the first half of each scene, the last fifth of it held out. Each image counts as one
look, though those of the scenes are closer in time than the looks of a device.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.drift.drift_judge import DriftJudge, Look
from edgeloop.edge.drift.drift_watch import BEGINS, LOOK_S, DriftChange, DriftWatch
from edgeloop.edge.drift.learn_statistics import learn_statistics
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.models.bundle.frame_statistics import FrameStatistics
from report import Table, add_write_option, publish

Image = NDArray[np.uint8]

FIXED = ("street", "people_path", "cows_trough", "fish_tank", "delivery_lot")
CLIPS = ("car-detection", "one-by-one-person-detection")
PHOTOS = ("raccoon", "plates", "tomatoes", "aerial_cars")
VIEW = 0.8  # share of the width that the camera sees, so that it can be turned without leaving the picture
EVERY_S = 0.5  # of the clips
BEFORE, AFTER = 10, 40  # looks before and after a change
OTHER_LOOKS = 12
BLUR = 1 / 40  # of the width


@dataclass(frozen=True)
class Scene:
    """Scene with its images in order of time."""

    name: str
    images: Sequence[Image]
    kind: str

    @property
    def views(self) -> list[Image]:
        """The view of the camera before it is turned."""
        return [view(image) for image in self.images]

    @property
    def half(self) -> int:
        """Number of images in the first half."""
        return len(self.images) // 2


def view(image: Image, shift: float = 0.0) -> Image:
    """The view of a camera that was turned to the right by a share of its own width."""
    width = int(image.shape[1] * VIEW)
    left = round(shift * width)
    return image[:, left : left + width]


def read_scenes(data: Path) -> Iterator[Scene]:
    """Read all scenes in `data`, and render the built-in one."""
    for name in (*FIXED, *PHOTOS):
        folder = data / ("street" if name == "street" else f"scenes/{name}")
        images = [require_image(path) for path in sorted((folder / "images").glob("*.jpg"))]
        yield Scene(name, images, "photos" if name in PHOTOS else "fixed camera")
    for name in CLIPS:
        yield Scene(name, list(read_clip(data / "clips" / f"{name}.mp4")), "fixed camera")
    with open_source("synth:conveyor?size=320x240&step=90&frames=240", LivePolicy()) as source:
        yield Scene("synth:conveyor", [frame.image for frame in source], "fixed camera")


def read_clip(path: Path) -> Iterator[Image]:
    """Read the frames of a clip that are `EVERY_S` apart."""
    due_s = 0.0
    with open_source(str(path), LivePolicy()) as source:
        for frame in source:
            if (frame.time_s or 0.0) >= due_s:
                due_s += EVERY_S
                yield frame.image


def dark(image: Image) -> Image:
    """The same at a fifth of the light."""
    return np.asarray(cv2.convertScaleAbs(view(image), alpha=0.2), np.uint8)


def blurred(image: Image) -> Image:
    """The same out of focus."""
    return np.asarray(cv2.GaussianBlur(view(image), (0, 0), image.shape[1] * VIEW * BLUR), np.uint8)


def turned(share: float) -> Callable[[Image], Image]:
    """Turn of the camera by a share of the width."""
    return lambda image: view(image, share)


CHANGES: dict[str, Callable[[Image], Image]] = {
    "dark": dark,
    "out of focus": blurred,
    **{f"turned {share:.0%}": turned(share) for share in (0.05, 0.1, 0.2)},
}


def changes(known: FrameStatistics, looks: Sequence[Look]) -> list[tuple[int, DriftChange]]:
    """Changes that are said during a series of looks, with the number of looks until then."""
    watch = DriftWatch(known)
    said = [(number, watch.note(look)) for number, look in enumerate(looks, 1)]
    return [(number, change) for number, change in said if change is not None]


def detection(
    known: FrameStatistics, before: Sequence[Look], after: Sequence[Look]
) -> tuple[str, int | None]:
    """Kind that is said after a change, and number of looks until then; None if nothing is said in time.

    Before it the scene is as in training: drift that was said already would hide the change.
    """
    calm = [look for look in before if look.kind == "ok"][:BEFORE] or [Look("ok")] * BEFORE
    looped = [after[number % len(after)] for number in range(AFTER)]
    for number, change in changes(known, [*calm, *looped]):
        return change.now, number - len(calm)
    return "", None


def measure(scene: Scene, others: Sequence[Scene]) -> list[str]:
    """Row of a scene."""
    views, half = scene.views, scene.half
    cut = half * 4 // 5
    known = learn_statistics(views[:cut], views[cut:half])
    if known is None:
        return [scene.name, scene.kind, f"{cut} + {half - cut}", "too few", *["-"] * (len(CHANGES) + 3)]
    judge = DriftJudge(known)
    same = [judge.look(image) for image in views[half:]]
    said = [change.now for _, change in changes(known, same) if change.now != "ok"]
    row = [
        scene.name,
        scene.kind,
        f"{cut} + {half - cut}",
        "no" if known.edges is None else "yes",
        f"{len(same)}",
        f"{np.mean([look.kind != 'ok' for look in same]):.1%}",
        ", ".join(said) or "nothing",
    ]
    for name, change in CHANGES.items():
        if known.edges is None and name.startswith("turned"):
            row.append("-")
            continue
        row.append(
            _cell(*detection(known, same, [judge.look(change(image)) for image in scene.images[half:]]))
        )
    found = [detection(known, same, [judge.look(image) for image in spread(other)]) for other in others]
    delays = [delay for _, delay in found if delay is not None]
    median = f", {np.median(delays):.0f}" if delays else ""
    return [*row, f"{len(delays)} of {len(others)}{median}"]


def spread(scene: Scene) -> list[Image]:
    """Some views of a scene, spread evenly."""
    rows = np.linspace(0, len(scene.images) - 1, OTHER_LOOKS).round().astype(int)
    return [view(scene.images[row]) for row in rows]


def _cell(kind: str, delay: int | None) -> str:
    return "no" if delay is None else f"{delay} {kind}"


def cost_ms(known: FrameStatistics, image: Image) -> float:
    """Median time of one look in milliseconds."""
    judge, spent = DriftJudge(known), []
    for _ in range(200):
        began = time.perf_counter()
        judge.look(image)
        spent.append(time.perf_counter() - began)
    return float(np.median(spent)) * 1e3


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="Folder with street, scenes and clips.")
    add_write_option(parser, "drift")
    arguments = parser.parse_args()
    scenes = list(read_scenes(arguments.data))
    rows = [measure(scene, [other for other in scenes if other is not scene]) for scene in scenes]
    header = (
        ["scene", "kind", "training + held out", "shared view", "looks", "not ok", "said of the same scene"],
        [*CHANGES, "another scene"],
    )
    fixed = [row for row in rows if row[1] == "fixed camera"]
    photos = [row for row in rows if row[1] != "fixed camera"]
    table = Table("<<><><<" + "<" * (len(CHANGES) + 1), [*header[0], *header[1]], [fixed, photos])
    large = np.asarray(cv2.resize(scenes[0].images[0], (1920, 1080)), np.uint8)
    known = learn_statistics(scenes[0].views[:185], scenes[0].views[185:231])
    spent = "" if known is None else f" A look at 1920x1080 takes {cost_ms(known, large):.2f} ms (median)."
    note = (
        f"Of a change: looks until it is said (at least {BEGINS}, {LOOK_S:g} s each on a device), and the "
        f"kind; no if it is not said in {AFTER}. Another scene: of how many others it is said, and the "
        f"median number of looks.{spent}"
    )
    publish(arguments.write, table, note=note)


if __name__ == "__main__":
    main()
