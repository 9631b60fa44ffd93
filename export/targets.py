"""Export targets: the settings that each vendor's tools need, and the command to run next.

docs/targets.md says the same in words, and which of these runtimes were run. Every fact has its source.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgeloop.export.export_options import ExportOptions, Input, Precision
from edgeloop.models.errors import UsageError

__all__ = ["TARGETS", "Target", "check_masks", "next_step", "options_for"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Requirements of a runtime on an ONNX file.

    Attributes:
        runs_on: Hardware behind the runtime.
        next: Command to run next; {bundle} and {chip} are replaced.
        sources: Pages that state these facts.
        opset: Default opset.
        opsets: Opsets that it takes.
        precision: Default precision.
        precisions: Precisions that it takes.
        input: Default input format.
        dynamic_batch: True if the batch size may be left open.
        end2end: True if an end-to-end head may stay; otherwise the classic head is exported.
        silu: What speaks against SiLU on this target; "" if nothing does.
        suffix: Suffix of its files.
        converter: Module and class in `edgeloop.export.convert` that makes them; "" if onnxruntime's format
            is taken as it is.
        tools: Packages, as they are imported, that make and check its files beside edgeloop's own.
        python_variable: Environment variable that may name another Python, which has the tools; "" if none.
        provider: Provider that an ONNX file is checked on.
        emulated_frames: Maximum number of held-out frames, evenly spread, to check on if the chip is
            emulated, which takes seconds for each; 0 for all.
        chips: Chips to choose from, the first one the default; none if the file fits all.
        further_int8: Further attempts at int8: each leaves so many leading stages, and the head, in float.
        masks: True if it takes a segmentation model.
        raw_head: True if the .onnx file ends at the head's last convolutions, and the frames to calibrate on
            go beside it in an .npy file, (N, H, W, 3) uint8 RGB.
    """

    runs_on: str
    next: str
    sources: tuple[str, ...]
    opset: int = 13
    opsets: range = range(11, 21)
    precision: Precision = "fp32"
    precisions: tuple[Precision, ...] = ("fp32",)
    input: Input = "tensor"
    dynamic_batch: bool = False
    end2end: bool = False
    silu: str = ""
    suffix: str = ".onnx"
    converter: str = ""
    tools: tuple[str, ...] = ()
    python_variable: str = ""
    provider: str = "cpu"
    emulated_frames: int = 0
    chips: tuple[str, ...] = ()
    further_int8: tuple[int, ...] = ()
    masks: bool = False
    raw_head: bool = False

    @property
    def is_installed(self) -> bool:
        """True if its tools are installed, or an environment variable names a Python that has them."""
        if os.environ.get(self.python_variable):
            return True
        return all(find_spec(package) is not None for package in self.tools)

    def chip(self, chosen: str | None) -> str:
        """Chip that a file is for; "" if it fits all."""
        return chosen or next(iter(self.chips), "")


_ORT = "https://onnxruntime.ai/docs/execution-providers"
_NVIDIA = "https://docs.nvidia.com/deeplearning/tensorrt/latest"
_ULTRALYTICS = "https://github.com/ultralytics/ultralytics/blob/main/ultralytics/engine/exporter.py"
_ANY: tuple[Precision, ...] = ("fp32", "fp16", "int8", "auto")

TARGETS: Mapping[str, Target] = {
    "cpu": Target(
        runs_on="any CPU, with onnxruntime",
        precision="auto",
        precisions=_ANY,
        input="image",
        dynamic_batch=True,
        end2end=True,
        masks=True,
        next="edgeloop run {bundle} 0 --provider cpu",
        sources=(
            # Quantizes whole models from opset 10 on, per channel from 13 on.
            "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html",
        ),
    ),
    "openvino": Target(
        runs_on="Intel's CPUs, GPUs and NPUs",
        precisions=_ANY,
        end2end=True,
        tools=("openvino",),
        provider="openvino",
        further_int8=(2, 3, 5),
        masks=True,
        next="edgeloop run {bundle} 0 --provider openvino",
        sources=(
            # Static shapes are better in speed and memory, and some devices take no others.
            "https://docs.openvino.ai/2024/openvino-workflow/model-preparation/setting-input-shapes.html",
        ),
    ),
    "tensorrt": Target(
        runs_on="NVIDIA's GPUs and Jetsons",
        precision="fp16",
        precisions=("fp32", "fp16"),
        dynamic_batch=True,
        end2end=True,
        masks=True,
        next="edgeloop run {bundle} 0 --provider tensorrt",
        sources=(
            # Takes opsets from 9 on.
            f"{_NVIDIA}/reference/onnx-opset-guide.html",
            # Quantizes symmetrically; our int8 does not, so it is refused.
            f"{_NVIDIA}/inference-library/work-with-quantized-types.html",
            # Takes the precision from the graph, by strong typing, and not from flags.
            f"{_NVIDIA}/inference-library/quantized-types-explicit-quantization.html",
            # Versions older than 8.5 lack Mod, which an end-to-end head needs.
            _ULTRALYTICS,
        ),
    ),
    "coreml": Target(
        runs_on="Apple's CPUs, GPUs and Neural Engines, with onnxruntime",
        precisions=("fp32", "fp16"),
        masks=True,
        next="edgeloop verify {bundle} --provider coreml --allow-cpu --tolerance fp16",
        sources=(
            # Dynamic shapes cost speed.
            "https://onnxruntime.ai/docs/api/objectivec/Classes/ORTCoreMLExecutionProviderOptions.html",
            # Lacks TopK and QuantizeLinear, so no end-to-end head and no int8; its GPU and Neural Engine
            # lose precision.
            f"{_ORT}/CoreML-ExecutionProvider.html",
        ),
    ),
    "qnn": Target(
        runs_on="Qualcomm's NPUs (HTP), with onnxruntime",
        opsets=range(13, 21),
        precision="int8",
        precisions=("int8",),
        converter="qnn_converter:QnnConverter",
        tools=("onnxruntime_qnn",),
        provider="qnn",
        emulated_frames=12,
        silu="Qualcomm calls ReLU the best choice for its NPU and advises against Swish (SiLU)",
        next="edgeloop verify {bundle} --provider qnn",
        sources=(
            # Takes quantized models and no dynamic shapes; the settings of the quantizer.
            f"{_ORT}/QNN-ExecutionProvider.html",
            # The end-to-end head is switched off for it.
            _ULTRALYTICS,
            # ReLU is the best choice of activation, Swish (SiLU) has simple alternatives (SDK 2.39).
            "docs/QNN/HTP/htp-network-design-recommendations/htp_guidelines_activation_functions.html",
        ),
    ),
    "ncnn": Target(
        runs_on="ARM processors such as the Raspberry Pi's, and GPUs by Vulkan, with ncnn",
        precision="fp16",
        precisions=("fp32", "fp16"),
        suffix=".ncnn",
        converter="ncnn_converter:NcnnConverter",
        tools=("pnnx", "ncnn"),
        masks=True,
        next="edgeloop run {bundle} 0",
        sources=(
            # pnnx reads ONNX; half precision is its default.
            "https://github.com/Tencent/ncnn/tree/master/tools/pnnx",
        ),
    ),
    "litert": Target(
        runs_on="phones, ARM and x86 boards, with LiteRT, TensorFlow Lite's successor",
        precision="auto",
        precisions=_ANY,
        suffix=".tflite",
        converter="litert_converter:LitertConverter",
        tools=("ai_edge_litert", "litert_quantizer", "onnx2tf", "sng4onnx"),
        masks=True,
        next="edgeloop run {bundle} 0",
        sources=(
            # Reads ONNX and writes float .tflite, with the axes in the order NHWC.
            "https://github.com/PINTO0309/onnx2tf",
            # Quantizes a float .tflite: fp16 weights, or int8 with ranges from frames.
            "https://github.com/google-ai-edge/ai-edge-quantizer",
        ),
    ),
    "rknn": Target(
        runs_on="Rockchip's NPUs",
        opsets=range(12, 20),
        precision="fp16",
        precisions=("fp16", "int8", "auto"),
        suffix=".rknn",
        converter="rknn_converter:RknnConverter",
        tools=("rknn",),
        python_variable="EDGELOOP_RKNN_PYTHON",
        chips=("rk3588", "rk3576", "rk3568", "rk3566", "rk3562"),
        silu="Rockchip's own forks of YOLO replace SiLU with ReLU",
        next="edgeloop run {bundle} 0",
        sources=(
            # Takes opsets 12 to 19.
            "https://github.com/rockchip-linux/rknn-toolkit2/releases",
            # The chips, and the Python versions of the toolkit.
            "https://github.com/airockchip/rknn-toolkit2/blob/master/README.md",
            # Python on the board: bytes in, RGB; the cores of an NPU are chosen on RK3576 and RK3588 only.
            "https://github.com/airockchip/rknn-toolkit2/blob/master/rknn-toolkit-lite2/examples/resnet18/test.py",
            # Int8 with boxes and scores in one output costs accuracy; its models leave the end to the host.
            "https://github.com/airockchip/rknn_model_zoo/blob/main/FAQ.md",
            # The end-to-end head is switched off for it.
            _ULTRALYTICS,
            # ReLU instead of SiLU.
            "https://github.com/airockchip/yolov5/blob/master/README_rkopt.md",
        ),
    ),
    "hailo": Target(
        runs_on="Hailo-8, 10 and 15",
        opset=11,
        raw_head=True,
        chips=("hailo8", "hailo8l", "hailo10h", "hailo15h", "hailo15l"),
        silu="Hailo's compiler leaves out its equalization of weights for activations other than ReLU's kind",
        next="hailo parser onnx {bundle} --hw-arch {chip}",
        sources=(
            # The chips.
            "https://github.com/hailo-ai/hailo_model_zoo/blob/master/docs/PUBLIC_MODELS.rst",
            # Model scripts, which bring the scaling by 255 into the compiled file.
            "https://developer.ridgerun.com/wiki/index.php/Hailo/Hailo-8/AI_Software_and_Tools/Hailo_Model_Scripts",
            # Exports with opset 11; the compiler quantizes itself, on your images.
            "https://github.com/hailo-ai/hailo_model_zoo/blob/master/training/yolov8/README.rst",
            # Takes the graph up to the head's last convolutions; the rest runs on the host.
            "https://community.hailo.ai/t/handling-unsupported-operations-with-onnxruntime/17956",
            # No equalization if f(cx) is not c f(x), as with GELU (and SiLU).
            "https://community.hailo.ai/t/equalization-for-non-first-order-homogeneous-activation-functions/1671",
        ),
    ),
}


def options_for(name: str, given: Mapping[str, Any]) -> ExportOptions:
    """Apply the settings that a target needs.

    Args:
        name: Name of the target.
        given: Options that the user set explicitly, by `ExportOptions`' names. They win if the target leaves
            a choice, and are an error otherwise.

    Returns:
        The options of the export.

    Raises:
        UsageError: There is no such target, or it cannot take what was asked for.
    """
    if name not in TARGETS:
        raise UsageError(f"--target {name}: unknown, expected one of {', '.join(TARGETS)}")
    target = TARGETS[name]
    defaults = {
        "opset": target.opset,
        "precision": target.precision,
        "input": target.input,
        "end2end": None if target.end2end else False,
    }
    options = ExportOptions(**{**defaults, **given, "target": name})
    if options.opset not in target.opsets:
        _refuse(name, f"--opset {options.opset}", f"takes {target.opsets[0]} to {target.opsets[-1]}")
    if options.precision not in target.precisions:
        _refuse(name, f"--precision {options.precision}", f"takes {' or '.join(target.precisions)}")
    if options.chip is not None and options.chip not in target.chips:
        _refuse(name, f"--chip {options.chip}", f"takes {' or '.join(target.chips) or 'none'}")
    if options.dynamic_batch and not target.dynamic_batch:
        _refuse(name, "a dynamic batch", "needs one that is fixed")
    if options.end2end and not target.end2end:
        _refuse(name, "an end-to-end head", "takes the classic one")
    return options


def check_masks(name: str) -> None:
    """Refuse a segmentation model if a target takes detectors alone.

    Raises:
        UsageError: It does.
    """
    if not TARGETS[name].masks:
        able = ", ".join(each for each, target in TARGETS.items() if target.masks)
        _refuse(name, "a segmentation model", f"takes detectors alone; with masks: no --target, or {able}")


def next_step(name: str, bundle: Path, chip: str | None = None) -> str:
    """Format the command to run next on a bundle that was exported for a target, and a chip of it."""
    target = TARGETS[name]
    return target.next.format(bundle=bundle, chip=target.chip(chip))


def _refuse(name: str, asked: str, needs: str) -> None:
    raise UsageError(f"--target {name}: cannot take {asked}, it {needs}; see docs/targets.md")
