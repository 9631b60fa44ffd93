"""Quality and cost of a segmenter: `python benchmarks/sam.py COCO_FOLDER --sam nano [--frame IMAGE]`.

Prints mean IoU for box and point prompts on a COCO folder with masks, and the median time of encoding a
frame and of decoding twenty boxes on it. Everything-mode (16 points a side) is timed with segment-anything's
own generator on the torch model, which `--everything WEIGHTS.safetensors` names.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from labeling.sam import load
from labeling.sam.evaluate import evaluate_segmenter

REPEATS = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="COCO folder with RLE masks")
    parser.add_argument("--sam", default="nano", help="as in `edgeloop label --sam`")
    parser.add_argument("--frame", type=Path, help="image to time on; a 768x432 noise picture by default")
    parser.add_argument("--everything", type=Path, help="weights for SamAutomaticMaskGenerator")
    parser.add_argument("--limit", type=int, help="use only this many images")
    arguments = parser.parse_args()
    segmenter = load(arguments.sam)
    frame = _frame(arguments.frame)
    height, width = frame.shape[:2]
    size = np.array([width, height], dtype=np.float32)
    corners = np.random.default_rng(0).uniform(0.1, 0.7, (20, 2)) * size
    boxes = np.concatenate([corners, corners + 0.2 * size], axis=1).astype(np.float32)
    segmenter.set_image(frame)
    result: dict[str, object] = {
        "sam": arguments.sam,
        "machine": platform.processor() or platform.machine(),
        "frame": f"{width}x{height}",
        "set_image_ms": _median_ms(lambda: segmenter.set_image(frame)),
        "20_boxes_ms": _median_ms(lambda: segmenter.masks(boxes=boxes)),
    }
    if arguments.everything:
        result["everything_16_ms"] = _everything_ms(arguments.everything, frame)
    result["quality"] = evaluate_segmenter(segmenter, arguments.folder, limit=arguments.limit).as_dict()
    print(json.dumps(result, indent=2))


def _frame(path: Path | None) -> np.ndarray:
    if path is None:
        return np.random.default_rng(0).integers(0, 255, (432, 768, 3), dtype=np.uint8)
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path}: cannot be read as an image")
    return image


def _everything_ms(weights: Path, frame: np.ndarray) -> float:
    from segment_anything import SamAutomaticMaskGenerator

    from labeling.sam.weights import load_nano

    generator = SamAutomaticMaskGenerator(load_nano(weights).model, points_per_side=16)
    return _median_ms(lambda: generator.generate(frame), repeats=3)


def _median_ms(call: Callable[[], object], *, repeats: int = REPEATS) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 1)


if __name__ == "__main__":
    main()
