"""SAM 2.1 checkpoints, through the package `sam2` if it is installed; other checkpoints are refused."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeloop.labeling.sam import Segmenter, fingerprint, load
from edgeloop.models.errors import ModelError, UnavailableError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # hydra's, of omegaconf

TINY = {f"image_encoder.trunk.blocks.{block}.norm1.weight": torch.ones(3) for block in range(12)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny model with random weights."""
    pytest.importorskip("sam2")
    from sam2.build_sam import build_sam2

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("sam2") / "tiny.pt"
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
    torch.save({"model": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def segmenter(tiny: Path) -> Segmenter:
    loaded = load(str(tiny))
    loaded.set_image(np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8))
    return loaded


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["boxes", "points"])
def test_prompts_together_are_decoded_as_each_alone(segmenter: Segmenter, kind: str) -> None:
    boxes = np.array([[10, 10, 60, 50], [70, 20, 150, 80]], np.float32)
    prompts = boxes if kind == "boxes" else boxes[:, :2]
    masks, scores = segmenter.masks(**{kind: prompts})
    assert masks.shape == (2, 90, 160)
    for row in range(2):
        alone, score = segmenter.masks(**{kind: prompts[row : row + 1]})
        assert (alone[0] == masks[row]).mean() > 0.99
        assert score[0] == pytest.approx(scores[row], abs=1e-3)
    assert segmenter.masks(**{kind: prompts[:0]})[0].shape == (0, 90, 160)


@pytest.mark.slow
def test_images_together_have_the_masks_of_each_alone(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((90, 160), (120, 70))]
    boxes = np.array([[10, 10, 60, 50], [5, 20, 65, 80]], np.float32)
    for own, image in zip(segmenter.encode(images), images, strict=True):
        (alone,) = segmenter.encode([image])
        masks, scores = own.masks(boxes=boxes)
        wanted, wanted_scores = alone.masks(boxes=boxes)
        assert masks.shape == (2, *image.shape[:2])
        assert (masks == wanted).mean() > 0.99
        np.testing.assert_allclose(scores, wanted_scores, atol=1e-3)


@pytest.mark.slow
def test_one_image_is_encoded_as_by_the_package_to_the_bit(tiny: Path) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    segmenter = load(str(tiny))
    image = np.random.default_rng(2).integers(0, 255, (120, 70, 3), dtype=np.uint8)
    segmenter.set_image(image)
    predictor = SAM2ImagePredictor(segmenter._predictor.model)  # type: ignore[attr-defined]
    with torch.inference_mode():
        predictor.set_image(np.ascontiguousarray(image[..., ::-1]))
        masks, scores, _ = predictor.predict(box=np.array([5, 20, 65, 80]), multimask_output=False)
    own, own_scores = segmenter.masks(boxes=np.array([[5, 20, 65, 80]], np.float32))
    np.testing.assert_array_equal(own, masks > 0)
    np.testing.assert_array_equal(own_scores, scores)


@pytest.mark.slow
def test_the_first_sam2_is_refused(tiny: Path, tmp_path: Path) -> None:
    weights = torch.load(tiny, weights_only=True)["model"]
    del weights["no_obj_embed_spatial"]  # new in 2.1
    torch.save({"model": weights}, tmp_path / "old.pt")
    with pytest.raises(ModelError, match="not a checkpoint of SAM 2"):
        load(str(tmp_path / "old.pt"))


@pytest.mark.skipif(find_spec("sam2") is not None, reason="sam2 is installed")
def test_without_the_package_its_extra_is_named(tmp_path: Path) -> None:
    torch.save({"model": TINY}, tmp_path / "tiny.pt")
    with pytest.raises(
        UnavailableError, match=r"sam2 is not installed; pip install 'edgeloop\[label,sam2\]'"
    ):
        load(str(tmp_path / "tiny.pt"))


@pytest.mark.parametrize("weights", [{"model": {"weight": torch.zeros(3)}}, {"model": 3}, torch.zeros(3)])
def test_other_checkpoints_are_refused(tmp_path: Path, weights: object) -> None:
    path = tmp_path / "other.pt"
    torch.save(weights, path)
    assert fingerprint(str(path)).startswith("sha256:")
    with pytest.raises(ModelError, match="not a checkpoint of"):
        load(str(path))
