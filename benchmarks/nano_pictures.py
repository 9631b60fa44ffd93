"""Picture of docs/nano.md: `python benchmarks/nano_pictures.py docs/images/nano.jpg`.

Three views of one frame of the built-in scene: masks from boxes, masks from points, and everything mode
(SamAutomaticMaskGenerator, 16 points per side). The prompts are the scene's ground truth.
"""

from __future__ import annotations

import argparse
import colorsys
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.sam import load
from edgeloop.models.weights.registry import weights_path

sys.path.insert(0, str(Path(__file__).parents[1]))  # recipes/ is not installed
from recipes.nano.architecture import load_nano

# The generator's default thresholds (0.88, 0.95) suit a ViT and leave none of nano's masks here.
EVERYTHING = {"points_per_side": 16, "pred_iou_thresh": 0.45, "stability_score_thresh": 0.5}
GAP_PX = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="Image to write.")
    parser.add_argument("--frame", type=int, default=500, help="Frame of the scene.")
    parser.add_argument("--seed", type=int, default=3, help="Random seed of the scene.")
    arguments = parser.parse_args()
    scene = open_scene("conveyor", seed=arguments.seed)
    image, truth = scene.render(arguments.frame), scene.truth(arguments.frame)
    nano = load("nano")
    nano.set_image(image)
    points = np.array([_deepest(mask) for mask in truth.masks], np.float32)
    by_box, by_point = nano.masks(boxes=truth.xyxy)[0], nano.masks(points=points)[0]
    generator = SamAutomaticMaskGenerator(load_nano(weights_path("nano")), **EVERYTHING)
    found = sorted(generator.generate(image[..., ::-1]), key=lambda mask: -mask["area"])
    panels = [_painted(image, masks) for masks in (by_box, by_point, [m["segmentation"] for m in found])]
    for x1, y1, x2, y2 in truth.xyxy.round().astype(int).tolist():
        cv2.rectangle(panels[0], (x1, y1), (x2, y2), (255, 255, 255), 1, cv2.LINE_AA)
    for x, y in points.round().astype(int).tolist():
        cv2.circle(panels[1], (x, y), 4, (255, 255, 255), -1, cv2.LINE_AA)
    gap = np.full((image.shape[0], GAP_PX, 3), 255, np.uint8)
    cv2.imwrite(
        str(arguments.out),
        np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1),
        [cv2.IMWRITE_JPEG_QUALITY, 85],
    )
    print(f"{arguments.out}: {len(truth.xyxy)} objects, {len(found)} masks in everything mode")


def _deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def _painted(image: NDArray[np.uint8], masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    canvas = image.copy()
    for number, mask in enumerate(masks):
        color = [255 * value for value in colorsys.hsv_to_rgb(0.61803 * number % 1, 0.75, 1.0)]
        canvas[mask] = (0.45 * canvas[mask] + 0.55 * np.array(color)).astype(np.uint8)
        outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(canvas, outline, -1, color, 1, cv2.LINE_AA)
    return canvas


if __name__ == "__main__":
    main()
