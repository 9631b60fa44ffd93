"""What SiLU costs: `python benchmarks/activation.py` runs yolo26n with SiLU and with ReLU in turns.

Random weights: time does not depend on them. The same graph in float32 on onnxruntime's CPU; only the
activation differs. What ReLU costs in accuracy is a row of benchmarks/start_weights.py.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.nn.modules import Detect

from edgeloop.edge.runtime.session import Session
from edgeloop.export.train.detectors import build_detector
from edgeloop.export.train.train_options import Activation

ACTIVATIONS: tuple[Activation, ...] = ("silu", "relu")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--imgsz", type=int, default=320, help="px")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--inferences", type=int, default=5, help="of each model in each turn")
    arguments = parser.parse_args()
    image = torch.rand(1, 3, arguments.imgsz, arguments.imgsz, generator=torch.Generator().manual_seed(0))
    with TemporaryDirectory() as folder:
        paths = [write_model(Path(folder), activation, image) for activation in ACTIVATIONS]
        sessions = [Session(path, provider="cpu") for path in paths]
    turns: dict[Activation, list[tuple[float, float]]] = {activation: [] for activation in ACTIVATIONS}
    for turn in range(arguments.turns + 1):
        for activation, session in zip(ACTIVATIONS, sessions, strict=True):
            times_ms = time_ms(session, image.numpy(), arguments.inferences)
            if turn:  # the first warms up
                turns[activation].append(times_ms)
    for place, clock in enumerate(("wall", "processor")):
        silu, relu = ([times_ms[place] for times_ms in turns[activation]] for activation in ACTIVATIONS)
        ratio = statistics.median(slow / fast for slow, fast in zip(silu, relu, strict=True))
        print(f"{clock} time: SiLU {_spread(silu)}, ReLU {_spread(relu)}; median of the ratios {ratio:.2f}")


def time_ms(session: Session, image: NDArray[np.float32], count: int) -> tuple[float, float]:
    """Wall time, and processor time of all threads, of one inference, ms; the latter bears a busy machine."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        session.run(image)
    spent = time.perf_counter() - wall, time.process_time() - processor
    return spent[0] * 1e3 / count, spent[1] * 1e3 / count


def _spread(times_ms: list[float]) -> str:
    low, median, high = statistics.quantiles(times_ms, n=4)
    return f"{median:.1f} ms ({low:.1f} to {high:.1f} in half of the turns)"


def write_model(folder: Path, activation: Activation, image: torch.Tensor) -> Path:
    """yolo26n with random weights, for images of one size."""
    detector = build_detector(
        "yolo26n", "none", [str(number) for number in range(80)], seed=0, activation=activation
    )
    detector = detector.eval().fuse(verbose=False)
    for module in detector.modules():
        if isinstance(module, Detect):
            module.export, module.format = True, "onnx"
    path = folder / f"{activation}.onnx"
    torch.onnx.export(detector, (image,), path, opset_version=13, dynamo=False)
    return path


if __name__ == "__main__":
    main()
