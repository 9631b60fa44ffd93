"""How many threads serve a camera: what is measured, what is kept of it, and who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeloop.edge.bench.benchmark import bench
from edgeloop.edge.engines.open_engine import ENGINES
from edgeloop.edge.engines.placement import Placement, ThreadCount
from edgeloop.edge.engines.session import Session
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.measured_choice import (
    EARLIER,
    Choice,
    clear_choices,
    keep_choice,
    measure_thread_count,
    read_choice,
)
from edgeloop.models.errors import UsageError
from tests.calls import Outcome
from tests.meter import ModelWriter

MODULE = "edgeloop.edge.runtime.measured_choice"
USE = "auto, 1 at a time"
KEPT = b'{"auto, 1 at a time": {"provider": "cpu", "threads": %s, "counted": true, "compared": ""}}'
QUICK = {2: 0.011, 1: 0.009}
LIVE = "synth:conveyor?fps=100&size=160x120"

Times = Mapping[int, float | Iterator[float]]
Measure = Callable[[Times], tuple[list[Any], Any, ThreadCount]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new cache, on a machine with eight cores."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(f"{MODULE}.physical_cores", lambda: 8)
    return tmp_path / "cache"


class Machine:
    """Its clock, and sessions on it whose inferences take known times, by their threads."""

    def __init__(self, model: Path, spent_s: Times) -> None:
        self.now_s = 0.0
        self.opened: list[Any] = []
        self._model, self._spent_s = model, spent_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def open(self, *, threads: int) -> Any:
        spent_s = self._spent_s[threads]
        spent_s = repeat(spent_s) if isinstance(spent_s, float) else spent_s

        def run(_tensor: object) -> None:
            assert not session.closed
            self.sleep(next(spent_s))

        session = SimpleNamespace(path=self._model, threads=threads, closed=False, run=run)
        session.close = lambda: setattr(session, "closed", True)
        self.opened.append(session)
        return session


@pytest.fixture
def measure(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure a model that takes these times, the first of them on all cores."""

    def measure(spent_s: Times) -> tuple[list[Any], Any, ThreadCount]:
        model = cache.with_name("model.onnx")
        model.write_bytes(b"a model")
        machine = Machine(model, spent_s)
        monkeypatch.setattr(f"{MODULE}.time", machine)
        first = machine.open(threads=next(iter(spent_s)))
        best, threads = measure_thread_count(first, machine.open, np.zeros(1, np.float32))
        return machine.opened, best, keep_choice(model, USE, Choice("cpu", threads)).threads

    return measure


@pytest.mark.parametrize(
    ("spent_s", "tried", "best"),
    [
        pytest.param({2: 0.0110, 1: 0.0100}, [2, 1], 1, id="fewer are clearly quicker"),
        pytest.param({2: 0.0100, 1: 0.0096}, [2, 1], 2, id="fewer are hardly quicker"),
        pytest.param({2: 0.0080, 1: 0.0120}, [2, 1], 2, id="fewer are slower"),
        pytest.param({4: 0.012, 2: 0.010, 1: 0.013}, [4, 2, 1], 2, id="some are best"),
        pytest.param({3: 0.012, 1: 0.010}, [3, 1], 1, id="three cores"),
        pytest.param({8: 0.012, 4: 0.010, 2: 0.008, 1: 0.006}, [8, 4, 2], 2, id="a second is enough"),
        pytest.param({2: 0.030, 1: 0.001}, [2], 2, id="a large model is left alone"),
        pytest.param(
            {2: 0.011, 1: chain([0.009] * 3, [0.2] * 3, repeat(0.009))}, [2, 1], 1, id="others take the core"
        ),
    ],
)
def test_as_few_as_are_clearly_quicker(measure: Measure, spent_s: Times, tried: list[int], best: int) -> None:
    opened, session, threads = measure(spent_s)
    assert [each.threads for each in opened] == tried
    assert threads.count == session.threads == best
    assert [each.threads for each in opened if not each.closed] == [best]
    assert "measured now" in threads.reason
    assert read_choice(session.path, USE) == Choice("cpu", ThreadCount(best, EARLIER))


def test_both_times_are_told(measure: Measure) -> None:
    assert str(measure(QUICK)[2]) == "1 CPU thread: an image takes 9.0 ms on 1, 11.0 ms on 2, measured now"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("processor_name", lambda: "another"),
        ("usable_cores", lambda: 3),
        ("physical_cores", lambda: 9),
        ("ort.__version__", "9.9.9"),
        ("ENGINES", {**ENGINES, "openvino": ENGINES["openvino"]._replace(package="pytest")}),
    ],
)
def test_the_answer_is_that_of_this_machine(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    _, session, _ = measure(QUICK)
    monkeypatch.setattr(f"{MODULE}.{name}", value)
    assert read_choice(session.path, USE) is None


@pytest.mark.parametrize(
    ("suffix", "engine"), [(".ncnn", "ncnn"), (".tflite", "litert"), (".rknn", "rknn"), (".hef", "hailo")]
)
def test_the_answer_is_that_of_the_version_of_the_files_engine(
    cache: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, engine: str
) -> None:
    model = cache.with_name(f"model{suffix}")
    model.write_bytes(b"a model")
    kept = Choice("cpu", ThreadCount(2, "an image takes 1 ms"))
    keep_choice(model, USE, kept)
    monkeypatch.setattr(f"{MODULE}.ort.__version__", "9.9.9")
    assert read_choice(model, USE) == Choice("cpu", ThreadCount(2, EARLIER))
    other = ENGINES[engine]._replace(package="pytest", distribution="")
    assert other.version == pytest.__version__
    monkeypatch.setattr(f"{MODULE}.ENGINES", {**ENGINES, engine: other})
    assert read_choice(model, USE) is None


def test_the_answer_is_that_of_the_models_content(measure: Measure, tmp_path: Path) -> None:
    _, session, _ = measure(QUICK)
    moved = session.path.rename(tmp_path / "moved.onnx")
    assert read_choice(moved, USE) == Choice("cpu", ThreadCount(1, EARLIER))
    moved.write_bytes(b"another model")
    assert read_choice(moved, USE) is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"two", b"\xff\xfe", b"[]", b'{"auto, 1 at a time": 1}'),
        *(KEPT % each for each in (b"0", b"-1", b"9", b"1e9", b"true")),
    ],
)
def test_a_damaged_answer_is_none(cache: Path, measure: Measure, content: bytes) -> None:
    _, session, _ = measure(QUICK)
    (kept,) = (cache / "edgeloop/choices").iterdir()
    assert kept.read_bytes() == KEPT % b"1" + b"\n"
    kept.write_bytes(content)
    assert read_choice(session.path, USE) is None


def test_what_is_cleared_is_measured_anew(measure: Measure) -> None:
    _, session, _ = measure(QUICK)
    clear_choices(session.path)
    clear_choices(session.path)  # once more, where there is nothing
    assert read_choice(session.path, USE) is None


@pytest.mark.parametrize("without_home", [False, True])
def test_a_cache_that_cannot_be_written_is_said_and_stops_nothing(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_home: bool
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    if without_home:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr("pathlib.Path.home", homeless)
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    _, session, threads = measure(QUICK)
    assert threads.count == 1
    assert "measured now and at the next start, for it cannot be kept" in threads.reason
    assert read_choice(session.path, USE) is None
    clear_choices(session.path)


@pytest.fixture
def asked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The threads of each session that a detector opens on two cores, where fewer always seem quicker."""
    assert not cache.exists()
    asked: list[int | None] = []

    def opened(path: Path, **settings: Any) -> Session:
        asked.append(settings["threads"])
        return Session(path, **settings)

    monkeypatch.setattr("edgeloop.edge.runtime.detector.physical_cores", lambda: 2)
    monkeypatch.setattr("edgeloop.edge.engines.open_engine.Session", opened)
    monkeypatch.setattr(f"{MODULE}._CLEARLY_LESS", 1e6)
    monkeypatch.setattr(f"{MODULE}._LONG_S", 60.0)
    return asked


def test_a_camera_is_measured_for_once(write_model: ModelWriter, asked: list[int | None]) -> None:
    path, image = write_model(), np.full((48, 64, 3), 200, np.uint8)
    first = Detector(path, live=True)
    assert asked == [2, 1]
    again = Detector(path, live=True)
    assert asked == [2, 1, 1]
    assert (first.threads.count, again.threads) == (1, ThreadCount(1, EARLIER))
    assert len(first.detect(image)) == len(again.detect(image)) == 1


@pytest.mark.parametrize(
    ("settings", "cores"),
    [
        pytest.param({}, 2, id="no camera"),
        pytest.param({"live": True, "threads": 3}, 2, id="as many as the caller says"),
        pytest.param({"live": True, "throughput": True}, 2, id="several images at a time"),
        pytest.param({"live": True}, 1, id="one core"),
    ],
)
def test_nothing_else_is_measured(
    write_model: ModelWriter,
    cache: Path,
    asked: list[int | None],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    cores: int,
) -> None:
    monkeypatch.setattr("edgeloop.edge.runtime.detector.physical_cores", lambda: cores)
    detector = Detector(write_model(), **settings)
    assert asked == [detector.threads.count]
    assert detector.threads.reason == ""
    assert not cache.exists()


def test_no_provider_but_the_cpu_is_measured(
    write_model: ModelWriter, asked: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model()
    Detector(path, live=True)
    cuda = property(lambda _: Placement("cuda"), lambda *_: None)
    monkeypatch.setattr(Session, "placement", cuda, raising=False)
    assert Detector(path, live=True).threads.reason == ""
    clear_choices(path)
    assert Detector(path, live=True).threads == ThreadCount(2)
    assert asked == [2, 1, 1, 2]


@pytest.mark.slow
def test_run_says_what_was_measured(
    edgeloop: Callable[..., Outcome],
    write_model: ModelWriter,
    cache: Path,
    asked: list[int | None],
    clip: Path,
    tmp_path: Path,
) -> None:
    model, figures = write_model(), tmp_path / "run.json"

    def run(source: object) -> str:
        done = edgeloop("run", model, source, "--max-frames", 3, "--summary", figures, "--overwrite")
        assert done.code == 0, done.err
        return done.err

    assert "CPU thread" not in run(clip)
    assert not cache.exists()
    assert "\n1 CPU thread: an image takes " in run(LIVE)
    assert json.loads(figures.read_text())["threads"] == 1
    assert f"\n1 CPU thread: {EARLIER}\n" in run(LIVE)
    assert asked == [1, 2, 1, 1]


@pytest.mark.parametrize(("source", "live"), [("clip.mp4", False), (LIVE, True)])
def test_bench_loads_the_model_as_run_does_and_measures_anew(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, source: str, live: bool
) -> None:
    model = measure(QUICK)[1].path

    def open_detector(path: Path, **settings: bool) -> Detector:
        assert settings == {"throughput": not live, "live": live}
        assert read_choice(path, USE) is None
        raise UsageError("seen enough")

    monkeypatch.setattr("edgeloop.edge.bench.benchmark.Detector", open_detector)
    with pytest.raises(UsageError, match="seen enough"):
        bench(model, source, frames=2, turns=1)
