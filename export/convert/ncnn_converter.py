"""Conversion to ncnn by pnnx; the two files of ncnn are packed into one `.ncnn`, a zip without compression.

`unzip parts.ncnn` gives model.ncnn.param and model.ncnn.bin, for programs of one's own. There is no int8: the
tools for it are in no package.
"""

from __future__ import annotations

import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import onnx

from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.run_tool import last_words, run_tool
from edgeloop.export.graph.graph_io import output_shapes
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.heads import Head

__all__ = ["NcnnConverter"]

_PARAM, _BIN = "model.ncnn.param", "model.ncnn.bin"


class NcnnConverter:
    """Converter to ncnn."""

    def check_tools(self) -> None:
        """See `Converter.check_tools`."""
        _program()

    def attempts(self, precision: BundlePrecision, _head: Head, /) -> tuple[Attempt, ...]:
        """List the ways to reach a precision: one."""
        return (Attempt("as trained", precision),)

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        """Convert a detector."""
        width, height = source.spec.input_size
        onnx.save(source.graph, source.folder / "model.onnx")
        half = int(attempt.precision == "fp16")
        shape = f"inputshape=[1,3,{height},{width}]f32"
        said = run_tool("pnnx", [_program(), "model.onnx", shape, f"fp16={half}"], source.folder)
        param, weights = source.folder / _PARAM, source.folder / _BIN
        if not param.is_file() or not weights.is_file():
            raise ModelError(f"pnnx: wrote no {_PARAM}; it said: {last_words(said)}")
        path = source.folder / "model.ncnn"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
            for file in (param, weights):
                # A fixed time, so that equal models give equal files.
                packed.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
        return Converted(
            path=path,
            spec=source.spec,
            inputs=(TensorFacts(name="in0", shape=(1, 3, height, width), dtype="float32"),),
            outputs=tuple(
                TensorFacts(name=f"out{number}", shape=shape, dtype="float32")
                for number, shape in enumerate(output_shapes(source.graph))
            ),
            options={"precision": attempt.precision},
            versions={"pnnx": version("pnnx"), "ncnn": version("ncnn")},
        )


def _program() -> Path:
    """Path of pnnx, the program within its package: importing that would load torch."""
    found = find_spec("pnnx")
    try:
        if found is not None and found.submodule_search_locations and version("ncnn"):
            return Path(found.submodule_search_locations[0]) / "pnnx"
    except PackageNotFoundError:
        pass
    raise UnavailableError("--target ncnn: needs pnnx and ncnn; pip install 'edgeloop[export-ncnn]'")
