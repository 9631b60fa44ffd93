"""The recipe for `nano`, small and real: it learns, stops in time, goes on, and ships loadable weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pycocotools import mask as rle
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from edgeloop.labeling.sam.nano_onnx import OnnxNano
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import DataError, ModelError, NoInputError
from recipes.nano import __main__ as recipe
from recipes.nano.__main__ import Stage, Trainer, main
from recipes.nano.architecture import EMBED_DIM, build_nano, load_nano
from recipes.nano.coco_folder import read_folder
from recipes.nano.cutouts import write_cutouts
from recipes.nano.evaluate import evaluate_segmenter
from recipes.nano.loss import prompt_loss
from recipes.nano.prompted_crops import PromptedCrops, collate
from recipes.nano.ship import write_onnx


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO folder of bright discs on a dark ground, with their masks."""
    folder = tmp_path_factory.mktemp("discs")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    coco: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
    for index in range(4):
        image = rng.integers(0, 60, (200, 300, 3), dtype=np.uint8)
        coco["images"].append({"id": index, "file_name": f"{index}.png", "width": 300, "height": 200})
        for x in (70, 220):
            mask = np.zeros((200, 300), dtype=np.uint8)
            cv2.circle(mask, (x, int(rng.integers(70, 130))), int(rng.integers(25, 55)), 1, -1)
            image[mask > 0] = rng.integers(150, 250, 3)
            coco["annotations"].append(
                {"image_id": index, "segmentation": _counts_as_text(rle.encode(np.asfortranarray(mask)))}
            )
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
    (folder / "instances.json").write_text(json.dumps(coco))
    return folder


def _counts_as_text(mask: dict[str, object]) -> dict[str, object]:
    counts = mask["counts"]
    assert isinstance(counts, bytes)
    return {**mask, "counts": counts.decode()}


@pytest.mark.slow
def test_recipe_trains_stops_goes_on_and_ships(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (
        Stage(0.0, 0.4, crop=64, batch=2, boxes=2, points=1, trains="head"),
        Stage(0.4, 0.8, crop=96, batch=1, boxes=1, points=2, trains="all"),
        Stage(0.8, 1.0, crop=64, batch=1, boxes=1, points=2, trains="appraiser"),
    )
    monkeypatch.setattr(recipe, "_STAGES", stages)
    start = tmp_path / "start.safetensors"
    save_file({"mask_decoder.iou_token.weight": torch.full((1, EMBED_DIM), 7.0)}, start)
    for hours in ("0.0007", "0.0014"):
        arguments = [
            "--data",
            str(discs),
            "--start",
            str(start),
            "--check",
            str(discs),
            "--hours",
            hours,
            "-o",
            str(tmp_path),
            "--workers",
            "0",
        ]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["images"] > 0
    token = load_file(tmp_path / "nano.safetensors")["mask_decoder.iou_token.weight"]
    assert abs(token.float().mean() - 7) < 1  # it started where it was told to
    assert 0 <= metrics["box_miou"] <= 1
    segmenter = SamSegmenter(load_nano(tmp_path / "nano.safetensors"))
    segmenter.set_image(cv2.imread(str(discs / "images" / "0.png")))
    masks, scores = segmenter.masks(boxes=np.array([[10, 10, 90, 90], [5, 5, 40, 40]], dtype=np.float32))
    assert masks.shape == (2, 200, 300)
    assert masks.dtype == np.bool_
    assert scores.dtype == np.float32
    assert segmenter.masks(points=np.empty((0, 2), dtype=np.float32))[0].shape == (0, 200, 300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trains", "moves", "stays"),
    [
        ("head", ("image_encoder.fuse", "mask_decoder.transformer"), ("image_encoder.backbone",)),
        ("all", ("image_encoder.backbone.blocks.9", "mask_decoder"), ("image_encoder.backbone.blocks.6",)),
        ("appraiser", ("mask_decoder.appraiser",), ("image_encoder", "mask_decoder.transformer")),
    ],
)
def test_a_stage_moves_what_it_trains(
    discs: Path,
    tmp_path: Path,
    trains: Literal["head", "all", "appraiser"],
    moves: tuple[str, ...],
    stays: tuple[str, ...],
) -> None:
    model = build_nano()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = Trainer(model, tmp_path, lr=1e-2, limit_s=3600)
    trainer.step = 100  # far enough into the warm-up that weights move
    crops = PromptedCrops([(read_folder(discs), 1.0)], [], crop=64, boxes=1, points=2, seed=1)
    samples: Any = list(islice(crops, 4))
    batches: DataLoader[Any] = DataLoader(samples, batch_size=2, collate_fn=collate)
    trainer.fit(batches, Stage(0.0, 1.0, crop=64, batch=2, boxes=1, points=2, trains=trains))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    for part in moves:
        assert any(name.startswith(part) for name in moved)
    assert not any(name.startswith(stays) for name in moved)


def test_crops_keep_prompts_on_their_masks(discs: Path) -> None:
    crops = PromptedCrops([(read_folder(discs), 1.0)], [], crop=96, boxes=2, points=2, seed=3)
    for sample, _ in zip(crops, range(20), strict=False):
        for mask, (x1, y1, x2, y2) in zip(sample.masks[:2], sample.boxes, strict=True):
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 96
            inside = mask[int(y1) // 4 : int(y2) // 4 + 1, int(x1) // 4 : int(x2) // 4 + 1].sum()
            assert inside >= 0.6 * mask.sum()
        for mask, (x, y) in zip(sample.masks[2:], sample.points, strict=True):
            assert mask[int(y) // 4, int(x) // 4] > 0


def test_crops_are_the_same_for_a_seed(discs: Path) -> None:
    folder = read_folder(discs)
    first, again = (
        next(iter(PromptedCrops([(folder, 1.0)], [], crop=96, boxes=2, points=2, seed=5))) for _ in "ab"
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.boxes, again.boxes)


def test_objects_with_a_transparent_ground_are_pasted(discs: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    square = np.zeros((100, 100, 4), dtype=np.uint8)
    square[20:80, 20:80] = (0, 255, 0, 255)
    cv2.imwrite(str(pictures / "square.png"), square)
    cv2.imwrite(str(pictures / "opaque.png"), np.full((100, 100, 4), 255, dtype=np.uint8))
    cv2.imwrite(str(pictures / "photo.png"), np.full((100, 100, 3), 255, dtype=np.uint8))
    assert write_cutouts(pictures, tmp_path / "cutouts") == 1

    cutouts = read_folder(tmp_path / "cutouts")
    crops = PromptedCrops([(read_folder(discs), 1.0)], [cutouts], crop=96, boxes=2, points=2, seed=3)
    green = 0
    for sample, _ in zip(crops, range(60), strict=False):
        red_channel, green_channel = sample.image[0].astype(int), sample.image[1].astype(int)
        for mask in sample.masks:
            inside = cv2.resize(mask, (96, 96), interpolation=cv2.INTER_NEAREST) > 0.99
            green += bool(inside.any() and (green_channel - red_channel)[inside].min() > 100)
    assert green > 0


def test_cutouts_need_transparency(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no such folder"):
        write_cutouts(tmp_path / "nothing", tmp_path / "out")
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((100, 100, 3), 255, dtype=np.uint8))
    with pytest.raises(DataError, match="transparent"):
        write_cutouts(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="exists already"):
        write_cutouts(tmp_path, tmp_path)


def test_a_point_teaches_which_of_its_masks_is_the_best() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, :4] = 1
    logits = torch.full((1, 4, 8, 8), -1.0)
    logits[:, 2] = truth * 2 - 1
    predicted = torch.full((1, 4), 0.5, requires_grad=True)
    prompt_loss(logits, predicted, truth, torch.tensor([False]))[0].backward()
    assert predicted.grad is not None
    _, first, best, last = predicted.grad[0].tolist()
    assert best < 0 < first == last


def test_a_point_teaches_one_mask_always_and_of_two_the_better_one() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, :4] = 1
    logits = torch.zeros(1, 4, 8, 8)
    logits[:, 2] = (truth * 2 - 1) * 0.1
    logits.requires_grad_()
    loss, true_iou = prompt_loss(logits, torch.zeros(1, 4), truth, torch.tensor([False]))
    loss.backward()
    assert logits.grad is not None
    _, always, better, worse = logits.grad.abs().sum((0, 2, 3))
    assert better > 5 * worse > 0
    assert always > 5 * worse
    assert true_iou[0, 2] == 1


def _random_nano(folder: Path, dtype: torch.dtype) -> Path:
    torch.manual_seed(0)
    state = {name: value for name, value in build_nano().state_dict().items() if value.is_floating_point()}
    path = folder / "nano.safetensors"
    save_file({name: value.to(dtype) for name, value in state.items()}, path)
    return path


@pytest.mark.slow
def test_the_onnx_pair_repeats_what_it_was_made_from(tmp_path: Path) -> None:
    weights = _random_nano(tmp_path, torch.float16)
    encoder, decoder = write_onnx(weights)
    assert encoder.stat().st_size + decoder.stat().st_size < weights.stat().st_size / 5
    by_onnx, by_torch = OnnxNano(encoder, decoder), SamSegmenter(load_nano(weights))
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (256, 512, 3), np.uint8), (0, 0), 9)
    for segmenter in (by_onnx, by_torch):
        segmenter.set_image(image)
    for prompts in (
        {"boxes": np.array([[20, 30, 200, 210], [300, 5, 500, 90]], np.float32)},
        {"points": np.array([[60, 60], [400, 200], [5, 250]], np.float32)},
    ):
        masks, scores = by_onnx.masks(**prompts)
        expected, expected_scores = by_torch.masks(**prompts)
        assert (masks == expected).mean() > 0.98
        np.testing.assert_allclose(scores, expected_scores, atol=0.01)


@pytest.mark.slow
def test_weights_that_are_not_fp16_do_not_ship(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nano.safetensors: .* is F32, expected F16"):
        write_onnx(_random_nano(tmp_path, torch.float32))


class Filler:
    """A segmenter that fills its boxes, to check the measure."""

    def set_image(self, image: np.ndarray) -> None:
        self.shape = image.shape[:2]

    def encode(self, images: Sequence[np.ndarray]) -> list[Filler]:
        encoded = [Filler() for _ in images]
        for own, image in zip(encoded, images, strict=True):
            own.set_image(image)
        return encoded

    def masks(
        self, *, boxes: np.ndarray | None = None, points: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        if boxes is None:
            assert points is not None
            boxes = np.concatenate([points - 5, points + 6], axis=1)
        masks = np.zeros((len(boxes), *self.shape), dtype=bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = True
        return masks, np.linspace(0.5, 1, len(boxes), dtype=np.float32)


def test_a_filled_box_scores_what_a_filled_box_scores(discs: Path) -> None:
    scores = evaluate_segmenter(Filler(), discs)
    assert scores.instances == 8
    assert scores.box_miou == pytest.approx(scores.filled_box_miou)
    assert scores.box_miou == pytest.approx(np.pi / 4, abs=0.05)
    assert scores.point_miou < 0.1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(None, NoInputError, id="no file"),
        pytest.param("{", DataError, id="not JSON"),
        pytest.param('{"images": [], "annotations": []}', DataError, id="no masks"),
        pytest.param('[{"images": 1}]', DataError, id="not COCO"),
    ],
)
def test_bad_folders_are_refused(tmp_path: Path, content: str | None, error: type[Exception]) -> None:
    if content is not None:
        (tmp_path / "instances.json").write_text(content)
    with pytest.raises(error, match=r"instances\.json"):
        read_folder(tmp_path)


def test_bad_weights_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match="damaged"):
        load_nano(damaged)
    with pytest.raises(NoInputError, match="no such"):
        load_nano(tmp_path / "absent.safetensors")
