"""From trained weights to the ONNX files that labelling runs on: nano's pair, and the frozen backbone.

    python -m labeling.sam.recipe.ship nano.safetensors -o models/weights

It prints what models/registry.py has to say of them.

Weights are stored as fp16 and widened when the graph is loaded, which halves the files. It changes no result
of nano, whose safetensors file holds fp16 as well.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import click
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..backbone import LITE0, LitePyramid
from ..nano import STRIDE, Nano, draw_prompts
from ..weights import load_nano

__all__ = ["write_backbone", "write_onnx"]

_OPSET = 17


@click.command(help=__doc__)
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True)
def main(weights: Path, out: Path) -> None:
    for path in (*write_onnx(load_nano(weights).model, out), write_backbone(out)):
        content = path.read_bytes()
        click.echo(f"{path.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def write_onnx(model: Nano, out: Path) -> tuple[Path, Path]:
    """Write `nano_encoder.onnx` and `nano_decoder.onnx`.

    The encoder maps (1, 3, H, W) float32 normalised RGB, H and W multiples of 32 up to 512, to a packed
    embedding. The decoder maps that, coords (N, 2, 2) XY px of the encoder's input and labels (N, 2) to mask
    logits (N, 4, H/4, W/4) and predicted IoU (N, 4). Labels are those of SAM's own ONNX export: 2 and 3 for
    the corners of a box, 1 for a point, -1 for padding.

    Args:
        model: `nano`, in evaluation mode.
        out: Folder to write into.

    Returns:
        The paths of encoder and decoder.
    """
    image = torch.zeros(1, 3, 288, 512)
    coords = torch.tensor([[[10.0, 10.0], [90.0, 90.0]]] * 2)
    labels = torch.tensor([[2.0, 3.0]] * 2)
    with torch.inference_mode():
        embedding = model.image_encoder(image)
    size = {2: "height", 3: "width"}
    encoder = _export(
        model.image_encoder, (image,), out / "nano_encoder.onnx", ["image"], ["embedding"], {"image": size}
    )
    decoder = _export(
        _Decoder(model).eval(),
        (embedding, coords, labels),
        out / "nano_decoder.onnx",
        ["embedding", "coords", "labels"],
        ["masks", "iou"],
        {"embedding": size, "coords": {0: "prompts"}, "labels": {0: "prompts"}},
    )
    return encoder, decoder


def write_backbone(out: Path) -> Path:
    """Write `lite0.onnx`: `LitePyramid` of size Lite0 with its ImageNet weights.

    It maps (B, 3, H, W) float32 normalised RGB, H and W multiples of 32, to features at strides 4, 8, 16, 32.

    Args:
        out: Folder to write into.

    Returns:
        The path.
    """
    return _export(
        LitePyramid(LITE0, pretrained=True).eval(),
        (torch.zeros(1, 3, 288, 512),),
        out / "lite0.onnx",
        ["image"],
        ["s4", "s8", "s16", "s32"],
        {"image": {0: "images", 2: "height", 3: "width"}},
    )


class _Decoder(nn.Module):
    """Prompt encoder and mask decoder as one graph, without data-dependent branches."""

    places: Tensor

    def __init__(self, model: Nano) -> None:
        super().__init__()
        self.prompts, self.decoder = model.prompt_encoder, model.mask_decoder
        self.register_buffer("places", model.prompt_encoder.get_dense_pe().detach())

    def forward(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = embedding.shape[-2:]
        tokens = self._tokens(coords, labels)
        boxes = coords.reshape(-1, 4)
        size = (height * STRIDE // 4, width * STRIDE // 4)
        drawing = draw_prompts(coords.shape[0], size, (coords, labels), boxes, None)
        # A prompt that is no box has no inside and no border.
        box_channels = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
        is_box = (labels[:, :1] == 2).float()
        gate = 1 - box_channels + box_channels * is_box
        dense = self.prompts.mask_downscaling(drawing * gate[:, :, None, None])
        return self.decoder.predict_masks(embedding, self.places, tokens, dense)  # type: ignore[no-any-return]

    def _tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        prompts = self.prompts
        kind = labels[..., None]
        code = prompts.pe_layer.forward_with_coords(coords + 0.5, prompts.input_image_size)
        tokens: Tensor = code * (kind != -1) + prompts.not_a_point_embed.weight * (kind == -1)
        for number, embedding in enumerate(prompts.point_embeddings):
            tokens = tokens + embedding.weight * (kind == number)
        return tokens


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    input_names: list[str],
    output_names: list[str],
    dynamic_axes: dict[str, dict[int, str]],
) -> Path:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it turns into a constant
        torch.onnx.export(
            module,
            inputs,
            path,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=dynamic_axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    graph = onnx.load(path)
    _store_as_half(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    return path


def _store_as_half(model: onnx.ModelProto) -> None:
    """Turn every large float32 weight into an fp16 one and a Cast, which onnxruntime folds at load time."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < 256:
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}_half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


if __name__ == "__main__":
    main()
