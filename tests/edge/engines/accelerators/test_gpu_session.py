"""Sessions on a GPU, with an onnxruntime that plays CUDA and TensorRT on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgeloop.edge.engines.accelerators import tensorrt_cache
from edgeloop.edge.engines.accelerators.gpu_session import is_half
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import ModelError, UnavailableError
from tests.meter import FACTS, SIDE, ModelWriter

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
MACHINE = ("NVIDIA T4 (all)", "570.1")


class Part:
    ep_name = ""

    def get_nodes(self) -> list[Any]:
        return []


class FakeGpu:
    """Requests of this test's sessions to onnxruntime."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[dict[str, str]] = []  # settings of each session on a GPU
        self.refuses_graph = False
        self.builds = True
        self.ways: list[str] = []  # function by which each inference ran
        real, at_hand = ort.InferenceSession, self
        real_value = ort.OrtValue.ortvalue_from_shape_and_type

        class Fake(real):  # type: ignore[misc, valid-type]
            def __init__(self, model: bytes, options: ort.SessionOptions, **settings: Any) -> None:
                ((name, chosen),) = settings["providers"]
                self.name, self.chosen = name, chosen
                if name != "CPUExecutionProvider":
                    at_hand.open(name, chosen)
                    options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
                super().__init__(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)

            def get_providers(self) -> list[str]:
                return [self.name]

            def get_provider_options(self) -> dict[str, dict[str, str]]:
                return {self.name: self.chosen}

            def get_provider_graph_assignment_info(self) -> list[Part]:
                return []

            def run(self, *arguments: Any) -> Any:
                at_hand.ways.append("run")
                return super().run(*arguments)

            def run_with_iobinding(self, *arguments: Any) -> None:
                at_hand.ways.append("bound")
                super().run_with_iobinding(*arguments)

        def on_the_cpu(shape: Any, dtype: Any, device: str, number: int) -> ort.OrtValue:
            assert (device, number) == ("cuda", 0)
            return real_value(shape, dtype, "cpu", 0)

        monkeypatch.setattr(ort, "InferenceSession", Fake)
        monkeypatch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CUDA, "CPUExecutionProvider"])
        monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", on_the_cpu)

    def open(self, name: str, settings: dict[str, str]) -> None:
        self.opened.append(dict(settings))
        if self.refuses_graph and "1" in (
            settings.get("enable_cuda_graph"),
            settings.get("trt_cuda_graph_enable"),
        ):
            raise RuntimeError("This session cannot use the graph capture feature as requested by the user")
        if name == TENSORRT and self.builds and "trt_engine_cache_path" in settings:
            Path(settings["trt_engine_cache_path"], "one.engine").write_bytes(b"engine")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt_cache, "gpu_and_driver", lambda: MACHINE)
    monkeypatch.setattr(tensorrt_cache, "tensorrt_version", lambda: "100900")
    return FakeGpu(monkeypatch)


def test_cuda_replays_a_graph_on_bound_buffers(write_model: ModelWriter, gpu: FakeGpu) -> None:
    session = Session(write_model(), provider="cuda")
    (output,) = session.run(np.full((1, 3, SIDE, SIDE), 0.5, np.float32))
    assert output.tolist() == [[[0, 0, SIDE, SIDE, 0.5, 0]]]
    assert gpu.opened == [{"enable_cuda_graph": "1"}]
    assert gpu.ways == ["bound"]
    session.close()


@pytest.mark.usefixtures("gpu")
def test_an_input_that_does_not_fit_is_one_line(write_model: ModelWriter) -> None:
    with pytest.raises(
        ModelError, match=r"model.onnx: inference failed: input 'images': got .* expected float"
    ):
        Session(write_model(), provider="cuda").run(np.zeros((1, 3, 32, SIDE), np.float32))


def test_a_model_that_cannot_be_captured_runs_without_a_graph(write_model: ModelWriter, gpu: FakeGpu) -> None:
    gpu.refuses_graph = True
    session = Session(write_model(), provider="cuda")
    (output,) = session.run(np.full((1, 3, SIDE, SIDE), 0.5, np.float32))
    assert output[0, 0, 4] == 0.5
    assert gpu.opened == [{"enable_cuda_graph": "1"}, {}]
    assert gpu.ways == ["bound"]


def test_the_bare_model_keeps_the_settings_of_onnxruntime(write_model: ModelWriter, gpu: FakeGpu) -> None:
    session = Session(write_model(), provider="cuda", bare=True)
    session.run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    assert (gpu.opened, gpu.ways) == ([{}], ["run"])


@pytest.mark.usefixtures("gpu")
def test_an_open_batch_is_fixed_for_the_graph(write_model: ModelWriter) -> None:
    session = Session(write_model(shape=["batch", 3, SIDE, SIDE]), provider="cuda")
    assert session.inputs[0].shape == (1, 3, SIDE, SIDE)


def test_an_open_batch_of_the_output_is_fixed_too(tmp_path: Path, gpu: FakeGpu) -> None:
    sides = ["batch", 2]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sides)],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    session = Session(path, provider="cuda")
    (found,) = session.run(np.array([[-1, 2]], np.float32))
    assert (found.tolist(), gpu.ways) == ([[0, 2]], ["bound"])


def test_an_open_size_runs_unbound_and_without_a_graph(write_model: ModelWriter, gpu: FakeGpu) -> None:
    session = Session(write_model(shape=["batch", 3, "height", "width"]), provider="cuda")
    session.run(np.zeros((1, 3, 32, 32), np.float32))
    assert (gpu.opened, gpu.ways) == ([{}], ["run"])


def test_tensorrt_keeps_its_engine(
    write_model: ModelWriter, gpu: FakeGpu, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model()
    Session(model, provider="tensorrt")
    assert "building the TensorRT engine for model.onnx (minutes, once" in capsys.readouterr().err
    Session(model, provider="tensorrt")
    assert capsys.readouterr().err == ""
    first, second = gpu.opened
    assert first == second
    folder = Path(first.pop("trt_engine_cache_path"))
    assert first.pop("trt_timing_cache_path") == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["one.engine", "ready"]
    assert first == {
        "trt_cuda_graph_enable": "1",
        "trt_fp16_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
    }


def test_another_model_or_driver_gets_another_engine(
    write_model: ModelWriter, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    Session(write_model(), provider="tensorrt")
    monkeypatch.setattr(tensorrt_cache, "gpu_and_driver", lambda: ("NVIDIA T4 (all)", "580.2"))
    Session(write_model(), provider="tensorrt")
    Session(write_model([[0, 0, 9, 9, 1]]), provider="tensorrt")
    assert len({settings["trt_engine_cache_path"] for settings in gpu.opened}) == 3


def test_nothing_is_kept_if_the_driver_is_unknown(
    write_model: ModelWriter, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_cache, "gpu_and_driver", lambda: None)
    Session(write_model(), provider="tensorrt")
    assert gpu.opened == [{"trt_cuda_graph_enable": "1", "trt_fp16_enable": "0"}]


@pytest.mark.usefixtures("gpu")
def test_a_folder_that_cannot_be_written_is_no_fault_of_the_model(
    write_model: ModelWriter, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(UnavailableError, match=r"tensorrt/.*: cannot be written"):
        Session(write_model(), provider="tensorrt")


@pytest.mark.parametrize(
    ("metadata", "half"),
    [
        pytest.param(FACTS, False, id="no bundle"),
        pytest.param(
            {"edgeloop": json.dumps({"record": {"precision": "fp16"}})}, True, id="a bundle of half"
        ),
        pytest.param(
            {"edgeloop": json.dumps({"record": {"precision": "fp32"}})}, False, id="a bundle of single"
        ),
        pytest.param({"edgeloop": json.dumps({"record": {"precision": None}})}, False, id="unknown"),
        pytest.param({"edgeloop": "[]"}, False, id="damaged"),
    ],
)
def test_half_precision_is_only_for_models_that_have_it(
    write_model: ModelWriter, gpu: FakeGpu, metadata: dict[str, str], half: bool
) -> None:
    Session(write_model(metadata=metadata), provider="tensorrt")
    assert gpu.opened[0]["trt_fp16_enable"] == str(int(half))


def test_a_model_with_inputs_of_half_precision_is_one(write_model: ModelWriter) -> None:
    assert is_half(ort.InferenceSession(write_model(dtype="float16"), providers=["CPUExecutionProvider"]))
