"""Program that `LitertConverter` runs as a process of its own: model.onnx becomes model.tflite.

Both lie in the working folder. The argument is a JSON object: "precision" is "fp32", "fp16" or "int8". For
int8 "input" names the input of the graph, frames.npy holds the frames, (N, H, W, 3) uint8 RGB, and "in_float"
lists regular expressions of tensors whose operators stay in float.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx2tf
from litert_quantizer.qtyping import TFLOperationName as Operator
from litert_quantizer.quantizer import AlgorithmName, Quantizer

__all__: list[str] = []

_FOLDER, _RESULT = Path("tflite"), Path("model.tflite")
# The signature of the files that onnx2tf writes.
_SIGNATURE = "serving_default"
_WITH_WEIGHTS = (Operator.CONV_2D, Operator.DEPTHWISE_CONV_2D, Operator.CONV_2D_TRANSPOSE)
# The quantizer fails on PADV2, which it lists as supported; Reshape and Slice belong to the decoding.
_TO_INT8 = (
    *_WITH_WEIGHTS,
    Operator.ADD,
    Operator.MUL,
    Operator.LOGISTIC,
    Operator.MAX_POOL_2D,
    Operator.AVERAGE_POOL_2D,
    Operator.CONCATENATION,
    Operator.RESIZE_NEAREST_NEIGHBOR,
    Operator.PAD,
)


def main() -> None:
    """Convert model.onnx."""
    job = json.loads(sys.argv[1])
    onnx2tf.convert(input_onnx_file_path="model.onnx", output_folder_path=str(_FOLDER), non_verbose=True)
    single = _FOLDER / "model_float32.tflite"
    if job["precision"] == "fp32":
        single.replace(_RESULT)
    elif job["precision"] == "fp16":
        _to_fp16(single)
    else:
        _to_int8(single, job["input"], job["in_float"])


def _to_fp16(single: Path) -> None:
    """Halve the weights; inputs and outputs stay float32, unlike in the float16 file of onnx2tf."""
    quantizer = Quantizer(single)
    for operator in _WITH_WEIGHTS:
        quantizer.add_weight_only_config(
            ".*", operator, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING
        )
    quantizer.quantize(enable_progress_report=False).export_model(_RESULT)


def _to_int8(single: Path, name: str, in_float: Sequence[str]) -> None:
    """Quantize weights and activations to 8 bits, with the ranges that the frames give."""
    quantizer = Quantizer(single)
    for operator in _TO_INT8:
        quantizer.add_static_config(".*", operator, activation_num_bits=8, weight_num_bits=8)
        for pattern in in_float:
            quantizer.update_quantization_recipe(pattern, operator, algorithm_key=AlgorithmName.NO_QUANTIZE)
    frames = np.load("frames.npy")
    feeds = [{name: frame[None].astype(np.float32) / np.float32(255)} for frame in frames]
    ranges = quantizer.calibrate({_SIGNATURE: feeds}, num_threads=1)
    quantizer.quantize(ranges, enable_progress_report=False).export_model(_RESULT)


if __name__ == "__main__":
    main()
