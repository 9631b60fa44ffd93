"""`nano`: the small SAM that ships with edgeloop.

The architecture is segment-anything's (Kirillov et al. 2023, arXiv:2304.02643): an image encoder that runs
once, a prompt encoder, and a two-way transformer that decodes masks for every prompt. Three parts differ,
because the encoder is 100 times smaller than a ViT-B and must train on an ordinary machine:

- The encoder is EfficientNet-Lite2. Its stride-16 embedding is accompanied by stride-8 and stride-4 features
  that the decoder adds while it upscales (the idea of HQ-SAM and SAM 2). They travel inside the one tensor
  that `SamPredictor` hands from encoder to decoder, folded into channels by pixel-unshuffle.
- Every prompt is also drawn, into the dense embedding. Sparse tokens alone do not train at this scale.
- Position codes are those of the whole 512 px frame even on a crop of it, so that training may use crops.

`build_nano()` returns a `segment_anything.modeling.Sam`: `SamPredictor` and `SamAutomaticMaskGenerator` work
with it unchanged.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from edgeloop.models.errors import ModelError, NoInputError
from recipes.nano.pyramid import LITE2, PIXEL_MEAN, PIXEL_STD, LitePyramid

__all__ = [
    "EMBED_DIM",
    "IMAGE_SIZE",
    "MULTIPLE",
    "STRIDE",
    "Nano",
    "build_nano",
    "draw_prompts",
    "load_nano",
    "unpack",
]

IMAGE_SIZE = 512  # long side of the encoder's input, px
MULTIPLE = 32  # both sides of the encoder's input are padded to it, px
STRIDE = 16  # stride of the embedding
EMBED_DIM = 128
_S8_DIM = 48
_S4_DIM = 24
_SURELY_OUTSIDE = -20.0  # logit
_POINT_SIGMA_PX = 6.0  # width of a drawn point, in pixels of the encoder's input


class Nano(Sam):  # type: ignore[misc]
    """segment-anything's `Sam`, which pads an image to multiples of 32 px and not to a square.

    That spares a 16:9 frame almost half of the work, in the encoder and for every prompt.
    """

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalize an image (..., 3, H, W), RGB in [0, 255]; pad it with zeros to the right and below."""
        height, width = x.shape[-2:]
        padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        return F.pad((x - self.pixel_mean) / self.pixel_std, padding)

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, int], original_size: tuple[int, int]
    ) -> Tensor:
        """Resize logits like `Sam.postprocess_masks`, in one bilinear step instead of two.

        Args:
            masks: (N, C, h, w) logits at stride 4 of the padded input.
            input_size: (height, width) of the input without its padding, px.
            original_size: (height, width) of the image, px.

        Returns:
            (N, C, *original_size) logits.
        """
        rows, columns = (-(-side // 4) for side in input_size)
        scale = tuple(4 * whole / side for whole, side in zip(original_size, input_size, strict=True))
        upscaled = F.interpolate(
            masks[..., :rows, :columns], scale_factor=scale, mode="bilinear", align_corners=False
        )
        return upscaled[..., : original_size[0], : original_size[1]]


class NanoEncoder(nn.Module):
    """Encodes an image into one packed embedding.

    Attributes:
        img_size: Long side that `SamPredictor` resizes to, px.
    """

    img_size = IMAGE_SIZE

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        self.backbone = LitePyramid(LITE2, pretrained=pretrained)
        c4, c8, c16, c32 = LITE2.tap_channels
        self.lateral8 = nn.Conv2d(c8, EMBED_DIM, 3, stride=2, padding=1)
        self.lateral16 = nn.Conv2d(c16, EMBED_DIM, 1)
        self.lateral32 = nn.Conv2d(c32, EMBED_DIM, 1)
        self.fuse = nn.Sequential(
            _conv_block(EMBED_DIM), _conv_block(EMBED_DIM), nn.Conv2d(EMBED_DIM, EMBED_DIM, 1)
        )
        self.skip8 = nn.Sequential(nn.Conv2d(c8, _S8_DIM, 1), _conv_block(_S8_DIM))
        self.skip4 = nn.Sequential(nn.Conv2d(c4, _S4_DIM, 1), _conv_block(_S4_DIM))

    def forward(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (B, 3, H, W) float, normalized RGB; H and W multiples of 32.

        Returns:
            (B, C, H/16, W/16): the embedding, then the stride-8 and stride-4 features folded into channels.
        """
        s4, s8, s16, s32 = self.backbone(images)
        coarse = F.interpolate(self.lateral32(s32), scale_factor=2.0, mode="bilinear", align_corners=False)
        embedding = self.fuse(self.lateral8(s8) + self.lateral16(s16) + coarse)
        skip8 = F.pixel_unshuffle(self.skip8(s8), 2)
        skip4 = F.pixel_unshuffle(self.skip4(s4), 4)
        return torch.cat([embedding, skip8, skip4], dim=1)


class NanoPromptEncoder(PromptEncoder):  # type: ignore[misc]
    """segment-anything's prompt encoder, which also draws each prompt into the dense embedding.

    The drawing has five channels at stride 4: inside of the box, border of the box, positive points,
    negative points, and the mask given as a prompt (as a probability).
    """

    def __init__(self) -> None:
        side = IMAGE_SIZE // STRIDE
        super().__init__(
            embed_dim=EMBED_DIM,
            image_embedding_size=(side, side),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=64,
            activation=nn.ReLU,
        )
        self.mask_downscaling[0] = nn.Conv2d(5, 16, kernel_size=2, stride=2)
        del self.no_mask_embed  # "no mask" is an empty drawing

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Encode like `PromptEncoder.forward`; boxes (N, 4) or (N, 1, 4) XYXY px of the 512 px frame."""
        boxes = None if boxes is None else boxes.reshape(-1, 4)
        count = self._get_batch_size(points, boxes, masks)
        sparse = torch.empty((count, 0, self.embed_dim), device=self._get_device())
        if points is not None:
            sparse = torch.cat([sparse, self._embed_points(*points, pad=boxes is None)], dim=1)
        if boxes is not None:
            sparse = torch.cat([sparse, self._embed_boxes(boxes)], dim=1)
        if masks is not None:  # made for a padded image, see `Nano`; the drawing is of the whole square
            height, width = self.mask_input_size
            padding = (0, width - masks.shape[-1], 0, height - masks.shape[-2])
            masks = F.pad(masks, padding, value=_SURELY_OUTSIDE)
        drawing = draw_prompts(count, self.mask_input_size, points, boxes, masks, device=self._get_device())
        return sparse, self.mask_downscaling(drawing)


class MaskScoringHead(nn.Module):
    """Correction of a mask's predicted IoU, as in Mask Scoring R-CNN (Huang et al. 2019, arXiv:1903.00241).

    segment-anything predicts the IoU from one token, before there is a mask. This head also uses the mask's
    features, those in a ring around it, its size, sharpness and agreement with the other masks. No gradient
    flows from here into the mask.
    """

    def __init__(self, masks: int) -> None:
        """Build the head for `masks` masks per prompt, M."""
        super().__init__()
        last = nn.Linear(EMBED_DIM, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        evidence = 3 * EMBED_DIM + _S4_DIM + 3 + 3 * masks
        self.layers = nn.Sequential(nn.Linear(evidence, EMBED_DIM), nn.ReLU(), last)

    def forward(
        self, masks: Tensor, predicted: Tensor, tokens: Tensor, coarse: Tensor, fine: Tensor
    ) -> Tensor:
        """Compute the corrections.

        Args:
            masks: (N, M, 4h, 4w) logits.
            predicted: (N, M), IoU from the token.
            tokens: (N, M, EMBED_DIM), token of each mask.
            coarse: (N, EMBED_DIM, h, w).
            fine: (N, _S4_DIM, 4h, 4w).

        Returns:
            (N, M), to be added to `predicted`.
        """
        given = (masks, predicted, tokens, coarse, fine)
        logits, predicted, tokens, coarse, fine = (x.detach().float() for x in given)
        inside = torch.sigmoid(logits)
        cells = F.avg_pool2d(inside, 4)
        ring = F.max_pool2d(cells, 3, stride=1, padding=1) - cells
        evidence = [tokens, _mean_over(cells, coarse), _mean_over(ring, coarse), _mean_over(inside, fine)]
        size = inside.sum((2, 3))
        stability = torch.sigmoid(logits - 1).sum((2, 3)) / (torch.sigmoid(logits + 1).sum((2, 3)) + 1)
        certainty = inside.square().sum((2, 3)) / (size + 1)
        log_size = torch.log(size + 1) / 8
        evidence.append(torch.stack([log_size, stability, certainty], dim=-1))
        common = inside.flatten(2) @ inside.flatten(2).transpose(1, 2)
        agreement = common / (size[:, :, None] + size[:, None] - common + 1)
        others = predicted[:, None].expand_as(agreement)
        evidence += [agreement, log_size[:, None] - log_size[:, :, None], others]
        correction: Tensor = self.layers(torch.cat(evidence, dim=-1)).squeeze(-1)
        return correction


class NanoMaskDecoder(MaskDecoder):  # type: ignore[misc]
    """segment-anything's mask decoder, which adds stride-8 and stride-4 features while it upscales."""

    def __init__(self) -> None:
        super().__init__(
            transformer_dim=EMBED_DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBED_DIM, num_heads=4, mlp_dim=512),
            num_multimask_outputs=3,
            activation=nn.ReLU,
            iou_head_hidden_dim=128,
        )
        self.output_upscaling = nn.ModuleDict(
            {
                "to8": nn.ConvTranspose2d(EMBED_DIM, _S8_DIM, kernel_size=2, stride=2),
                "refine8": _conv_block(_S8_DIM),
                "to4": nn.ConvTranspose2d(_S8_DIM, _S4_DIM, kernel_size=2, stride=2),
            }
        )
        for mlp in self.output_hypernetworks_mlps:
            mlp.layers[-1] = nn.Linear(EMBED_DIM, _S4_DIM)
        self.appraiser = MaskScoringHead(self.num_mask_tokens)  # the shipped weights call it so

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode like `MaskDecoder.predict_masks`, from packed embeddings.

        Args:
            image_embeddings: (B, C, h, w) from `NanoEncoder`. With B = 1 every prompt is decoded against it;
                otherwise prompts must come grouped by image, the same number for each.
            image_pe: (1, EMBED_DIM, h, w), or (B, EMBED_DIM, h, w) when each image has a place of its own;
                what goes beyond the embedding to the right and below is left out.
            sparse_prompt_embeddings: (N, tokens, EMBED_DIM), N a multiple of B.
            dense_prompt_embeddings: (N, EMBED_DIM, h, w), likewise.

        Returns:
            Mask logits (N, 4, 4h, 4w) and predicted IoU (N, 4).
        """
        count = sparse_prompt_embeddings.shape[0]
        embedding, skip8, skip4 = unpack(image_embeddings)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight], dim=0)
        tokens = torch.cat((own.unsqueeze(0).expand(count, -1, -1), sparse_prompt_embeddings), dim=1)
        height, width = embedding.shape[-2:]
        src = _repeat(embedding, count) + dense_prompt_embeddings[..., :height, :width]
        hidden, src_out = self.transformer(src, _repeat(image_pe[..., :height, :width], count), tokens)

        up = self.output_upscaling
        src = src_out.transpose(1, 2).view(src.shape)
        fine = up["refine8"](_add_skip(up["to8"](src), skip8))
        fine = F.relu(_add_skip(up["to4"](fine), skip4))
        mask_tokens = hidden[:, 1 : 1 + self.num_mask_tokens]
        weights = [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = (torch.stack(weights, dim=1) @ fine.flatten(2)).view(count, -1, *fine.shape[-2:])
        predicted = self.iou_prediction_head(hidden[:, 0])
        return masks, predicted + self.appraiser(masks, predicted, mask_tokens, src, fine)


def build_nano(*, pretrained_backbone: bool = False) -> Nano:
    """Build the `nano` model in training mode, with random weights outside the backbone.

    `pretrained_backbone` starts from the ImageNet weights (for training). Loading a trained `nano` overwrites
    every weight, so it leaves this off.
    """
    return Nano(
        image_encoder=NanoEncoder(pretrained=pretrained_backbone),
        prompt_encoder=NanoPromptEncoder(),
        mask_decoder=NanoMaskDecoder(),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )


def load_nano(path: Path) -> Nano:
    """Build `nano` in evaluation mode, and load its weights.

    fp16 values of the `.safetensors` file are widened to float32.

    Raises:
        NoInputError: The file does not exist.
        ModelError: It is damaged, or its tensors are not those of `nano`.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such weights file")
    try:
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged safetensors file ({error}); get the file again") from error
    model = build_nano()
    expected = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    if expected != weights.keys():
        wrong = sorted(expected ^ weights.keys())
        raise ModelError(
            f"{path}: not weights of nano ({len(wrong)} tensors differ, the first is {wrong[0]})"
        )
    try:
        model.load_state_dict(weights, strict=False)  # the integer counters of batch norm are not stored
    except RuntimeError as error:
        raise ModelError(f"{path}: not weights of this version of nano (tensor shapes differ)") from error
    model.eval()
    return model


def unpack(packed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a packed embedding into its stride-16, stride-8 and stride-4 features."""
    embedding, skip8, skip4 = packed.split([EMBED_DIM, _S8_DIM * 4, _S4_DIM * 16], dim=1)
    return embedding, F.pixel_shuffle(skip8, 2), F.pixel_shuffle(skip4, 4)


def draw_prompts(
    count: int,
    size: tuple[int, int],
    points: tuple[Tensor, Tensor] | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    *,
    device: torch.device | None = None,
) -> Tensor:
    """Draw prompts at stride 4.

    Args:
        count: Number of prompts, N.
        size: (height, width) of the drawing; one pixel of it is 4 px of the encoder's input.
        points: Coordinates (N, P, 2) XY px and labels (N, P): 1 inside, 0 outside, -1 padding.
        boxes: (N, 4) XYXY px.
        masks: (N, 1, height, width) logits, as `SamPredictor` returns them.
        device: Device to draw on.

    Returns:
        (N, 5, height, width) float in [0, 1].
    """
    height, width = size
    ys = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * 4
    xs = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * 4
    empty = torch.zeros((count, 1, height, width), device=device)
    inside = border = positive = negative = empty
    if boxes is not None:
        x1, y1, x2, y2 = boxes.float().unbind(-1)
        # Signed distance to the box in drawing pixels, clipped to one: edges stay sharper than the grid.
        across = torch.minimum(xs[None] - x1[:, None], x2[:, None] - xs[None]) / 4
        down = torch.minimum(ys[None] - y1[:, None], y2[:, None] - ys[None]) / 4
        distance = torch.minimum(across[:, None, :], down[:, :, None])
        inside = (distance + 0.5).clamp(0, 1)[:, None]
        border = (1 - distance.abs() / 2).clamp(0, 1)[:, None]
    if points is not None:
        coords, labels = points
        dx = xs[None, None] - coords[..., 0:1].float()
        dy = ys[None, None] - coords[..., 1:2].float()
        gx, gy = (torch.exp(-d.square() / (2 * _POINT_SIGMA_PX**2)) for d in (dx, dy))
        blobs = gy[..., :, None] * gx[..., None, :]
        positive = (blobs * (labels == 1)[..., None, None]).amax(1, keepdim=True)
        negative = (blobs * (labels == 0)[..., None, None]).amax(1, keepdim=True)
    given = empty if masks is None else torch.sigmoid(masks.float())
    return torch.cat([inside, border, positive, negative, given], dim=1)


def _conv_block(channels: int) -> nn.Module:
    """A residual of depthwise 3x3 and pointwise convolutions, as in MobileNets."""
    return _Residual(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),
    )


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return F.relu(x + added)


def _mean_over(area: Tensor, features: Tensor) -> Tensor:
    """Mean of features (N, C, h, w) over soft areas (N, M, h, w): (N, M, C)."""
    weighted = area.flatten(2) @ features.flatten(2).transpose(1, 2)
    return weighted / (area.sum((2, 3)).unsqueeze(-1) + 1)


def _repeat(x: Tensor, count: int) -> Tensor:
    """Repeat per-image tensors (B, ...) to per-prompt ones (count, ...)."""
    images = x.shape[0]
    return x.unsqueeze(1).expand(-1, count // images, *x.shape[1:]).reshape(count, *x.shape[1:])


def _add_skip(x: Tensor, skip: Tensor) -> Tensor:
    """Add per-image features (B, ...) to per-prompt ones (N, ...) without copying them per prompt."""
    per_image = x.view(skip.shape[0], -1, *x.shape[1:])
    return (per_image + skip.unsqueeze(1)).view(x.shape)
