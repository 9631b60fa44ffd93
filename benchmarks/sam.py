"""Quality and cost of segmenters: `python benchmarks/sam.py COCO_FOLDER --sam nano vit_b`.

Quality is the mean IoU of masks from box and from point prompts, on a COCO folder with masks. Cost is the
median time of encoding a frame and of decoding 20 boxes on it, parameters, and FLOPs (a multiply and an add
are two). `--everything` also times segment-anything's SamAutomaticMaskGenerator with 16 points per side,
which runs the same weights through torch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch.utils.flop_counter import FlopCounterMode

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.sam import load
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.weights.registry import weights_path
from report import Table, add_write_option, publish

sys.path.insert(0, str(Path(__file__).parents[1]))  # recipes/ is not installed
from recipes.nano.architecture import load_nano
from recipes.nano.evaluate import evaluate_segmenter

REPEATS = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="COCO folder with RLE masks.")
    parser.add_argument("--sam", nargs="+", default=["nano"], help="Names as of `edgeloop label --sam`.")
    parser.add_argument(
        "--frame", type=Path, help="Image to time on. Default: the built-in scene, 768x432 px."
    )
    parser.add_argument("--everything", action="store_true", help="Time the mask generator too (slow).")
    parser.add_argument("--limit", type=int, help="Use only the first N images of the folder.")
    add_write_option(parser, "sam")
    arguments = parser.parse_args()
    if arguments.frame:
        frame = require_image(arguments.frame)
    else:
        frame = open_scene("conveyor", size=(768, 432)).render(500)
    columns = [_figures(name, frame, arguments) for name in arguments.sam]
    rows = [(figure, *(column[figure] for column in columns)) for figure in columns[0]]
    publish(arguments.write, Table("<" + ">" * len(columns), ("", *arguments.sam), [rows]))


def _figures(name: str, frame: NDArray[np.uint8], arguments: argparse.Namespace) -> dict[str, str]:
    segmenter = load(name)
    quality = evaluate_segmenter(segmenter, arguments.folder, limit=arguments.limit)
    figures = {
        "instances": str(quality.instances),
        "mean IoU, box prompt": f"{quality.box_miou:.3f}",
        "mean IoU of the filled box": f"{quality.filled_box_miou:.3f}",
        "mean IoU, point prompt": f"{quality.point_miou:.3f}",
        "correlation of predicted and true IoU": f"{quality.iou_correlation:.3f}",
    }
    height, width = frame.shape[:2]
    size = np.array([width, height], dtype=np.float32)
    corners = np.random.default_rng(0).uniform(0.1, 0.7, (20, 2)) * size
    boxes = np.concatenate([corners, corners + 0.2 * size], axis=1).astype(np.float32)
    figures[f"encode a frame of {width}x{height}"] = _median_ms(lambda: segmenter.set_image(frame))
    figures["decode 20 boxes"] = _median_ms(lambda: segmenter.masks(boxes=boxes))
    model = segmenter.model if isinstance(segmenter, SamSegmenter) else load_nano(weights_path("nano"))
    if arguments.everything:
        generator = SamAutomaticMaskGenerator(model, points_per_side=16)
        figures["mask generator, 16 points per side"] = _median_ms(
            lambda: generator.generate(frame), repeats=3
        )
    return figures | _size(model)


def _size(model: Sam) -> dict[str, str]:
    """Count parameters, and FLOPs of the encoder at its full square input and of decoding one box."""
    side = model.image_encoder.img_size
    with torch.inference_mode():
        with FlopCounterMode(display=False) as encoder:
            embedding = model.image_encoder(torch.zeros(1, 3, side, side))
        with FlopCounterMode(display=False) as decoder:
            sparse, dense = model.prompt_encoder(None, torch.tensor([[10.0, 10.0, 90.0, 90.0]]), None)
            model.mask_decoder(embedding, model.prompt_encoder.get_dense_pe(), sparse, dense, False)
    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M",
        f"encoder, {side}x{side} px": f"{encoder.get_total_flops() / 1e9:.2f} GFLOPs",
        "decoder, one box": f"{decoder.get_total_flops() / 1e9:.3f} GFLOPs",
    }


def _median_ms(call: Callable[[], object], *, repeats: int = REPEATS) -> str:
    call()
    times = []
    for _ in range(repeats):
        started_at = time.perf_counter()
        call()
        times.append(time.perf_counter() - started_at)
    return f"{statistics.median(times) * 1000:.1f} ms"


if __name__ == "__main__":
    main()
