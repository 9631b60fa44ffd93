"""Whether memory stays flat: `python benchmarks/memory.py --frames 1000 10000`.

For each number of frames, frames of 320x240 of the built-in scene are collected, labelled (whatever moves on
them), counted, and a sample of them is drawn, each by its verb in a process of its own; printed is the peak
of its resident memory. SAM is replaced by what draws squares, unless `--sam` is given: what it needs depends
on the size of a frame and not on their number, and its own peak would hide what grows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from edgeloop.edge.cli.app import main as edgeloop
from edgeloop.edge.cli.table import table
from edgeloop.edge.host.memory import peak_memory_mb
from street_truth import MOVING

SOURCE = "synth:conveyor?seed=11&size=320x240&step=20&frames={}"
SIDE_PX = 24


class Squares:
    """A `Segmenter` that sees a square of one size in the middle of each prompt."""

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        self._size = image.shape[:2]

    def masks(
        self, *, boxes: npt.NDArray[np.float32] | None = None, points: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        prompts = np.asarray(boxes if points is None else points)
        corners = np.rint(prompts.reshape(len(prompts), -1, 2).mean(axis=1) - SIDE_PX / 2).astype(int)
        masks = np.zeros((len(prompts), *self._size), bool)
        for mask, (left, top) in zip(masks, corners.clip(0).tolist(), strict=True):
            mask[top : top + SIDE_PX, left : left + SIDE_PX] = True
        return masks, np.full(len(prompts), 0.9, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--sam", action="store_true", help="label with nano, which takes its time")
    arguments = parser.parse_args()
    counts: list[int] = arguments.frames
    with tempfile.TemporaryDirectory() as temporary:
        columns = [_peaks(count, arguments.sam, Path(temporary) / str(count)) for count in counts]
    rows = [(verb, *(column[verb] for column in columns)) for verb in columns[0]]
    print(table("<" + ">" * len(counts), ("verb", *(f"{count} frames" for count in counts)), rows))


def _peaks(count: int, with_sam: bool, out: Path) -> dict[str, str]:
    """What each verb took, by its name."""
    frames, dataset = out / "frames", out / "dataset"
    calls = (
        ("collect", SOURCE.format(count), "-o", frames, "--keep-all"),
        ("label", frames, "-o", dataset, "--classes", MOVING),
        # The belt comes round, so validation frames look like training frames; that is not asked here.
        ("stats", dataset, "--limit", 1),
        ("audit", dataset, "--sheet", out / "sheet.png"),
    )
    peaks = {}
    for call in calls:
        began = time.monotonic()
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            peak_mb = alone.submit(_peak_mb, tuple(map(str, call)), with_sam).result()
        peaks[str(call[0])] = f"{peak_mb:.0f} MB, {time.monotonic() - began:.0f} s"
    return peaks


def _peak_mb(words: tuple[str, ...], with_sam: bool) -> float:
    """Run a verb in this process; the most memory that it had."""
    replaced = words[0] == "label" and not with_sam
    squares = patch("edgeloop.labeling.job.load", lambda *_, **__: Squares()) if replaced else nullcontext()
    with patch("sys.argv", ["edgeloop", *words]), squares:
        try:
            edgeloop()
        except SystemExit as left:
            if left.code:
                raise RuntimeError(f"edgeloop {words[0]} ended with exit code {left.code}") from left
    return peak_memory_mb()


if __name__ == "__main__":
    main()
