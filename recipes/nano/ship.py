"""Export trained weights to the ONNX files that labeling runs: nano's pair, and the frozen backbone.

    python -m recipes.nano.ship nano.safetensors -o models/weights

It copies the weights there and prints size and sha256 of all four files for models/weights/registry.py.

Weights are stored as fp16 and cast to float32 when the graph is loaded, which halves the files. Those of nano
are stored once for torch and onnxruntime: its graphs refer to nano.safetensors as ONNX external data.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx
import torch
from onnx import NodeProto, StringStringEntryProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgeloop.models.errors import ModelError
from recipes.nano.architecture import STRIDE, Nano, draw_prompts, load_nano
from recipes.nano.pyramid import LITE0, LitePyramid

__all__ = ["write_backbone", "write_onnx"]

_OPSET = 17
_LARGE = 256  # minimum number of values to store as fp16, which takes one more node


@click.command(help=__doc__)
@click.argument("weights", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder to write to.",
)
def main(weights: Path, out: Path) -> None:
    """Run the export."""
    shipped = out / "nano.safetensors"
    if not (shipped.exists() and shipped.samefile(weights)):
        shutil.copyfile(weights, shipped)
    for path in (shipped, *write_onnx(shipped), write_backbone(out)):
        content = path.read_bytes()
        click.echo(f"{path.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def write_onnx(weights: Path) -> tuple[Path, Path]:
    """Write `nano_encoder.onnx` and `nano_decoder.onnx` beside the weights of `nano`, their external data.

    The encoder maps (1, 3, H, W) float32 normalized RGB, H and W multiples of 32 up to 512, to a packed
    embedding. The decoder maps that, coords (N, P, 2) XY px of the encoder's input and labels (N, P), P at
    least 2, to mask logits (N, 4, H/4, W/4) and predicted IoU (N, 4). Labels follow SAM's own ONNX export: 2
    and 3 for the corners of a box, which come first, 1 for a point inside, 0 for one outside, -1 for padding.

    Args:
        weights: A safetensors file in fp16, as the recipe writes it.

    Returns:
        The paths of encoder and decoder.
    """
    model = load_nano(weights)
    image = torch.zeros(1, 3, 288, 512)
    coords = torch.tensor([[[10.0, 10.0], [90.0, 90.0]]] * 2)
    labels = torch.tensor([[2.0, 3.0]] * 2)
    with torch.inference_mode():
        embedding = model.image_encoder(image)
    size = {2: "height", 3: "width"}
    external = _locate(weights)
    encoder = _export(
        _Encoder(model).eval(),
        (image,),
        weights.with_name("nano_encoder.onnx"),
        ["image"],
        ["embedding"],
        {"image": size},
        external,
    )
    decoder = _export(
        _Decoder(model).eval(),
        (embedding, coords, labels),
        weights.with_name("nano_decoder.onnx"),
        ["embedding", "coords", "labels"],
        ["masks", "iou"],
        {"embedding": size, "coords": {0: "prompts", 1: "points"}, "labels": {0: "prompts", 1: "points"}},
        external,
    )
    return encoder, decoder


def write_backbone(out: Path) -> Path:
    """Write `lite0.onnx`: `LitePyramid` of size Lite0 with its ImageNet weights.

    It maps (B, 3, H, W) float32 normalized RGB, H and W multiples of 32, to features at strides 4, 8, 16, 32.

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
        {},
    )


class _Encoder(nn.Module):
    """Image encoder, its weights named as in the safetensors file."""

    def __init__(self, model: Nano) -> None:
        super().__init__()
        self.image_encoder = model.image_encoder

    def forward(self, image: Tensor) -> Tensor:
        embedding: Tensor = self.image_encoder(image)
        return embedding


class _Decoder(nn.Module):
    """Prompt encoder and mask decoder as one graph without data-dependent branches; weights likewise."""

    places: Tensor

    def __init__(self, model: Nano) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        self.register_buffer("places", model.prompt_encoder.get_dense_pe().detach())

    def forward(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = embedding.shape[-2:]
        tokens = self._tokens(coords, labels)
        boxes = coords[:, :2].reshape(-1, 4)
        size = (height * STRIDE // 4, width * STRIDE // 4)
        drawing = draw_prompts(coords.shape[0], size, (coords, labels), boxes, None)
        # Points have neither an inside nor a border.
        box_channels = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
        is_box = (labels[:, :1] == 2).float()
        gate = 1 - box_channels + box_channels * is_box
        dense = self.prompt_encoder.mask_downscaling(drawing * gate[:, :, None, None])
        return self.mask_decoder.predict_masks(embedding, self.places, tokens, dense)  # type: ignore[no-any-return]

    def _tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        prompts = self.prompt_encoder
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
    external: Mapping[str, _ExternalData],
) -> Path:
    """Write a graph with fp16 weights, external if they are in `external`, else inside."""
    mode = torch.onnx.TrainingMode
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns about every shape that becomes a constant
        torch.onnx.export(
            module,
            inputs,
            path,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=dynamic_axes,
            opset_version=_OPSET,
            # A folded weight is in no file; onnxruntime folds on loading.
            do_constant_folding=not external,
            training=mode.PRESERVE if external else mode.EVAL,
            dynamo=False,
        )
    model = onnx.load(path)
    nodes = [*_to_fp16(model.graph.initializer, external), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    onnx.checker.check_model(path)
    return path


def _to_fp16(weights: Iterable[TensorProto], external: Mapping[str, _ExternalData]) -> Iterator[NodeProto]:
    """Convert weights to fp16 and yield a Cast for each, which onnxruntime folds on loading."""
    for weight in weights:
        name = weight.name
        if name in external:
            half = external[name].tensor(f"{name}_half", weight.dims)
        elif weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= _LARGE:
            half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}_half")
        else:
            continue
        weight.CopyFrom(half)
        yield helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)


@dataclass(frozen=True, slots=True)
class _ExternalData:
    """External data of a weight: file, offset and length in bytes."""

    file: str
    offset: int
    length: int

    def tensor(self, name: str, shape: Iterable[int]) -> TensorProto:
        """Build the tensor that refers to the data."""
        entries = {"location": self.file, "offset": self.offset, "length": self.length}
        return TensorProto(
            name=name,
            dims=shape,
            data_type=TensorProto.FLOAT16,
            data_location=TensorProto.EXTERNAL,
            external_data=[
                StringStringEntryProto(key=key, value=str(entry)) for key, entry in entries.items()
            ],
        )


def _locate(weights: Path) -> dict[str, _ExternalData]:
    """Locate the tensors of a safetensors file, by name.

    The file is the length of its header (8 bytes, little-endian), the header in JSON, and the tensors as ONNX
    stores them, little-endian and row by row (https://huggingface.co/docs/safetensors).
    """
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    external = {}
    for name, tensor in header.items():
        if tensor["dtype"] != "F16":
            raise ModelError(f"{weights}: {name} is {tensor['dtype']}, expected F16 as the recipe writes it")
        begin, end = tensor["data_offsets"]
        external[name] = _ExternalData(weights.name, 8 + length + begin, end - begin)
    return external


if __name__ == "__main__":
    main()
