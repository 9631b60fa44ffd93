"""`nano` is an ordinary Sam: its packed embedding, drawn prompts and position codes behave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam

from recipes.nano.architecture import EMBED_DIM, build_nano, draw_prompts, unpack


@pytest.fixture(scope="module")
def model() -> Sam:
    torch.manual_seed(0)
    return build_nano().eval()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)


def test_sam_predictor_works_unchanged(model: Sam, image: np.ndarray) -> None:
    predictor = SamPredictor(model)
    predictor.set_image(image)
    by_box, _, _ = predictor.predict(box=np.array([10, 10, 60, 80]), multimask_output=False)
    by_point, scores, logits = predictor.predict(
        point_coords=np.array([[40, 40]]), point_labels=np.array([1]), multimask_output=True
    )
    again, _, _ = predictor.predict(
        point_coords=np.array([[40, 40]]), point_labels=np.array([1]), mask_input=logits[:1]
    )
    assert by_box.shape == (1, 120, 200)
    assert by_point.shape == again.shape == (3, 120, 200)
    assert scores.shape == (3,)


@pytest.mark.slow
def test_automatic_mask_generator_works_unchanged(model: Sam, image: np.ndarray) -> None:
    generator = SamAutomaticMaskGenerator(
        model, points_per_side=4, pred_iou_thresh=-10.0, stability_score_thresh=-1.0
    )
    masks = generator.generate(image)
    assert masks
    assert all(mask["segmentation"].shape == (120, 200) for mask in masks)


def test_packed_embedding_unfolds_to_three_strides(model: Sam) -> None:
    with torch.inference_mode():
        s16, s8, s4 = unpack(model.image_encoder(torch.zeros(2, 3, 128, 96)))
    assert s16.shape == (2, EMBED_DIM, 8, 6)
    assert s8.shape[-2:] == (16, 12)
    assert s4.shape[-2:] == (32, 24)


@pytest.mark.slow
def test_prompts_of_several_images_decode_as_each_alone(model: Sam) -> None:
    """Training batches prompts across images; that must not mix the images up."""
    torch.manual_seed(1)
    with torch.inference_mode():
        features = model.image_encoder(torch.randn(2, 3, 512, 512))
        boxes = torch.tensor([[10.0, 10, 200, 200], [50, 60, 90, 100], [5, 5, 500, 500], [300, 20, 400, 90]])
        sparse, dense = model.prompt_encoder(None, boxes, None)
        place = model.prompt_encoder.get_dense_pe()
        together, _ = model.mask_decoder.predict_masks(features, place.expand(2, -1, -1, -1), sparse, dense)
        alone = [
            model.mask_decoder.predict_masks(features[i : i + 1], place, sparse[part], dense[part])[0]
            for i, part in enumerate((slice(0, 2), slice(2, 4)))
        ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_a_box_is_drawn_where_it_is() -> None:
    drawing = draw_prompts(1, (32, 32), None, torch.tensor([[16.0, 32.0, 64.0, 96.0]]), None)
    inside = drawing[0, 0] > 0.5
    ys, xs = torch.nonzero(inside, as_tuple=True)
    assert (xs.min() * 4, ys.min() * 4, (xs.max() + 1) * 4, (ys.max() + 1) * 4) == (16, 32, 64, 96)


def test_points_are_drawn_by_their_label() -> None:
    coords = torch.tensor([[[22.0, 42.0], [82.0, 62.0], [0.0, 0.0]]])
    labels = torch.tensor([[1, 0, -1]])
    drawing = draw_prompts(1, (32, 32), (coords, labels), None, None)[0]
    positive, negative = drawing[2], drawing[3]
    assert divmod(int(positive.argmax()), 32) == (10, 5)
    assert divmod(int(negative.argmax()), 32) == (15, 20)
    assert positive[0, 0] < 1e-3  # padding draws nothing
