"""What a bundle has to be so that a vendor's tools take it, and what to run next.

docs/targets.md says the same in words. Every fact has its source. Of these runtimes only onnxruntime's and
OpenVINO's on a CPU were run while this was written; the others stand as their vendors describe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop.export.export_options import ExportOptions, Input, Precision
from edgeloop.models.errors import UsageError

__all__ = ["TARGETS", "Source", "Target", "next_step", "options_for"]


@dataclass(frozen=True)
class Source:
    """Where a fact comes from.

    Attributes:
        fact: What is known.
        url: Who says so.
    """

    fact: str
    url: str


@dataclass(frozen=True)
class Target:
    """What a runtime is known to need of an ONNX file.

    Attributes:
        runs_on: The hardware behind it.
        opset: What the bundle gets.
        opsets: What it may be asked to get.
        precision: What the bundle gets.
        precisions: What it may be asked to get.
        input: What the bundle gets.
        dynamic_batch: Whether the number of images at once may be left open.
        end2end: Whether a head that sorts its boxes itself may stay; where not, the classic head is exported.
        silu: What is known against SiLU there, "" where nothing is.
        next: Command to run next; {bundle} and {stem} stand for the file.
        sources: Where all this comes from.
    """

    runs_on: str
    opset: int
    opsets: range
    precision: Precision
    precisions: tuple[Precision, ...]
    input: Input
    dynamic_batch: bool
    end2end: bool
    silu: str
    next: str
    sources: tuple[Source, ...]


_ORT = "https://onnxruntime.ai/docs/execution-providers"
_NVIDIA = "https://docs.nvidia.com/deeplearning/tensorrt/latest"
_ULTRALYTICS = "https://github.com/ultralytics/ultralytics/blob/main/ultralytics/engine/exporter.py"
_ANY: tuple[Precision, ...] = ("fp32", "fp16", "int8", "auto")

TARGETS: Mapping[str, Target] = {
    "cpu": Target(
        runs_on="any CPU, with onnxruntime",
        opset=13,
        opsets=range(11, 21),
        precision="auto",
        precisions=_ANY,
        input="image",
        dynamic_batch=True,
        end2end=True,
        silu="",
        next="edgeloop run {bundle} 0 --provider cpu",
        sources=(
            Source(
                "from opset 10 on whole models are quantised, from 13 on by channel",
                "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html",
            ),
        ),
    ),
    "openvino": Target(
        runs_on="Intel's CPUs, GPUs and NPUs",
        opset=13,
        opsets=range(11, 21),
        precision="fp32",
        precisions=_ANY,
        input="tensor",
        dynamic_batch=False,
        end2end=True,
        silu="",
        next="edgeloop verify {bundle} --provider openvino",
        sources=(
            Source(
                "static shapes are better in speed and memory, and some devices take no others",
                "https://docs.openvino.ai/2024/openvino-workflow/model-preparation/setting-input-shapes.html",
            ),
        ),
    ),
    "tensorrt": Target(
        runs_on="NVIDIA's GPUs and Jetsons",
        opset=13,
        opsets=range(11, 21),
        precision="fp16",
        precisions=("fp32", "fp16"),
        input="tensor",
        dynamic_batch=True,
        end2end=True,
        silu="",
        next="trtexec --onnx={bundle} --saveEngine={stem}.engine",
        sources=(
            Source("takes opsets from 9 on", f"{_NVIDIA}/reference/onnx-opset-guide.html"),
            Source(
                "quantises symmetrically; our int8 does not, so it is refused",
                f"{_NVIDIA}/inference-library/work-with-quantized-types.html",
            ),
            Source(
                "takes the precision from the graph, by strong typing, and not from flags",
                f"{_NVIDIA}/inference-library/quantized-types-explicit-quantization.html",
            ),
            Source("before 8.5 it has no Mod, which an end-to-end head needs", _ULTRALYTICS),
        ),
    ),
    "coreml": Target(
        runs_on="Apple's CPUs, GPUs and Neural Engines, with onnxruntime",
        opset=13,
        opsets=range(11, 21),
        precision="fp32",
        precisions=("fp32", "fp16"),
        input="tensor",
        dynamic_batch=False,
        end2end=False,
        silu="",
        next="edgeloop verify {bundle} --provider coreml --allow-cpu --tolerance fp16",
        sources=(
            Source(
                "open shapes cost speed",
                "https://onnxruntime.ai/docs/api/objectivec/Classes/ORTCoreMLExecutionProviderOptions.html",
            ),
            Source(
                "its operators: no TopK, no QuantizeLinear, so no end-to-end head and no int8; its GPU and "
                "Neural Engine lose precision that its CPU keeps",
                f"{_ORT}/CoreML-ExecutionProvider.html",
            ),
        ),
    ),
    "qnn": Target(
        runs_on="Qualcomm's NPUs (HTP), with onnxruntime",
        opset=13,
        opsets=range(13, 21),
        precision="int8",
        precisions=("int8",),
        input="tensor",
        dynamic_batch=False,
        end2end=False,
        silu="Qualcomm calls ReLU the best choice for its NPU and advises against Swish (SiLU)",
        next="edgeloop verify {bundle} --provider qnn",
        sources=(
            Source("takes quantised models and no open shapes", f"{_ORT}/QNN-ExecutionProvider.html"),
            Source("the end-to-end head is switched off for it", _ULTRALYTICS),
            Source(
                "ReLU is the best choice of activation, Swish (SiLU) has simple alternatives (SDK 2.39)",
                "docs/QNN/HTP/htp-network-design-recommendations/htp_guidelines_activation_functions.html",
            ),
        ),
    ),
    "rknn": Target(
        runs_on="Rockchip's NPUs",
        opset=13,
        opsets=range(12, 20),
        precision="fp32",
        precisions=("fp32",),
        input="tensor",
        dynamic_batch=False,
        end2end=False,
        silu="Rockchip's own forks of YOLO replace SiLU with ReLU",
        next="python convert.py {bundle} rk3588 fp",
        sources=(
            Source("takes opsets 12 to 19", "https://github.com/rockchip-linux/rknn-toolkit2/releases"),
            Source(
                "convert.py of examples/yolov8 is the command; it quantises itself where fp is left out",
                "https://github.com/airockchip/rknn_model_zoo/blob/main/examples/yolov8/README.md",
            ),
            Source(
                "int8 with boxes and scores in one output costs accuracy; cut the head off first",
                "https://github.com/airockchip/rknn_model_zoo/blob/main/FAQ.md",
            ),
            Source("the end-to-end head is switched off for it", _ULTRALYTICS),
            Source(
                "ReLU instead of SiLU",
                "https://github.com/airockchip/yolov5/blob/master/README_rkopt.md",
            ),
        ),
    ),
    "hailo": Target(
        runs_on="Hailo-8, 10 and 15",
        opset=11,
        opsets=range(11, 21),
        precision="fp32",
        precisions=("fp32",),
        input="tensor",
        dynamic_batch=False,
        end2end=False,
        silu="Hailo's compiler leaves out its equalisation of weights for activations other than ReLU's kind",
        next="hailomz compile --ckpt {bundle} --calib-path DATASET/images/train --yaml NETWORK.yaml",
        sources=(
            Source(
                "exports with opset 11; the compiler quantises itself, on your images",
                "https://github.com/hailo-ai/hailo_model_zoo/blob/master/training/yolov8/README.rst",
            ),
            Source(
                "takes the graph up to the head's last convolutions, which NETWORK.yaml names; the rest "
                "runs on the host",
                "https://community.hailo.ai/t/handling-unsupported-operations-with-onnxruntime/17956",
            ),
            Source(
                "no equalisation where f(cx) is not c f(x), as with GELU (and SiLU)",
                "https://community.hailo.ai/t/equalization-for-non-first-order-homogeneous-activation-functions/1671",
            ),
        ),
    ),
}


def options_for(name: str, given: Mapping[str, Any]) -> ExportOptions:
    """Set what a target needs.

    Args:
        name: Of the target.
        given: What the user asked for explicitly, by `ExportOptions`' names. It wins where the target leaves
            a choice, and is an error where it does not.

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
    if options.dynamic_batch and not target.dynamic_batch:
        _refuse(name, "a dynamic batch", "needs one that is fixed")
    if options.end2end and not target.end2end:
        _refuse(name, "an end-to-end head", "takes the classic one")
    return options


def next_step(name: str, bundle: Path) -> str:
    """What the user runs next.

    Args:
        name: Of the target.
        bundle: The file that was exported.

    Returns:
        One command line.
    """
    return TARGETS[name].next.format(bundle=bundle, stem=bundle.with_suffix(""))


def _refuse(name: str, asked: str, needs: str) -> None:
    raise UsageError(f"--target {name}: cannot take {asked}, it {needs}; see docs/targets.md")
