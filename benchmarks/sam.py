"""Quality and cost of a segmenter: `python benchmarks/sam.py COCO_FOLDER --sam nano [--frame IMAGE]`.

Prints mean IoU for box and point prompts on a COCO folder with masks, the median time of encoding a frame and
of decoding twenty boxes on it, and parameters and FLOPs (a multiply and an add are two). Everything mode
(16 points a side) is timed with segment-anything's own generator, which runs through torch: of nano, on the
same weights.
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
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch.utils.flop_counter import FlopCounterMode

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.sam import load
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.labeling.sam.weights import load_nano
from edgeloop.models.weights.registry import weights_path
from recipes.nano.evaluate import evaluate_segmenter

REPEATS = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="COCO folder with RLE masks")
    parser.add_argument("--sam", default="nano", help="as in `edgeloop label --sam`")
    parser.add_argument("--frame", type=Path, help="image to time on; by default the built-in scene, 768x432")
    parser.add_argument("--skip-everything", action="store_true", help="minutes with the official models")
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
    model = segmenter.model if isinstance(segmenter, SamSegmenter) else load_nano(weights_path("nano")).model
    result |= _size(model)
    if not arguments.skip_everything:
        generator = SamAutomaticMaskGenerator(model, points_per_side=16)
        result["everything_16_ms"] = _median_ms(lambda: generator.generate(frame), repeats=3)
    result["quality"] = evaluate_segmenter(segmenter, arguments.folder, limit=arguments.limit).as_dict()
    print(json.dumps(result, indent=2))


def _frame(path: Path | None) -> np.ndarray:
    if path is None:
        return open_scene("conveyor", size=(768, 432)).render(500)
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path}: cannot be read as an image")
    return np.asarray(image)


def _size(model: Sam) -> dict[str, float]:
    """Millions of parameters, and FLOPs of the encoder at its full square input and of decoding one box."""
    side = model.image_encoder.img_size
    with torch.inference_mode():
        with FlopCounterMode(display=False) as encoder:
            embedding = model.image_encoder(torch.zeros(1, 3, side, side))
        with FlopCounterMode(display=False) as decoder:
            sparse, dense = model.prompt_encoder(None, torch.tensor([[10.0, 10.0, 90.0, 90.0]]), None)
            model.mask_decoder(embedding, model.prompt_encoder.get_dense_pe(), sparse, dense, False)
    return {
        "parameters_m": round(sum(p.numel() for p in model.parameters()) / 1e6, 2),
        "encoder_gflops": round(encoder.get_total_flops() / 1e9, 2),
        "prompt_gflops": round(decoder.get_total_flops() / 1e9, 3),
    }


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
