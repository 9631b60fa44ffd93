"""Masks of a segmentation model, from the image to the detections."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.tiling import find_regions, merge_regions
from edgeloop.edge.runtime.verification import verify
from edgeloop.models.bundle.seal import SEAL_KEY
from edgeloop.models.detections import Detections
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.masks import Masks
from tests.disc_finder import SIDE, draw_discs, write_disc_finder
from tests.marks import needs_openvino


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_disc_finder(tmp_path_factory.mktemp("discs") / "discs.onnx")


def overlap(found: Detections, expected: np.ndarray) -> np.ndarray:
    """IoU of the found masks, sorted from left to right, with the expected ones."""
    assert found.masks is not None
    masks = found.masks.to_array()[np.argsort(found.xyxy[:, 0])]
    return np.asarray((masks & expected).sum(axis=(1, 2)) / (masks | expected).sum(axis=(1, 2)))


@pytest.mark.parametrize(
    "scale",
    [pytest.param(1, id="as it is"), pytest.param(2.5, id="larger"), pytest.param(0.75, id="smaller")],
)
def test_a_mask_is_the_object_in_pixels_of_the_image(discs: Path, scale: float) -> None:
    size = (round(SIDE * scale), round(SIDE * 0.5 * scale))
    image, expected = draw_discs(size, (20 * scale, 16 * scale), radius=14 * scale)
    found = Detector(discs, provider="cpu").detect(image)
    assert found.class_id.tolist() == [1]
    assert overlap(found, expected).min() > 0.93


def test_an_empty_image_has_masks_of_no_object(discs: Path) -> None:
    found = Detector(discs, provider="cpu").detect(np.zeros((30, 50, 3), np.uint8))
    assert found.masks is not None
    assert (len(found.masks), found.masks.size) == (0, (50, 30))


def test_masks_stay_with_their_boxes_through_tiles_and_filters(discs: Path) -> None:
    image, expected = draw_discs((200, 64), (28, 28), (108, 36), (172, 28))
    told = SpecOverrides(tile=SIDE, tile_overlap=0.7, min_size=20, classes=("disc",))
    found = Detector(discs, provider="cpu", overrides=told).detect(image)
    assert len(found) == 3
    assert overlap(found, expected).min() > 0.9
    assert overlap(found[::-1], expected).min() > 0.9


def test_halves_of_an_object_are_joined_with_their_masks() -> None:
    regions = find_regions((1000, 500), 500, 0.2)
    _, left, middle, *others = regions
    bar = np.zeros((500, 1000), np.bool_)
    bar[200:240, 100:700] = True

    def part(region: tuple[int, int, int, int]) -> Detections:
        x1, y1, x2, y2 = region
        seen = bar[y1:y2, x1:x2]
        y, x = np.nonzero(seen)
        box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
        window = seen[y.min() : y.max() + 1, x.min() : x.max() + 1]
        masks = Masks((window,), box[:, :2].astype(np.int64), (x2 - x1, y2 - y1)).placed(
            (x1, y1), (1000, 500)
        )
        box += np.array([x1, y1, x1, y1], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), masks=masks)

    nothing = part(left)[:0]
    found = [nothing, part(left), part(middle), *(nothing for _ in others)]
    merged = merge_regions(found, regions, limit=10)
    assert merged.xyxy.tolist() == [[100, 200, 700, 240]]
    assert merged.masks is not None
    assert (merged.masks.to_array()[0] == bar).all()


@needs_openvino
def test_openvino_draws_the_same_masks(discs: Path) -> None:
    image, _ = draw_discs((130, 90), (50, 40))
    ours, theirs = (Detector(discs, provider=name).detect(image).masks for name in ("cpu", "openvino"))
    assert ours is not None
    assert theirs is not None
    assert (ours.to_array() != theirs.to_array()).sum() < 5
    assert verify(discs, provider="openvino").golden.passed


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        pytest.param(1 + 1e-4, "within tolerance", id="rounding"),
        pytest.param(1.05, "different", id="other masks"),
        pytest.param(float("nan"), "different", id="no masks"),
    ],
)
def test_a_model_that_only_draws_other_masks_is_told(
    discs: Path, tmp_path: Path, factor: float, verdict: str
) -> None:
    assert verify(discs, provider="cpu").golden.verdict == "identical"
    model = onnx.load(discs)
    (one,) = (each for each in model.graph.initializer if each.name == "one")
    one.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(one) * np.float32(factor), "one"))
    kept = [each for each in model.metadata_props if each.key != SEAL_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path / "other.onnx")
    golden = verify(tmp_path / "other.onnx", provider="cpu").golden
    assert golden.verdict == verdict
    assert golden.difference is not None
    assert golden.difference.box_px == 0
    assert "in the mean of a mask" in golden.reason


def test_importing_the_detector_leaves_opencv_for_the_time_in_which_its_model_loads() -> None:
    code = "import sys, edgeloop.edge.runtime.detector\nsys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
