"""Peak memory by number of frames: `python benchmarks/memory.py --frames 1000 10000`.

For each number, that many frames of 320x240 px of the built-in scene go through `collect`, `label --classes
moving`, `stats` and `audit`, each in a process of its own, whose peak resident memory is measured. A stub
that draws squares replaces SAM unless `--sam` is given: SAM's memory depends on the size of a frame, not on
the number of frames, and its peak would hide growth.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from edgeloop.edge.cli.app import main as edgeloop
from edgeloop.edge.host.memory import peak_memory_mb
from report import Table, add_write_option, publish
from street_truth import MOVING

SOURCE = "synth:conveyor?seed=11&size=320x240&step=20&frames={}"
SQUARE_PX = 24


class Squares:
    """A `Segmenter` whose masks are squares of one size in the middle of each prompt."""

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        self._size = image.shape[:2]

    def encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Squares]:
        """See `Segmenter.encode`."""
        encoded = [Squares() for _ in images]
        for own, image in zip(encoded, images, strict=True):
            own.set_image(image)
        return encoded

    def masks(
        self, *, boxes: npt.NDArray[np.float32] | None = None, points: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        prompts = np.asarray(boxes if points is None else points)
        corners = np.rint(prompts.reshape(len(prompts), -1, 2).mean(axis=1) - SQUARE_PX / 2).astype(int)
        masks = np.zeros((len(prompts), *self._size), bool)
        for mask, (left, top) in zip(masks, corners.clip(0).tolist(), strict=True):
            mask[top : top + SQUARE_PX, left : left + SQUARE_PX] = True
        return masks, np.full(len(prompts), 0.9, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10000], help="Numbers of frames.")
    parser.add_argument("--sam", action="store_true", help="Label with nano instead of the stub (slower).")
    add_write_option(parser, "memory")
    arguments = parser.parse_args()
    counts: list[int] = arguments.frames
    with tempfile.TemporaryDirectory() as temporary:
        columns = [_peaks(count, arguments.sam, Path(temporary) / str(count)) for count in counts]
    rows = [(verb, *(column[verb] for column in columns)) for verb in columns[0]]
    header = ("verb", *(f"{count} frames" for count in counts))
    publish(arguments.write, Table("<" + ">" * len(counts), header, [rows]))


def _peaks(count: int, with_sam: bool, out: Path) -> dict[str, str]:
    """Measure peak memory and duration of each verb."""
    frames, dataset = out / "frames", out / "dataset"
    calls = (
        ("collect", SOURCE.format(count), "-o", frames, "--keep-all"),
        ("label", frames, "-o", dataset, "--classes", MOVING),
        # The belt repeats, so validation frames look like training frames; leaks are not the question here.
        ("stats", dataset, "--limit", 1),
        ("audit", dataset, "--sheet", out / "sheet.png"),
    )
    peaks = {}
    for call in calls:
        started_at = time.monotonic()
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            peak_mb = alone.submit(_peak_mb, tuple(map(str, call)), with_sam).result()
        peaks[str(call[0])] = f"{peak_mb:.0f} MB, {time.monotonic() - started_at:.0f} s"
    return peaks


def _peak_mb(words: tuple[str, ...], with_sam: bool) -> float:
    """Run a verb in this process and return its peak memory."""
    with ExitStack() as patched:
        patched.enter_context(patch("sys.argv", ["edgeloop", *words]))
        if words[0] == "label" and not with_sam:
            from edgeloop.labeling import build  # loads torch, whose memory is not that of the other verbs

            patched.enter_context(patch.object(build, "load", lambda *_, **__: Squares()))
        try:
            edgeloop()
        except SystemExit as left:
            if left.code:
                raise RuntimeError(f"edgeloop {words[0]} ended with exit code {left.code}") from left
    return peak_memory_mb()


if __name__ == "__main__":
    main()
