"""Speed, latency and memory of the loop: `python benchmarks/runtime.py MODEL.onnx VIDEO [MODEL VIDEO ...]`.

For each model and video: the rate of the bare model and of the loop in alternating turns, time to the first
detection, and peak memory; with --against, those of `yolo predict` too. Then, with the first model, frames of
1280x720 px that are held in memory and handed over by the clock, as a camera does:

- one camera of 30 fps for --live-seconds;
- four cameras of 15 fps on one model;
- a camera of 60 fps and a model that is slowed down to 20 fps;
- resident memory after 2,000 and after --memory-frames frames that are not paced.

`--make 320` writes yolo26n_320.onnx with random weights, whose speed is that of trained ones, and
`--make-clip VIDEO` writes the first 300 frames of a video at 1280x720 px.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

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
from report import Table, add_write_option, publish

Row = tuple[str, ...]
Images = list[NDArray[np.uint8]]

LIVE_FPS, LIVE_SIZE = 30.0, (1280, 720)
SLOW_MODEL_S, FAST_FPS, SLOW_SECONDS = 0.05, 60.0, 20.0
CAMERAS, CAMERA_FPS, CAMERA_SECONDS = 4, 15.0, 20.0
EARLY_FRAMES = 2_000
CLIP_FRAMES, MADE_CLIP_FRAMES = 60, 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "pairs", nargs="*", type=Path, metavar="MODEL VIDEO", help="Models, each with its video."
    )
    parser.add_argument("--make", type=int, action="append", default=[], metavar="PX", help="Write a model.")
    parser.add_argument("--make-clip", type=Path, metavar="VIDEO", help="Write a clip of 1280x720 px.")
    parser.add_argument("--against", action="store_true", help="Measure `yolo predict` too.")
    parser.add_argument("--frames", type=int, default=150, help="Frames in each half of a turn.")
    parser.add_argument("--turns", type=int, default=7, help="More make the medians steadier.")
    parser.add_argument("--live-seconds", type=float, default=120, help="Duration of the camera of 30 fps.")
    parser.add_argument("--memory-frames", type=int, default=20_000, help="Frames of the memory test.")
    add_write_option(parser, "runtime")
    arguments = parser.parse_args()
    for size in arguments.make:
        print(_make_model(size))
    if arguments.make_clip:
        print(_make_clip(arguments.make_clip))
    if not arguments.pairs:
        return
    if len(arguments.pairs) % 2:
        parser.error("expected a video after each model")
    pairs = list(zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True))
    tables = [_rates(pairs, arguments)]
    if arguments.against:
        tables.append(_against(pairs, arguments.frames))
    model, images = pairs[0][0], _images(pairs[0][1], CLIP_FRAMES)
    tables += [
        _cameras(model, images, arguments.live_seconds),
        _memory(model, images, arguments.memory_frames),
    ]
    publish(arguments.write, *tables)


def _rates(pairs: Sequence[tuple[Path, Path]], arguments: argparse.Namespace) -> Table:
    rows = []
    for model, video in pairs:
        report = bench(model, str(video), frames=arguments.frames, turns=arguments.turns)
        rows.append(
            (
                model.stem,
                video.stem,
                f"{report.model_fps:.1f} fps",
                f"{report.loop_fps:.1f} fps",
                f"{report.ratio:.2f}",
                f"{report.first_detection_s:.2f} s",
                f"{report.peak_memory_mb:.0f} MB",
            )
        )
    header = ("model", "video", "bare model", "loop", "loop / model", "first detection", "peak memory")
    return Table("<<>>>>>", header, [rows])


def _against(pairs: Sequence[tuple[Path, Path]], frames: int) -> Table:
    groups = []
    for model, video in pairs:
        detector = Detector(model)
        confidence = detector.spec.confidence
        found = compare(model, video, frames=frames, provider=detector.provider, confidence=confidence)
        groups.append(
            [
                (
                    model.stem,
                    video.stem,
                    command,
                    f"{timing.fps:.1f} fps",
                    f"{timing.first_detection_s:.2f} s",
                    f"{timing.peak_memory_mb:.0f} MB",
                )
                for command, timing in (("edgeloop run", found.ours), ("yolo predict", found.theirs))
            ]
        )
    header = ("model", "video", "command", "rate", "first detection", "peak memory")
    return Table("<<<>>>", header, groups)


def _cameras(model: Path, images: Images, live_seconds: float) -> Table:
    """Measure drops, and latency from capture to result."""
    detector = Detector(model, live=True)
    groups = [
        _run_cameras("30 fps", detector, images, fps=LIVE_FPS, seconds=live_seconds),
        _run_cameras("15 fps", detector, images, fps=CAMERA_FPS, seconds=CAMERA_SECONDS, count=CAMERAS),
        _run_cameras("60 fps, slow model", SlowDetector(model), images, fps=FAST_FPS, seconds=SLOW_SECONDS),
    ]
    return Table("<>>>>>", ("camera", "frames", "dropped", "p50 ms", "p95 ms", "p99 ms"), groups)


def _run_cameras(
    title: str, detector: Detector, images: Images, *, fps: float, seconds: float, count: int = 1
) -> list[Row]:
    frames = round(fps * seconds)
    with ExitStack() as opened:
        streams = [
            Stream(
                opened.enter_context(LiveSource(f"clock {number}", _paced(images, fps, frames), fps=fps)),
                Meter(detector.names),
            )
            for number in range(count)
        ]
        pipeline.run_streams(streams, detector)
    return [_camera_row(f"{title}, {n} of {count}", s) for n, s in enumerate(streams, 1)]


def _camera_row(title: str, stream: Stream) -> Row:
    latency = stream.meter.latency_ms
    times = (None,) * 3 if latency is None else (latency.p50, latency.p95, latency.p99)
    counts = (str(stream.meter.frames), str(stream.source.dropped))
    return (title, *counts, *("" if time_ms is None else f"{time_ms:.1f}" for time_ms in times))


class SlowDetector(Detector):
    """A detector whose model takes at least `SLOW_MODEL_S`."""

    def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
        due = time.monotonic() + SLOW_MODEL_S
        outputs = super().infer(prepared)
        time.sleep(max(0.0, due - time.monotonic()))
        return outputs


def _memory(model: Path, images: Images, frames: int) -> Table:
    """Measure resident memory while the loop runs as fast as it can."""
    detector = Detector(model, throughput=True)
    meter = Meter(detector.names)
    rows = []
    with (
        closing(pipeline.results(RepeatedImages(images, frames), detector)) as found,
        progress_bar(frames, "Memory") as bar,
    ):
        for result in found:
            meter.add(result)
            bar(1)
            if meter.frames in (EARLY_FRAMES, frames):
                resident_mb = psutil.Process().memory_info().rss / 1e6
                rows.append((f"{meter.frames:,}", f"{resident_mb:.1f} MB"))
    return Table(">>", ("frames", "resident memory"), [rows])


class RepeatedImages(Source):
    """Some images in rotation, each a new array, as fast as they are taken."""

    name, live, fps, dropped, skipped = "clip", False, None, 0, 0

    def __init__(self, images: Images, length: int) -> None:
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


def _paced(images: Images, fps: float, count: int) -> Generator[NDArray[np.uint8], None, None]:
    """Yield each frame when it is due; copied, as a driver hands over new memory each time."""
    started_at = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started_at + number / fps - time.monotonic()))
        yield images[number % len(images)].copy()


def _images(video: Path, count: int) -> Images:
    capture = cv2.VideoCapture(str(video))
    images: Images = []
    while len(images) < count:
        read, image = capture.read()
        if not read:
            break
        images.append(np.asarray(cv2.resize(image, LIVE_SIZE), np.uint8))
    if not images:
        raise SystemExit(f"{video}: no frame can be read")
    return images


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


if __name__ == "__main__":
    main()
