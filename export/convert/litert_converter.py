"""Conversion to LiteRT: onnx2tf writes a float32 `.tflite`, Google's quantizer makes fp16 and int8 of it.

In fp32 and fp16 the file decodes its head itself. In int8 the host does: quantized, boxes and scores share a
scale, and left in float within the file the decoding gave the same boxes, and took the same time. With masks
the file decodes in int8, too, and its last convolutions and what follows them are in float.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.run_tool import last_words, run_tool
from edgeloop.export.graph.graph_io import INPUT, output_shapes
from edgeloop.export.graph.stages import decoding_nodes, stage_nodes
from edgeloop.export.targets import TARGETS
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.heads import Head

__all__ = ["LitertConverter"]

# Their maker declares Python 3.12 and exact versions of what we have others of, hence these flags.
_ONNX2TF = "pip install --no-deps --ignore-requires-python onnx2tf==2.6.9 sng4onnx==2.0.1"
_PROGRAM = Path(__file__).with_name("litert_tool.py")
# Few channels, with ranges far apart, make the first stages lose most by 8 bits.
_LEADING, _COUNTS = "leading", (0, 3, 5)


class LitertConverter:
    """Converter to LiteRT."""

    def check_tools(self) -> None:
        """See `Converter.check_tools`."""
        if missing := [package for package in TARGETS["litert"].tools if find_spec(package) is None]:
            raise UnavailableError(
                f"--target litert: needs {', '.join(missing)}, which is not installed; pip install "
                f"'edgeloop[export-litert]', then {_ONNX2TF}"
            )

    def attempts(self, precision: BundlePrecision, head: Head, /) -> tuple[Attempt, ...]:
        """List the ways to reach a precision; for int8 more and more stages stay in float."""
        if precision != "int8":
            return (Attempt("as trained", precision),)
        raw_head = head != "segment"
        start = "head on the host" if raw_head else "head in float"
        return tuple(
            Attempt(
                f"{start}, first {count} stages in float" if count else start,
                precision,
                raw_head,
                {_LEADING: str(count)},
            )
            for count in _COUNTS
        )

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        """Convert a detector."""
        onnx.save(source.graph, source.folder / "model.onnx")
        np.save(source.folder / "frames.npy", source.frames)
        leading = int(attempt.settings.get(_LEADING, "0"))
        # onnx2tf keeps the names of tensors, or adds to them.
        in_float = [f"/{stage}/" for stage in list(stage_nodes(source.graph.graph))[:leading]]
        if not attempt.raw_head:
            in_float += [f"{name}_output" for name in decoding_nodes(source.graph.graph)]
            in_float += [output.name for output in source.graph.graph.output]
        job = {
            "precision": attempt.precision,
            "input": INPUT,
            "in_float": [f"^{re.escape(name)}" for name in in_float],
        }
        # -P: modules of this folder must not shadow those that the tools import.
        said = run_tool("onnx2tf", [sys.executable, "-P", _PROGRAM, json.dumps(job)], source.folder)
        path = source.folder / "model.tflite"
        if not path.is_file():
            raise ModelError(f"onnx2tf: wrote no {path.name}; it said: {last_words(said)}")
        width, height = source.spec.input_size
        outputs = zip(source.graph.graph.output, output_shapes(source.graph), strict=True)
        return Converted(
            path=path,
            spec=source.spec.model_copy(update={"layout": "NHWC"}),
            inputs=(TensorFacts(name=INPUT, shape=(1, height, width, 3), dtype="float32"),),
            outputs=tuple(TensorFacts(name=out.name, shape=shape, dtype="float32") for out, shape in outputs),
            versions={name: version(name) for name in ("onnx2tf", "litert-quantizer", "ai-edge-litert")},
        )
