"""HailoRT, against a double of hailo_platform that records the documented calls. No device ran this."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.engines import open_engine as opening
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.engines.session import Session
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden, verify
from edgeloop.models.bundle.document import Record
from edgeloop.models.bundle.golden import TOLERANCES
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.spec import ModelSpec
from tests.meter import write_meter

SIDE, GRID = 64, 8


class HailoRTError(Exception):
    pass


class Device:
    """Runs the .onnx file; its outputs are in another order, and (H, W, C)."""

    calls: ClassVar[list[str]] = []
    fault: ClassVar[str] = ""
    source: ClassVar[Path]

    def __init__(self, params: SimpleNamespace) -> None:
        if self.fault == "no device":
            raise HailoRTError("HAILO_OUT_OF_PHYSICAL_DEVICES(74)")
        self.calls.append(f"VDevice {params.scheduling_algorithm}")

    @staticmethod
    def create_params() -> SimpleNamespace:
        return SimpleNamespace(scheduling_algorithm=None)

    def create_infer_model(self, path: str) -> Model:
        if self.fault == "another chip":
            raise HailoRTError("HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE(93)")
        self.calls.append(f"create_infer_model {Path(path).name}")
        return Model()

    def release(self) -> None:
        self.calls.append("release")


class Stream:
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape

    def set_format_type(self, kind: str) -> None:
        Device.calls.append(f"{self.name} {kind}")


class Model:
    """`InferModel`."""

    def __init__(self) -> None:
        self.session = Session(Device.source, provider="cpu")
        shapes = [info.shape for info in self.session.outputs]
        self.streams = {
            f"parts/conv{number}": Stream(f"conv{number}", (shape[2], shape[3], shape[1]))  # type: ignore[arg-type]
            for number, shape in reversed(list(enumerate(shapes)))
            if Device.fault != "one output" or number == 0
        }
        self.output_names = list(self.streams)

    def set_batch_size(self, size: int) -> None:
        Device.calls.append(f"set_batch_size {size}")

    def input(self) -> Stream:
        side = 32 if Device.fault == "another size" else SIDE
        return Stream("input", (side, side, 3))

    def output(self, name: str) -> Stream:
        return self.streams[name]

    def configure(self) -> Configured:
        return Configured(self)


class Configured:
    """`ConfiguredInferModel`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __enter__(self) -> Configured:
        Device.calls.append("enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Device.calls.append("exit")

    def create_bindings(self, output_buffers: dict[str, NDArray[np.float32]]) -> Bindings:
        return Bindings(output_buffers)

    def run(self, bindings: list[Bindings], timeout: int) -> None:
        assert timeout >= 1000  # milliseconds
        if Device.fault == "timeout":
            raise HailoRTError("HAILO_TIMEOUT(4)")
        (one,) = bindings
        assert one.image.dtype == np.uint8
        tensor = one.image.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        for number, output in enumerate(self.model.session.run(tensor)):
            one.outputs[f"parts/conv{number}"][:] = output[0].transpose(1, 2, 0)


class Bindings:
    def __init__(self, outputs: dict[str, NDArray[np.float32]]) -> None:
        self.outputs = outputs

    def input(self) -> Bindings:
        return self

    def set_buffer(self, image: NDArray[np.uint8]) -> None:
        self.image = image


class Hef:
    """`HEF`: the node that each output came from."""

    def __init__(self, path: str) -> None:
        del path

    def get_original_names_from_vstream_name(self, name: str) -> list[str]:
        if Device.fault == "no names":
            return ["/model/conv"]
        return [Session(Device.source, provider="cpu").outputs[int(name[-1])].name]


@pytest.fixture(autouse=True)
def hailo(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    package: Any = ModuleType("hailo_platform")
    package.HEF, package.VDevice, package.HailoRTException = Hef, Device, HailoRTError
    package.FormatType = SimpleNamespace(UINT8="UINT8", FLOAT32="FLOAT32")
    package.HailoSchedulingAlgorithm = SimpleNamespace(ROUND_ROBIN="ROUND_ROBIN")
    monkeypatch.setitem(sys.modules, "hailo_platform", package)
    monkeypatch.setattr(opening, "_is_here", lambda package: package == "hailo_platform")
    monkeypatch.setattr(Device, "calls", [])
    monkeypatch.setattr(Device, "fault", "")
    yield monkeypatch
    sys.modules.pop("edgeloop.edge.engines.hailo_engine", None)


@pytest.fixture
def model(tmp_path: Path, hailo: pytest.MonkeyPatch) -> Path:
    return write(tmp_path, hailo)


def write(folder: Path, hailo: pytest.MonkeyPatch, classes: int = 2) -> Path:
    """Write parts.onnx with a raw head and its golden sample, and a stand-in for what it is compiled to."""
    source = folder / "parts.onnx"
    rng = np.random.default_rng(2)
    weights = {
        "boxes": np.zeros((4, 3, 8, 8), np.float32),
        "scores": rng.normal(0, 0.3, (classes, 3, 8, 8)).astype(np.float32),
        "sides": np.full(4, 2, np.float32),
        "low": np.full(classes, -0.5, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "boxes", "sides"], ["boxes_8"], "boxes_8", strides=[8, 8]),
        helper.make_node("Conv", ["images", "scores", "low"], ["scores_8"], "scores_8", strides=[8, 8]),
    ]
    outputs = {"boxes_8": (1, 4, GRID, GRID), "scores_8": (1, classes, GRID, GRID)}
    graph = helper.make_graph(
        nodes,
        "parts",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    spec = ModelSpec.from_metadata(
        {},
        (TensorInfo("images", (1, 3, SIDE, SIDE), "float32"),),
        tuple(TensorInfo(name, shape, "float32") for name, shape in outputs.items()),
        SpecOverrides(head="raw", names=tuple("abcdefgh"[:classes]), stride=8),
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    helper.set_model_props(built, spec.to_metadata())
    onnx.save(built, source)
    golden = make_golden(Detector(source, provider="cpu"))
    helper.set_model_props(built, spec.to_metadata(Record(golden=golden)))
    onnx.save(built, source)
    hailo.setattr(Device, "source", source, raising=False)
    path = folder / "parts.hef"
    path.write_bytes(b"HEF")
    return path


def test_the_same_loop_runs_it(model: Path) -> None:
    image = np.random.default_rng(3).integers(0, 255, (80, 100, 3), np.uint8)
    ours, theirs = Detector(model.with_suffix(".onnx"), provider="cpu"), Detector(model)
    assert str(theirs.placement) == "hailo on npu, 100 % of nodes"
    expected, actual = ours.detect(image), theirs.detect(image)
    assert len(expected) > 0
    np.testing.assert_allclose(actual.xyxy, expected.xyxy, atol=1e-4)
    np.testing.assert_allclose(actual.confidence, expected.confidence, atol=1e-5)
    np.testing.assert_array_equal(actual.class_id, expected.class_id)
    assert Device.calls == [
        "VDevice ROUND_ROBIN",
        "create_infer_model parts.hef",
        "set_batch_size 1",
        "input UINT8",
        "conv1 FLOAT32",
        "conv0 FLOAT32",
        "enter",
    ]


def test_verify_compares_it_with_the_sample_in_the_onnx_file(model: Path) -> None:
    verified = verify(model)
    assert verified.golden.passed
    assert verified.golden.tolerance in (None, TOLERANCES["int8"])
    assert verified.exported_latency_ms is None


def test_its_facts_are_made_once_and_then_checked(hailo: pytest.MonkeyPatch, model: Path) -> None:
    expected = open_engine(model)
    elsewhere = model.with_suffix(".onnx").rename(model.with_name("elsewhere.onnx"))
    hailo.setattr(Device, "source", elsewhere)
    again = open_engine(model)
    assert (again.metadata, again.inputs, again.outputs) == (
        expected.metadata,
        expected.inputs,
        expected.outputs,
    )
    model.write_bytes(b"HE")
    with pytest.raises(ModelError, match=r"is not the file that parts.hef.json was written for"):
        open_engine(model)


def test_a_file_that_does_not_fit_gets_no_facts(hailo: pytest.MonkeyPatch, model: Path) -> None:
    hailo.setattr(Device, "fault", "another size")
    with pytest.raises(ModelError):
        open_engine(model)
    assert not facts_path(model).exists()


def test_closing_frees_the_device(model: Path) -> None:
    open_engine(model).close()
    assert Device.calls[-2:] == ["exit", "release"]


def test_outputs_of_equal_shapes_are_told_by_their_names(tmp_path: Path, hailo: pytest.MonkeyPatch) -> None:
    model = write(tmp_path, hailo, classes=4)
    boxes, scores = open_engine(model).run(np.full((1, SIDE, SIDE, 3), 100, np.uint8))
    np.testing.assert_array_equal(boxes, 2)
    assert not (scores == 2).any()
    hailo.setattr(Device, "fault", "no names")
    with pytest.raises(ModelError, match=r"expected one output boxes_8 .* as \(8, 8, 4\), got"):
        open_engine(model)
    assert Device.calls[-1] == "release"


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("no device", UnavailableError, "HailoRT finds no device .HAILO_OUT_OF_PHYSICAL_DEVICES"),
        ("another chip", UnavailableError, "HailoRT refuses it .HAILO_HEF_NOT.*; is it for this chip"),
        ("another size", ModelError, r"takes \(32, 32, 3\), expected \(64, 64, 3\) as parts.onnx does"),
        ("one output", ModelError, "expected one output scores_8 .*; compile it from parts.onnx, with all"),
    ],
)
def test_a_file_that_does_not_open(
    hailo: pytest.MonkeyPatch, model: Path, fault: str, error: type[Exception], says: str
) -> None:
    hailo.setattr(Device, "fault", fault)
    with pytest.raises(error, match=f"parts.hef: .*{says}"):
        open_engine(model)


def test_a_timeout_is_a_failed_inference(hailo: pytest.MonkeyPatch, model: Path) -> None:
    engine = open_engine(model)
    hailo.setattr(Device, "fault", "timeout")
    with pytest.raises(ModelError, match=r"parts.hef: inference failed: HAILO_TIMEOUT"):
        engine.run(np.zeros((1, SIDE, SIDE, 3), np.uint8))


def test_it_needs_the_file_that_it_was_compiled_from(model: Path) -> None:
    model.with_suffix(".onnx").rename(model.with_name("other.onnx"))
    with pytest.raises(
        ModelError, match=r"expected parts.hef.json or parts.onnx, which it was compiled from, beside it"
    ):
        open_engine(model)
    model.unlink()
    with pytest.raises(NoInputError, match=r"parts.hef: there is no such model file"):
        open_engine(model)


def test_the_onnx_file_has_a_raw_head(model: Path, decoded: Path) -> None:
    decoded.replace(model.with_suffix(".onnx"))
    with pytest.raises(
        ModelError, match=r"parts.onnx: head 'end2end', expected 'raw'; export it with --target hailo"
    ):
        open_engine(model)


@pytest.fixture
def decoded(tmp_path: Path) -> Path:
    return write_meter(tmp_path / "other.onnx")
