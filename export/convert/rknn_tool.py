"""Server that builds a .rknn file and runs it in Rockchip's simulator.

The Python that has rknn-toolkit2 runs it. It imports nothing of edgeloop, whose packages the toolkit's own
contradict. A .rknn file cannot be opened in the simulator, so the process that built it stays and answers:
the model that was exported is the one that is measured.

A message is its length as 8 bytes, little-endian, and its bytes. The first one out is JSON: {"versions"}, or
{"missing"} without rknn-toolkit2, or {"error"}. Each message in is an image, uint8 NHWC RGB; the answer is
JSON, {"shapes"} and then one message of float32 for each output, or {"error"}.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from importlib.metadata import version
from typing import IO, Any

import numpy as np

__all__ = ["main", "receive", "send"]

_LENGTH = struct.Struct("<Q")
_MODEL = "model"  # rknn-toolkit2 names the files of a hybrid quantization after the graph


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message."""
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read a message.

    Raises:
        EOFError: The other side ended.
    """
    head = stream.read(_LENGTH.size)
    size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else -1
    message = stream.read(size) if size >= 0 else b""
    if len(message) != size:
        raise EOFError("the other side ended")
    return message


def main(job_file: str) -> None:
    """Build, export, and answer until stdin ends.

    Args:
        job_file: JSON with "chip", "algorithm" (None for float16), "float16" (names of the tensors that stay
            so), and "shape" of the input. The graph is model.onnx in the working folder, calibrated on the
            images that dataset.txt lists; the result is model.rknn.
    """
    # What the toolkit prints would break into the messages.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with open(job_file, encoding="utf-8") as file:  # noqa: PTH123  # run by any Python
        job = json.load(file)
    try:
        from rknn.api import RKNN
    except ImportError as error:
        send(answers, json.dumps({"missing": str(error)}).encode())
        return
    try:
        model = _build(RKNN, job)
        _check("init_runtime", model.init_runtime())  # without a target, which would look for a board
    except Exception as error:  # whatever the toolkit raises
        send(answers, json.dumps({"error": _cause(error)}).encode())
        return
    send(answers, json.dumps({"versions": {"rknn-toolkit2": version("rknn-toolkit2")}}).encode())
    while True:
        try:
            image = np.frombuffer(receive(requests), np.uint8).reshape(job["shape"])
        except EOFError:
            break
        try:
            outputs = model.inference(inputs=[image], data_format=["nhwc"])
            if outputs is None:
                raise RuntimeError("inference() returned nothing")
        except Exception as error:  # whatever the toolkit raises
            send(answers, json.dumps({"error": _cause(error)}).encode())
            continue
        send(answers, json.dumps({"shapes": [output.shape for output in outputs]}).encode())
        for output in outputs:
            send(answers, np.ascontiguousarray(output, np.float32).tobytes())
    model.release()


def _build(toolkit: Any, job: dict[str, Any]) -> Any:
    """Build the model and export it as model.rknn."""
    model = _configured(toolkit, job)
    _check("load_onnx", model.load_onnx(model=f"{_MODEL}.onnx"))
    if job["float16"]:
        _check("step 1", model.hybrid_quantization_step1(dataset="dataset.txt", proposal=False))
        model.release()
        _mix(f"{_MODEL}.quantization.cfg", job["float16"])
        model = _configured(toolkit, job)  # the second step refuses an object that did the first
        done = model.hybrid_quantization_step2(
            model_input=f"{_MODEL}.model",
            data_input=f"{_MODEL}.data",
            model_quantization_cfg=f"{_MODEL}.quantization.cfg",
        )
        _check("step 2", done)
    else:
        quantized = job["algorithm"] is not None
        _check("build", model.build(do_quantization=quantized, dataset="dataset.txt" if quantized else None))
    _check("export_rknn", model.export_rknn(f"{_MODEL}.rknn"))
    return model


def _configured(toolkit: Any, job: dict[str, Any]) -> Any:
    model = toolkit(verbose=False)
    settings = {"quantized_algorithm": job["algorithm"]} if job["algorithm"] else {}
    done = model.config(
        mean_values=[[0, 0, 0]], std_values=[[255, 255, 255]], target_platform=job["chip"], **settings
    )
    _check("config", done or 0)
    return model


def _mix(path: str, names: list[str]) -> None:
    """Enter tensors that stay in float16 into the settings of a hybrid quantization."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    tensors = set(re.findall(r"^    (\S+):$", text, re.MULTILINE))
    there = [name for name in names if name in tensors]
    empty = "custom_quantize_layers: {}"
    if not there or not text.startswith(empty):
        raise RuntimeError(f"{path}: has none of the tensors that should stay in float16")
    layers = "".join(f"    {name}: float16\n" for name in there)
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"custom_quantize_layers:\n{layers}#{text[len(empty) :]}")


def _check(step: str, code: int) -> None:
    if code != 0:
        raise RuntimeError(f"{step} returned {code}")


def _cause(error: Exception) -> str:
    """Last line of a message: the toolkit puts a traceback before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1])
