"""The loop on the device, measured: `python benchmarks/runtime.py MODEL.onnx VIDEO [MODEL.onnx VIDEO ...]`.

For each model and video: the bare model's rate and the loop's in turns, first detection and memory, and the
same beside `yolo predict` with --against. Then, with the first model, from frames that are held in memory and
handed over by the clock as a camera does it:

- live: --live-seconds at 30 frames a second, 720p: drops, and time from capture to result;
- memory: resident memory after 2,000 and after --memory-frames frames;
- slow: a source of 60 frames a second and a model that is held back to 20;
- cameras: four of 15 frames a second, 720p, on one model.

--make 320 writes yolo26n with random weights for that size, for machines that have no model at hand;
--make-clip VIDEO writes its first 300 frames at 1280x720.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from edgeloop.edge.bench.benchmark import bench
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.host.opencv import open_writer
from edgeloop.edge.loop import pipeline
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.runtime.detector import Detector, Prepared
from edgeloop.edge.sources.live import LiveSource
from peer import compare

LIVE_FPS, LIVE_SIZE = 30.0, (1280, 720)
SLOW_MODEL_S, FAST_FPS, SLOW_SECONDS = 0.05, 60.0, 20.0
CAMERAS, CAMERA_FPS, CAMERA_SECONDS = 4, 15.0, 20.0
EARLY_FRAMES = 2_000
CLIP_FRAMES, MADE_CLIP_FRAMES = 60, 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", nargs="*", type=Path, metavar="MODEL VIDEO")
    parser.add_argument("--make", type=int, action="append", default=[], metavar="SIZE")
    parser.add_argument("--make-clip", type=Path, metavar="VIDEO")
    parser.add_argument("--against", action="store_true", help="run `yolo predict` in turns with the loop")
    parser.add_argument("--frames", type=int, default=150, help="in each half of a turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--live-seconds", type=float, default=120)
    parser.add_argument("--memory-frames", type=int, default=20_000)
    arguments = parser.parse_args()
    for size in arguments.make:
        print(_make_model(size))
    if arguments.make_clip:
        print(_make_clip(arguments.make_clip))
    if not arguments.pairs:
        return
    if len(arguments.pairs) % 2:
        parser.error("expected a video after each model")
    report: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    }
    pairs = list(zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True))
    report["rate"] = [
        asdict(bench(model, str(video), frames=arguments.frames, turns=arguments.turns))
        for model, video in pairs
    ]
    if arguments.against:
        report["against"] = [_against(model, video, arguments.frames) for model, video in pairs]
    detector = Detector(arguments.pairs[0], live=True)
    images = _images(arguments.pairs[1])
    report["live"] = _live(detector, images, fps=LIVE_FPS, seconds=arguments.live_seconds)
    report["memory"] = _memory(Detector(arguments.pairs[0], throughput=True), images, arguments.memory_frames)
    report["cameras"] = _cameras(detector, images)
    report["slow"] = _live(HeldBack(arguments.pairs[0]), images, fps=FAST_FPS, seconds=SLOW_SECONDS)
    print(json.dumps(report, indent=2))


def _against(model: Path, video: Path, frames: int) -> dict[str, Any]:
    detector = Detector(model)
    confidence = detector.spec.confidence
    return asdict(compare(model, video, frames=frames, provider=detector.provider, confidence=confidence))


class HeldBack(Detector):
    """A detector whose model takes as long as a slow one."""

    def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
        due = time.monotonic() + SLOW_MODEL_S
        outputs = super().infer(prepared)
        time.sleep(max(0.0, due - time.monotonic()))
        return outputs


def _make_model(size: int) -> Path:
    from ultralytics import YOLO

    made = Path(YOLO("yolo26n.yaml", task="detect").export(format="onnx", imgsz=size, verbose=False))
    return made.rename(f"yolo26n_{size}.onnx")


def _make_clip(video: Path) -> Path:
    made = Path(f"{video.stem}_720p.mp4")
    writer = open_writer(made, fps=30, size=LIVE_SIZE)
    if writer is None:
        raise SystemExit(f"{made}: this OpenCV cannot write it")
    for image in _images(video, MADE_CLIP_FRAMES):
        writer.write(image)
    writer.release()
    return made


def _images(video: Path, count: int = CLIP_FRAMES) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(video))
    images: list[NDArray[np.uint8]] = []
    while len(images) < count:
        read, image = capture.read()
        if not read:
            break
        images.append(np.asarray(cv2.resize(image, LIVE_SIZE), np.uint8))
    if not images:
        raise SystemExit(f"{video}: no frame can be read")
    return images


def _paced(
    images: list[NDArray[np.uint8]], fps: float, count: int
) -> Generator[NDArray[np.uint8], None, None]:
    """Each frame when it is due; copied, as a driver hands over new memory each time."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / fps - time.monotonic()))
        yield images[number % len(images)].copy()


def _live(
    detector: Detector, images: list[NDArray[np.uint8]], *, fps: float, seconds: float
) -> dict[str, Any]:
    before = _resident_mb()
    with LiveSource("clock", _paced(images, fps, round(fps * seconds)), fps=fps) as source:
        figures = pipeline.run(source, detector)
    return {
        "source_fps": fps,
        "seconds": seconds,
        "frames": figures.frames,
        "dropped": figures.dropped,
        "latency_ms": figures.latency_ms and asdict(figures.latency_ms),
        "stages_ms": figures.stages_ms,
        "memory_grew_mb": round(_resident_mb() - before, 1),
    }


def _cameras(detector: Detector, images: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Several cameras in turn, each with its own figures."""
    count = round(CAMERA_FPS * CAMERA_SECONDS)
    with ExitStack() as opened:
        cameras = [
            Stream(
                opened.enter_context(
                    LiveSource(f"clock {number}", _paced(images, CAMERA_FPS, count), fps=CAMERA_FPS)
                ),
                Meter(detector.names),
            )
            for number in range(CAMERAS)
        ]
        pipeline.run_streams(cameras, detector)
    return {
        camera.source.name: {
            "frames": camera.meter.frames,
            "dropped": camera.source.dropped,
            "latency_ms": camera.meter.latency_ms and asdict(camera.meter.latency_ms),
        }
        for camera in cameras
    }


def _memory(detector: Detector, images: list[NDArray[np.uint8]], frames: int) -> dict[str, Any]:
    """Resident memory while the loop runs as fast as it can on frames that are not paced."""
    meter = Meter(detector.names)
    early = None
    with (
        closing(pipeline.results(Clip(images, frames), detector)) as found,
        progress_bar(frames, "Memory") as bar,
    ):
        for result in found:
            meter.add(result)
            bar(1)
            if meter.frames == EARLY_FRAMES:
                early = _resident_mb()
    return {"frames": meter.frames, "early_mb": early, "late_mb": _resident_mb()}


class Clip(Source):
    """Some images over and over, each a new array, as fast as they are taken."""

    name, live, fps, dropped, skipped = "clip", False, None, 0, 0

    def __init__(self, images: list[NDArray[np.uint8]], length: int) -> None:
        self.length = length
        self._images = images
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            if self._stopped:
                return
            image = self._images[index % len(self._images)].copy()
            yield Frame(image, index, time.monotonic(), time.time(), self.name)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True


def _resident_mb() -> float:
    return round(psutil.Process().memory_info().rss / 1e6, 1)


if __name__ == "__main__":
    main()
