"""A small segmentation bundle: it finds bright discs, and its masks are the bright pixels."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.models.bundle.document import Measured, Record
from edgeloop.models.bundle.seal import seal
from edgeloop.models.spec import ModelSpec
from tests import dense

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
RADIUS = 14
NAMES = ("ring", "disc")


def draw_discs(
    size: tuple[int, int], *centers: tuple[float, float], radius: float = RADIUS
) -> tuple[np.ndarray, np.ndarray]:
    """Draw white discs on black, uint8 HxWx3, with the mask of each, bool (N, H, W)."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    masks = np.zeros((len(centers), size[1], size[0]), np.uint8)
    for mask, (x, y) in zip(masks, centers, strict=True):
        cv2.circle(mask, (round(16 * x - 8), round(16 * y - 8)), round(16 * radius), 1, -1, shift=4)
        image[mask > 0] = 255
    return image, masks > 0


def disc_finder() -> onnx.ModelProto:
    """A disc of radius 14 px in the middle of a cell of 8x8 px is found there, as class 1.

    Its box has 40x40 px. The prototypes are the brightness and a constant, and the coefficients make of them
    a logit of 20 (brightness - 0.5).
    """
    y, x = np.mgrid[:8, :8].reshape(2, 64) * 8 + 4
    boxes = np.zeros((1, 4, CELLS), np.float32)
    boxes[0, :, :64] = x, y, np.full(64, 40), np.full(64, 40)
    rest = np.zeros((1, 1, CELLS), np.float32)
    constants = {
        "gray": np.full((1, 3, 1, 1), 1 / 3, np.float32),
        "boxes": boxes,
        "none": rest,
        "rest": rest[:, :, 64:],
        "coefficients": np.concatenate((rest + 20, rest - 10), axis=1),
        "row": np.array([1, 1, 64], np.int64),
        "one": np.ones((1, 1, 16, 16), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "gray"], ["brightness"], kernel_shape=[1, 1]),
        helper.make_node(
            "AveragePool",
            ["brightness"],
            ["around"],
            kernel_shape=[24, 24],
            strides=[8, 8],
            pads=[8, 8, 8, 8],
        ),
        helper.make_node("Reshape", ["around", "row"], ["cells"]),
        helper.make_node("Concat", ["cells", "rest"], ["scores"], axis=2),
        helper.make_node("Concat", ["boxes", "none", "scores", "coefficients"], ["output0"], axis=1),
        helper.make_node("AveragePool", ["brightness"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Concat", ["small", "one"], ["output1"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "discs",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 8, CELLS]),
            helper.make_tensor_value_info("output1", TensorProto.FLOAT, [1, 2, 16, 16]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def write_disc_finder(
    path: Path, *, names: tuple[str, ...] = NAMES, measured: Measured | None = None
) -> Path:
    """Write the bundle as `edgeloop export` does: with its golden sample, and sealed."""
    model, spec = disc_finder(), disc_spec(names)
    with TemporaryDirectory() as folder:
        plain = Path(folder, "plain.onnx")
        helper.set_model_props(model, spec.to_metadata())
        onnx.save(model, plain)
        golden = make_golden(Detector(plain, provider="cpu"))
    record = Record(precision="fp32", measured=measured or Measured(), golden=golden)
    helper.set_model_props(model, spec.to_metadata(record))
    path.write_bytes(seal(model.SerializeToString()))
    return path


def disc_spec(names: tuple[str, ...] = NAMES) -> ModelSpec:
    changes = {"head": "segment", "input_size": (SIDE, SIDE), "pad_value": 0, "names": names}
    return dense.spec().model_copy(update={**changes, "confidence": 0.5, "iou": 0.2})
