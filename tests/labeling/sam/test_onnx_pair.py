"""Pairs of ONNX files: each family's interface, exported from a tiny SAM, draws the masks of that SAM."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.onnx import SamOnnxModel
from torch import Tensor, nn
from torch.nn import functional as F

from edgeloop.labeling.sam import Segmenter, fingerprint, load
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError, UsageError
from tests.labeling.sam.tiny_sam import CHANNELS, MEAN, SIDE, STD, tiny_sam

GRID = 64
BOXES = np.array([[20, 10, 90, 60], [100, 40, 180, 110], [5, 70, 60, 118]], np.float32)
POINTS = np.array([[50, 40], [140, 80], [190, 20]], np.float32)
LOW = torch.zeros(1, 1, GRID, GRID)
PROMPT = {"point_coords": torch.rand(1, 5, 2) * SIDE, "point_labels": torch.ones(1, 5)}
MASK = {"mask_input": LOW, "has_mask_input": torch.zeros(1)}
EMBEDDING = {"image_embeddings": torch.zeros(1, CHANNELS, 16, 16)}


class Encoder(nn.Module):
    """Encoder of every family, in the `layout` of its image."""

    def __init__(self, sam: Sam, layout: str) -> None:
        super().__init__()
        self.encoder, self.layout = sam.image_encoder, layout

    def forward(self, image: Tensor) -> Any:
        if self.layout == "stretched":  # EfficientSAM: RGB in [0, 1] in any size
            image = F.interpolate(image, (SIDE, SIDE), mode="bilinear")
            image = (image - MEAN.view(3, 1, 1) / 255) / (STD.view(3, 1, 1) / 255)
        elif self.layout != "normalized":
            image = image.permute(2, 0, 1)[None] if self.layout == "hwc" else image.float()
            image = (image - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
            image = F.pad(image, (0, SIDE - image.shape[3], 0, SIDE - image.shape[2]))
        return self.encoder(image)


class Sam2Encoder(Encoder):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embedding = self.encoder(image)
        fine = F.interpolate(embedding.mean(1, keepdim=True), scale_factor=4.0)
        return fine, F.max_pool2d(fine, 2), embedding


class Decoder(nn.Module):
    """Decoders without `orig_im_size`: EdgeSAM, SAM 2 (three masks) and EfficientSAM (queries)."""

    def __init__(self, sam: Sam, family: str) -> None:
        super().__init__()
        self.inner, self.family = SamOnnxModel(sam, return_single_mask=False), family

    def predict(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.inner
        masks, scores = inner.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=inner.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=inner._embed_points(coords, labels),
            dense_prompt_embeddings=inner._embed_masks(LOW, torch.zeros(1)),
        )
        return masks, scores

    def forward(self, *args: Tensor) -> tuple[Tensor, ...]:
        if self.family == "edge_sam":
            masks, scores = self.predict(*args)
            return scores, masks
        if self.family == "sam2":
            embedding, fine, coarse, coords, labels, mask, has_mask = args
            padded = F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1.0)
            masks, scores = self.predict(embedding, *padded)
            masks = masks + fine + F.interpolate(coarse, scale_factor=2.0) + mask * has_mask
            return masks[:, 1:], scores[:, 1:]
        embedding, coords, labels, size = args
        masks, scores = self.predict(embedding, coords[0] * SIDE / size.flip(0), labels[0])
        large = F.interpolate(masks[:, 1:], (size[0], size[1]), mode="bilinear")  # type: ignore[arg-type]
        return large[None], scores[None, :, 1:], masks


@pytest.fixture(scope="module")
def sam() -> Sam:
    return tiny_sam()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (8, 13, 3)).astype(np.float32)
    big = torch.from_numpy(small).permute(2, 0, 1)[None]
    smooth = F.interpolate(big, (120, 200), mode="bicubic").clamp(0, 255)[0].permute(1, 2, 0)
    return smooth.numpy().astype(np.uint8)


def export(
    path: Path,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    free: Mapping[str, Any],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(inputs.values()), path, input_names=list(inputs), output_names=list(outputs),
            dynamic_axes=free, opset_version=17, dynamo=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def pairs(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pairs, with the names, layouts and dynamic axes of the exporters."""
    root = tmp_path_factory.mktemp("pairs")
    square = torch.rand(1, 3, SIDE, SIDE)
    points = {name: {1: "num_points"} for name in PROMPT}
    high = ["high_res_feats_0", "high_res_feats_1", "image_embed"]
    queries = {f"batched_{name}": value[None] for name, value in PROMPT.items()}
    size = {"orig_im_size": torch.tensor([130, 210])}
    sizes = {0: "batch", 2: "height", 3: "width"}
    embedding, edge = ["image_embeddings"], ["scores", "masks"]
    normalized = Encoder(sam, "normalized")
    any_size = torch.zeros(1, 3, 170, SIDE, dtype=torch.uint8)
    both: list[tuple[str, nn.Module, dict[str, Tensor], list[str], dict[str, Any]]] = [
        ("sam/vit.encoder", Encoder(sam, "hwc"), {"input_image": torch.rand(170, SIDE, 3)},
         embedding, {"input_image": {0: "image_height", 1: "image_width"}}),
        ("sam/vit.decoder", SamOnnxModel(sam, return_single_mask=False),
         {**EMBEDDING, **PROMPT, **MASK, "orig_im_size": torch.tensor([150.0, 225.0])},
         ["masks", "iou_predictions", "low_res_masks"], points),
        ("edge_sam/edge_encoder", normalized, {"image": square}, embedding, {}),
        ("edge_sam/edge_decoder", Decoder(sam, "edge_sam"), {**EMBEDDING, **PROMPT}, edge, points),
        ("sam2/tiny.encoder", Sam2Encoder(sam, "normalized"), {"image": square}, high, {}),
        ("sam2/tiny.decoder", Decoder(sam, "sam2"),
         {"image_embed": EMBEDDING["image_embeddings"], "high_res_feats_0": LOW,
          "high_res_feats_1": LOW[..., ::2, ::2], **PROMPT, **MASK}, ["masks", "iou_predictions"],
         {name: {0: "num_labels", 1: "num_points"} for name in PROMPT}
         | {name: {0: "num_labels"} for name in MASK}),
        ("efficient_sam/ti_encoder", Encoder(sam, "stretched"),
         {"batched_images": torch.rand(1, 3, 130, 210)}, embedding, {"batched_images": sizes}),
        ("efficient_sam/ti_decoder", Decoder(sam, "efficient_sam"), {**EMBEDDING, **queries, **size},
         ["output_masks", "iou_predictions"], {name: {2: "num_points"} for name in queries}),
        ("others/mobile.encoder", normalized, {"input_image": square}, embedding, {}),
        ("others/any_encoder", Encoder(sam, "chw"), {"image": any_size}, embedding, {"image": sizes}),
        ("others/fixed_decoder", Decoder(sam, "edge_sam"), {**EMBEDDING, **PROMPT}, edge, {}),
    ]  # fmt: skip
    for name, module, inputs, outputs, free in both:
        path = root / f"{name}.onnx"
        path.parent.mkdir(exist_ok=True)
        export(path, module, inputs, outputs, free)
    return root


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a & b).sum(axis=(1, 2)) / np.maximum((a | b).sum(axis=(1, 2)), 1)


def same_masks(segmenter: Segmenter, expected: Segmenter, image: np.ndarray) -> None:
    for one in (segmenter, expected):
        one.set_image(image)
    for prompts in ({"boxes": BOXES}, {"points": POINTS}):
        masks, scores = segmenter.masks(**prompts)
        wanted, wanted_scores = expected.masks(**prompts)
        assert 0.02 < wanted.mean() < 0.98
        assert iou(masks, wanted).min() > 0.97
        np.testing.assert_allclose(scores, wanted_scores, atol=2e-3)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        pytest.param("sam/vit.encoder", "sam/vit.decoder", id="sam, normalizes itself"),
        pytest.param("others/mobile.encoder", "sam/vit.decoder", id="mobile_sam"),
        pytest.param("edge_sam/edge_encoder", "edge_sam/edge_decoder", id="edge_sam"),
        pytest.param("others/any_encoder", "edge_sam/edge_decoder", id="edge_sam of X-AnyLabeling"),
    ],
)
def test_onnx_repeats_segment_anything(
    pairs: Path, sam: Sam, image: np.ndarray, tmp_path: Path, encoder: str, decoder: str
) -> None:
    for source in (encoder, decoder):
        shutil.copy(pairs / f"{source}.onnx", tmp_path)
    same_masks(load(str(tmp_path)), SamSegmenter(sam), image)
    portrait = np.ascontiguousarray(image.transpose(1, 0, 2))
    same_masks(load(str(tmp_path)), SamSegmenter(sam), np.concatenate([portrait, portrait], axis=1)[:, :150])


class Stretched:
    """A `Segmenter` of SAM 2 and EfficientSAM: their modules in torch, upscaled as their own examples do."""

    def __init__(self, sam: Sam, family: str) -> None:
        self.encoder = (Sam2Encoder if family == "sam2" else Encoder)(sam, "normalized")
        self.decoder, self.family = Decoder(sam, family), family

    def set_image(self, image: np.ndarray) -> None:
        self.size = torch.tensor(image.shape[:2])
        pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear")
        with torch.no_grad():
            self.features = self.encoder((pixels - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))

    def encode(self, images: Sequence[np.ndarray]) -> list[Stretched]:
        encoded = [copy.copy(self) for _ in images]
        for own, image in zip(encoded, images, strict=True):
            own.set_image(image)
        return encoded

    def masks(self, *, boxes: Any = None, points: Any = None) -> tuple[np.ndarray, np.ndarray]:
        found = [
            self.one(torch.from_numpy(prompt).view(1, -1, 2), [2, 3] if points is None else [1])
            for prompt in (boxes if points is None else points)
        ]
        masks, scores = zip(*found, strict=True)
        return np.stack(masks), np.array(scores)

    @torch.no_grad()
    def one(self, coords: Tensor, labels: list[int]) -> tuple[np.ndarray, float]:
        if self.family == "sam2":
            coords = coords * SIDE / self.size.flip(0)
            fine, coarse, embedding = self.features
            prompt = coords, torch.tensor([labels], dtype=torch.float32)
            masks, scores = self.decoder(embedding, fine, coarse, *prompt, LOW, torch.zeros(1))
            large = F.interpolate(masks, tuple(self.size.tolist()), mode="bilinear")
        else:
            prompt = coords[None], torch.tensor([[labels]], dtype=torch.float32)
            large, scores, _ = self.decoder(self.features, *prompt, self.size)
            large, scores = large[0], scores[0]
        best = int(scores.argmax())
        return (large[0, best] > 0).numpy(), float(scores[0, best])


@pytest.mark.parametrize("family", ["sam2", "efficient_sam"])
def test_stretched_families_repeat_torch(pairs: Path, sam: Sam, image: np.ndarray, family: str) -> None:
    same_masks(load(str(pairs / family)), Stretched(sam, family), image)


def test_either_file_or_the_folder_name_the_pair(pairs: Path, tmp_path: Path) -> None:
    names = [pairs / "sam", pairs / "sam" / "vit.encoder.onnx", pairs / "sam" / "vit.decoder.onnx"]
    digests = {fingerprint(str(name)) for name in names}
    assert len(digests) == 1
    assert fingerprint(str(pairs / "sam2")) not in digests
    for file in names[1:]:
        shutil.copy(file, tmp_path)
    (tmp_path / "vit.decoder.onnx").write_bytes(b"retrained")
    assert fingerprint(str(tmp_path)) not in digests


def test_no_prompts_no_masks(pairs: Path, image: np.ndarray) -> None:
    segmenter = load(str(pairs / "sam" / "vit.decoder.onnx"))
    segmenter.set_image(image)
    masks, scores = segmenter.masks(boxes=np.empty((0, 4), np.float32))
    assert masks.shape == (0, 120, 200)
    assert scores.shape == (0,)


@pytest.mark.parametrize(
    ("files", "name", "error", "message"),
    [
        (
            ["sam/vit.encoder", "sam2/tiny.decoder"],
            ".",
            ModelError,
            "expected encoder and decoder of SAM or Mo",
        ),
        (
            ["efficient_sam/ti_encoder", "sam/vit.decoder"],
            ".",
            ModelError,
            "got ti_encoder.onnx from batched_i",
        ),
        (["sam/vit.encoder", "sam2/tiny.encoder"], ".", ModelError, "expected encoder and decoder"),
        (["edge_sam/edge_encoder", "others/fixed_decoder"], ".", ModelError, "expected any number of points"),
        (["sam/vit.encoder"], ".", ModelError, "expected two .onnx files in the folder, .* got 1"),
        (["sam/vit.encoder"], "vit.encoder.onnx", NoInputError, "there is no file .*vit.decoder.onnx"),
        ([], "vit.encoder.onnx", NoInputError, "there is no file .*vit.encoder.onnx"),
        ([], "vit.pth.bak", UsageError, "expected nano, vit_b"),
    ],
)
def test_wrong_pairs_are_refused(
    pairs: Path, tmp_path: Path, files: list[str], name: str, error: type[Exception], message: str
) -> None:
    for file in files:
        shutil.copy(pairs / f"{file}.onnx", tmp_path)
    with pytest.raises(error, match=message):
        load(str(tmp_path / name))


def test_a_name_without_a_role_is_refused(pairs: Path, tmp_path: Path) -> None:
    shutil.copy(pairs / "sam" / "vit.encoder.onnx", tmp_path / "vit.onnx")
    with pytest.raises(NoInputError, match="expected 'encoder' or 'decoder' in the file's name"):
        load(str(tmp_path / "vit.onnx"))


def test_an_encoder_of_another_size_is_refused(pairs: Path, tmp_path: Path) -> None:
    image = {"image": torch.zeros(1, 3, 512, 512)}
    export(tmp_path / "edge_encoder.onnx", nn.AdaptiveAvgPool2d(16), image, ["image_embeddings"], {})
    shutil.copy(pairs / "edge_sam" / "edge_decoder.onnx", tmp_path)
    with pytest.raises(ModelError, match=r"an image of 256 x 256 px, .* got image float32 \(1, 3, 512, 512"):
        load(str(tmp_path))


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="has CUDA")
@pytest.mark.parametrize("name", ["nano", "sam"])
def test_cuda_without_cuda_is_refused(pairs: Path, name: str) -> None:
    with pytest.raises(UnavailableError, match="--device cuda: onnxruntime cannot use it"):
        load(name if name == "nano" else str(pairs / name), device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
@pytest.mark.parametrize("name", ["absent.pth", "absent.pt"])
def test_cuda_without_cuda_is_refused_before_weights_are_read(name: str) -> None:
    with pytest.raises(UnavailableError, match="--device cuda: torch finds no CUDA device"):
        load(name, device="cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="--device tpu: unknown, expected cpu or cuda"):
        load("nano", device="tpu")  # type: ignore[arg-type]
