"""Conversion to Rockchip's NPUs by rknn-toolkit2, and its simulator.

The toolkit's packages contradict edgeloop's, so it lives in a Python of its own, which EDGELOOP_RKNN_PYTHON
names. In int8 the host always decodes: in one tensor of boxes in pixels and scores in [0, 1], scores take
two values.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import onnx

from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert import rknn_tool
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.rknn_simulator import RknnSimulator
from edgeloop.export.convert.run_tool import run_tool
from edgeloop.export.graph.graph_editor import GraphEditor
from edgeloop.export.graph.graph_io import output_shapes
from edgeloop.export.targets import TARGETS
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.heads import Head

__all__ = ["PYTHON_VARIABLE", "RknnConverter"]

PYTHON_VARIABLE = TARGETS["rknn"].python_variable
_HINT = (
    f"make a Python 3.8 to 3.12 of its own, pip install rknn-toolkit2 there, and name it in "
    f"{PYTHON_VARIABLE}; see docs/targets.md"
)


class RknnConverter:
    """Converter to .rknn."""

    def check_tools(self) -> None:
        """See `Converter.check_tools`."""
        python = _python()
        try:
            run_tool("Python", [python, "-I", "-c", "import rknn"], Path.cwd())
        except UnavailableError as error:
            raise UnavailableError(f"--target rknn: {error}; {_HINT}") from error
        except ModelError as error:
            raise UnavailableError(f"--target rknn: {python}: has no rknn-toolkit2; {_HINT}") from error

    def attempts(self, precision: BundlePrecision, _head: Head, /) -> tuple[Attempt, ...]:
        """List the ways to reach a precision; each takes longer than the one before."""
        if precision == "fp16":
            return (
                Attempt("head on the host", precision, raw_head=True),
                Attempt("head in the file", precision),
            )
        return tuple(
            Attempt(name, precision, raw_head=True, settings={"algorithm": algorithm, "head": head})
            for name, algorithm, head in (
                ("head on the host", "normal", "int8"),
                ("calibrated by kl_divergence", "kl_divergence", "int8"),
                ("head in float16", "normal", "float16"),
                ("calibrated by mmse", "mmse", "int8"),
            )
        )

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        """Convert a detector, and leave it open in the simulator."""
        width, height = source.spec.input_size
        onnx.save(source.graph, source.folder / "model.onnx")
        _write_frames(source)
        spec = source.spec.model_copy(update={"layout": "NHWC", "dtype": "uint8", "scale": 1.0})
        image = TensorFacts(name=source.graph.graph.input[0].name, shape=(1, height, width, 3), dtype="uint8")
        outputs = tuple(
            TensorFacts(name=output.name, shape=shape, dtype="float32")
            for output, shape in zip(source.graph.graph.output, output_shapes(source.graph), strict=True)
        )
        job = {
            "chip": source.chip,
            "algorithm": attempt.settings.get("algorithm"),
            "float16": _branches(source.graph) if attempt.settings.get("head") == "float16" else [],
            "shape": image.shape,
        }
        (source.folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        simulator = RknnSimulator(
            [_python(), "-I", Path(rknn_tool.__file__), "job.json"],
            source.folder,
            metadata=spec.to_metadata(),
            inputs=(image,),
            outputs=outputs,
        )
        return Converted(
            path=simulator.path,
            spec=spec,
            inputs=(image,),
            outputs=outputs,
            options={"chip": source.chip},
            versions=simulator.versions,
            simulator=simulator,
        )


def _python() -> str:
    """Interpreter that has the toolkit."""
    named = os.environ.get(PYTHON_VARIABLE, "")
    if not named and find_spec("rknn") is None:
        raise UnavailableError(
            f"--target rknn: needs rknn-toolkit2, and {PYTHON_VARIABLE} is not set; {_HINT}"
        )
    return named or sys.executable


def _write_frames(source: Source) -> None:
    """Write the frames as pictures and list them; names without a folder, which may have spaces."""
    names = []
    for number, frame in enumerate(source.frames):
        names.append(f"frame-{number}.png")
        _, data = cv2.imencode(".png", frame[:, :, ::-1])
        (source.folder / names[-1]).write_bytes(data.tobytes())
    (source.folder / "dataset.txt").write_text("".join(f"{name}\n" for name in names))


def _branches(model: onnx.ModelProto) -> list[str]:
    """Tensors of the branches that end in the outputs, back to where a branch begins."""
    graph = GraphEditor(model)
    makers = {name: node for node in graph.nodes for name in node.output}
    found: list[str] = []
    for output in model.graph.output:
        name = output.name
        while name in makers and len(graph.readers(name)) <= 1:
            found.append(name)
            name = makers[name].input[0]
    return found
