"""Double of `rknn.api` of rknn-toolkit2: onnxruntime computes, and calls.txt lists the calls.

The environment variable FAKE_RKNN names a fault. It prints to stdout, as the toolkit does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray


class RKNN:
    def __init__(self, verbose: bool) -> None:
        self.fault = os.environ.get("FAKE_RKNN", "")
        self._note("RKNN", verbose=verbose)

    def config(self, **settings: Any) -> int:
        self._note("config", **settings)
        return 0

    def load_onnx(self, model: str) -> int:
        self._note("load_onnx", model=model)
        return 0

    def build(self, do_quantization: bool, dataset: str | None) -> int:
        self._note("build", do_quantization=do_quantization, dataset=dataset)
        print("compress=0, global_fuse=1")
        if self.fault == "crashes":
            os.write(2, b"E the last words of the toolkit\n")
            os._exit(3)
        if self.fault == "raises":
            raise ValueError(
                "Traceback (most recent call last):\n  File 'rknn'\nValueError: no such layer!\n\n"
            )
        return -1 if self.fault == "refuses" else 0

    def hybrid_quantization_step1(self, dataset: str, proposal: bool) -> int:
        self._note("step1", dataset=dataset, proposal=proposal)
        tensors = "".join(f"    {name}:\n        dtype: int8\n" for name in ("body", "boxes_8", "scores_8"))
        Path("model.quantization.cfg").write_text(
            f"custom_quantize_layers: {{}}  # 0.99\nquantize_parameters:\n{tensors}"
        )
        return 0

    def hybrid_quantization_step2(self, **files: str) -> int:
        self._note("step2", **files)
        return 0

    def export_rknn(self, path: str) -> int:
        Path(path).write_bytes(b"RKNN")
        return 0

    def init_runtime(self) -> int:
        self._note("init_runtime")
        self.session = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
        return -1 if self.fault == "does not start" else 0

    def inference(
        self, inputs: list[NDArray[np.uint8]], data_format: list[str]
    ) -> list[NDArray[np.float32]] | None:
        print("I inference")
        (image,) = inputs
        assert (image.dtype, data_format) == (np.uint8, ["nhwc"])
        if self.fault == "answers nothing":
            return None
        tensor = image.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        outputs: list[NDArray[np.float32]] = self.session.run(None, {"images": tensor})
        return outputs[::-1] if self.fault == "another order" else outputs

    def release(self) -> None:
        self._note("release")

    def _note(self, name: str, **given: Any) -> None:
        with Path("calls.txt").open("a") as file:
            file.write(f"{name} {json.dumps(given)}\n")
