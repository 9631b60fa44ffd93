"""Files of ncnn, written by hand: a detector of bright places with a raw head of one stride."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, write_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.models.bundle.document import Record
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256
from tests.block_detector import GRID, SIDE, STRIDE

PARAM = f"""7767517
5 6
Input in0 0 1 in0
Pooling pool 1 1 in0 cells 0=1 1={STRIDE} 2={STRIDE} 5=1
Split split 1 2 cells cells_0 cells_1
Convolution boxes 1 1 cells_0 out0 0=4 1=1 5=1 6=12
Convolution scores 1 1 cells_1 out1 0={{classes}} 1=1 5=1 6={{weights}}
"""


def write_ncnn(
    path: Path, *, names: tuple[str, ...] = ("block",), gain: float = 20.0, golden: bool = True
) -> Path:
    """Write a detector that finds cells of 8x8 px with a mean above half, each as a box of 16x16 px.

    Args:
        path: File to write, with its facts beside it.
        names: Class names; every cell is of the first.
        gain: Factor of the score's logit.
        golden: Let it carry a golden sample.
    """
    classes = len(names)
    scores = np.zeros((classes, 3), np.float32)
    scores[0] = gain / 3
    bias = np.full(classes, -gain, np.float32)
    bias[0] = -gain / 2
    weights = b"".join(
        (
            np.zeros(1, np.int32).tobytes(),
            np.zeros(12, np.float32).tobytes(),
            np.ones(4, np.float32).tobytes(),
        )
    ) + b"".join((np.zeros(1, np.int32).tobytes(), scores.tobytes(), bias.tobytes()))
    pack(path, PARAM.format(classes=classes, weights=3 * classes), weights)
    spec = ModelSpec(
        head="raw", input_size=(SIDE, SIDE), layout="NCHW", dtype="float32", color="RGB", scale=255.0,
        centered=True, pad_value=114, names=names, stride=STRIDE, confidence=0.25, iou=0.7,
        max_detections=300,
    )  # fmt: skip
    write_facts(path, facts_of(path, spec.to_metadata()))
    if golden:
        record = Record(precision="fp32", golden=make_golden(Detector(path)))
        write_facts(path, facts_of(path, spec.to_metadata(record)))
    return path


def pack(path: Path, param: str, weights: bytes, *, compression: int = zipfile.ZIP_STORED) -> Path:
    """Pack ncnn's two files."""
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content in (("model.ncnn.param", param.encode()), ("model.ncnn.bin", weights)):
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            packed.writestr(info, content)
    return path


def facts_of(path: Path, metadata: dict[str, str], *, engine: str = "ncnn", classes: int = 0) -> EngineFacts:
    """Facts of a detector of bright places."""
    number = classes or (metadata.get("names", "").count(":") or 1)
    return EngineFacts(
        engine=engine,
        sha256=file_sha256(path),
        metadata=metadata,
        inputs=(TensorFacts(name="in0", shape=(1, 3, SIDE, SIDE), dtype="float32"),),
        outputs=(
            TensorFacts(name="out0", shape=(1, 4, GRID, GRID), dtype="float32"),
            TensorFacts(name="out1", shape=(1, number, GRID, GRID), dtype="float32"),
        ),
    )


def copy_ncnn(path: Path, to: Path) -> Path:
    """Copy a file with its facts."""
    to.write_bytes(path.read_bytes())
    facts_path(to).write_bytes(facts_path(path).read_bytes())
    return to
