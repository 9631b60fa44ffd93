"""Rates of a GPU: `bash benchmarks/gpu.sh`, or `python benchmarks/gpu_rates.py --provider cuda`.

For each provider, at batch 1: the bare model (onnxruntime with its defaults on one input), then the loop on
one stream and on four, in alternating turns of a third of the seconds each. The frames are of 1280x720 px, in
memory and not paced. The goals: the loop on one stream at 0.9 of the bare model, and at 300 frames a second.
If there is `yolo` (Ultralytics) and the model takes what it feeds, `yolo predict` is measured too.

Without MODEL it is edgeloop-lite0 at 640 px with an input of bytes, in single and in half precision; to make
these needs the extra `export`. What the time limit leaves out is named.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.engines.accelerators.gpu_session import GPU_PROVIDERS
from edgeloop.edge.engines.accelerators.tensorrt_cache import gpu_and_driver, tensorrt_version
from edgeloop.edge.engines.providers import PROVIDERS
from edgeloop.edge.engines.session import Session
from edgeloop.edge.host.hardware import processor_name
from edgeloop.edge.host.opencv import open_writer
from edgeloop.edge.loop import pipeline
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.loop.summary import Percentiles
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources import open_source
from edgeloop.models.errors import EdgeloopError
from peer import compare
from report import Table, add_write_option, publish
from runtime import RepeatedImages

SIZE, STREAMS, TURNS, WARM_UP_S = 640, 4, 3, 1.0
GOAL_RATIO, GOAL_FPS = 0.9, 300.0
SCENE, PEER_FRAMES = "synth:conveyor?size=1280x720&frames=60", 300


@dataclass(frozen=True)
class Rate:
    """Frames per second and latency of one way to run a model; the latency is None for another program."""

    model: str
    provider: str
    way: str
    fps: float
    latency_ms: Percentiles | None


@dataclass(frozen=True)
class Goal:
    """Goal of one model on one provider, and what was reached."""

    model: str
    provider: str
    goal: str
    reached: float
    held: bool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="ONNX files.")
    parser.add_argument(
        "--provider", action="append", choices=("cpu", *GPU_PROVIDERS), help="Default: cuda and tensorrt."
    )
    parser.add_argument("--seconds", type=float, default=15, help="Seconds of each measurement.")
    parser.add_argument("--limit", type=float, default=360, help="Seconds after which none is begun.")
    parser.add_argument("--json", type=Path, help="File for the figures.")
    parser.add_argument("--markdown", type=Path, help="File for the table.")
    add_write_option(parser, "gpu")
    arguments = parser.parse_args()
    ends_at = time.monotonic() + arguments.limit
    images = _frames()
    rates: list[Rate] = []
    left_out: list[str] = []
    with TemporaryDirectory(prefix="edgeloop-gpu-") as folder:
        for model in arguments.models or _make_models(Path(folder)):
            for provider in arguments.provider or GPU_PROVIDERS:
                if time.monotonic() + 3 * arguments.seconds > ends_at:
                    left_out.append(f"{model.stem} on {provider}: no time left")
                    continue
                try:
                    rates += _measure(model, provider, images, arguments.seconds)
                    rates += _peer(model, provider, images, Path(folder), ends_at, rates[-2].fps)
                except EdgeloopError as error:
                    left_out.append(f"{model.stem} on {provider}: {error}")
    _report(rates, left_out, arguments)
    if not rates:
        raise SystemExit(1)


def _measure(model: Path, provider: str, images: list[NDArray[np.uint8]], seconds: float) -> list[Rate]:
    """Measure the bare model and the loop in turns; a goal is judged on what ran side by side."""
    detector = Detector(model, provider=provider, throughput=True)
    bare = Session(model, provider=provider, bare=True)
    tensor = detector.preprocess(images[0]).tensor.copy()
    _run_bare(bare, tensor, WARM_UP_S)
    _run_loop(detector, images, 1, WARM_UP_S)
    turns: dict[str, list[tuple[float, Percentiles]]] = {"bare model": [], "1 stream": [], "4 streams": []}
    for _ in range(TURNS):
        turns["bare model"].append(_run_bare(bare, tensor, seconds / TURNS))
        turns["1 stream"].append(_run_loop(detector, images, 1, seconds / TURNS))
        turns["4 streams"].append(_run_loop(detector, images, STREAMS, seconds / TURNS))
    return [
        Rate(
            model.stem,
            str(detector.placement),
            way,
            round(median(fps for fps, _ in taken), 1),
            Percentiles(
                *(
                    round(median(getattr(found, key) for _, found in taken), 3)
                    for key in ("p50", "p95", "p99")
                )
            ),
        )
        for way, taken in turns.items()
    ]


def _run_bare(bare: Session, tensor: NDArray[np.generic], seconds: float) -> tuple[float, Percentiles]:
    spent_ms: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or not spent_ms:
        started = time.monotonic()
        bare.run(tensor)
        spent_ms.append((time.monotonic() - started) * 1000)
    return len(spent_ms) / (time.monotonic() - began), Percentiles.of(spent_ms)


def _run_loop(
    detector: Detector, images: list[NDArray[np.uint8]], count: int, seconds: float
) -> tuple[float, Percentiles]:
    """Run the loop on some streams: frames per second of all together, and the latency of their frames."""
    latencies_ms: list[float] = []
    streams = [
        Stream(
            RepeatedImages(images, 1 << 30),
            Meter(detector.names),
            on_result=lambda result: latencies_ms.append(result.timings.latency_ms),
        )
        for _ in range(count)
    ]
    pipeline.run_streams(streams, detector, duration_s=seconds)
    for stream in streams:
        stream.source.close()
        if stream.error is not None:
            raise stream.error
    spent_s = max(each.meter.ended_at for each in streams) - min(each.meter.started_at for each in streams)
    return len(latencies_ms) / spent_s, Percentiles.of(latencies_ms)


def _peer(
    model: Path, provider: str, images: list[NDArray[np.uint8]], folder: Path, ends_at: float, fps: float
) -> list[Rate]:
    """Measure both commands for 3 s a turn, if there is `yolo`, it can run the model, and time is left."""
    detector = Detector(model, provider="cpu")
    fed = "task" in detector.metadata and detector.spec.dtype == "float32"
    if not fed or provider == "tensorrt" or time.monotonic() + 120 > ends_at:
        return []
    frames = max(20, min(PEER_FRAMES, round(3 * fps)))
    clip = folder / "clip.mp4"
    writer = open_writer(clip, fps=30, size=(1280, 720))
    if writer is None:
        return []
    for number in range(frames):
        writer.write(images[number % len(images)])
    writer.release()
    try:
        found = compare(model, clip, frames=frames, provider=provider, confidence=detector.spec.confidence)
    except SystemExit:  # there is no `yolo`
        return []
    return [
        Rate(model.stem, provider, "edgeloop run, a video", found.ours.fps, None),
        Rate(model.stem, provider, "yolo predict, a video", found.theirs.fps, None),
    ]


def _goals(rates: Sequence[Rate]) -> list[Goal]:
    found = {(rate.model, rate.provider, rate.way): rate.fps for rate in rates}
    goals = []
    for (model, provider, way), fps in found.items():
        if way == "1 stream":
            ratio = fps / found[model, provider, "bare model"]
            goals.append(
                Goal(
                    model, provider, f"{GOAL_RATIO:g} of the bare model", round(ratio, 3), ratio >= GOAL_RATIO
                )
            )
            goals.append(Goal(model, provider, f"{GOAL_FPS:g} fps, 1 stream", fps, fps >= GOAL_FPS))
    return goals


def _report(rates: Sequence[Rate], left_out: Sequence[str], arguments: argparse.Namespace) -> None:
    goals = _goals(rates)
    table = Table(
        "<<<>>>",
        ("model", "on", "what", "fps", "p50 ms", "p99 ms"),
        [[_row(rate) for rate in rates]],
    )
    judged = Table(
        "<<<><",
        ("model", "on", "goal", "reached", ""),
        [[(g.model, g.provider, g.goal, f"{g.reached:g}", "held" if g.held else "missed") for g in goals]],
    )
    machine = _machine()
    note = "; ".join(f"{name}: {value}" for name, value in machine.items())
    note += "".join(f". Not measured: {each}" for each in left_out)
    publish(arguments.write, table, judged, note=note)
    if arguments.json:
        figures = {
            "machine": machine,
            "rates": [asdict(rate) for rate in rates],
            "goals": [asdict(goal) for goal in goals],
            "not_measured": list(left_out),
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(f"{table.markdown()}\n\n{judged.markdown()}\n\n{note}\n")


def _row(rate: Rate) -> tuple[str, ...]:
    found = rate.latency_ms
    latency = ("", "") if found is None else (f"{found.p50:.2f}", f"{found.p99:.2f}")
    return (rate.model, rate.provider, rate.way, f"{rate.fps:.1f}", *latency)


def _machine() -> dict[str, str]:
    gpu = gpu_and_driver()
    return {
        "processor": processor_name(),
        "gpu": "none" if gpu is None else gpu[0],
        "driver": "none" if gpu is None else gpu[1],
        "onnxruntime": ort.__version__,
        "tensorrt": tensorrt_version() or "none",
        "providers": ", ".join(
            name for name, long in PROVIDERS.items() if long in ort.get_available_providers()
        ),
    }


def _frames() -> list[NDArray[np.uint8]]:
    with open_source(SCENE) as source:
        return [frame.image.copy() for frame in source]


def _make_models(folder: Path) -> list[Path]:
    """Export edgeloop-lite0 with its start weights, which are as fast as trained ones."""
    from random_model import make_models  # it needs torch

    return make_models(folder, SIZE)


if __name__ == "__main__":
    main()
