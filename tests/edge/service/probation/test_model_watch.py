"""Swaps, shadow and probation with real workers and a store on disk."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.probation import model_watch
from edgeloop.edge.service.probation.model_watch import ModelWatch
from edgeloop.edge.service.probation.stored_model import stored_model
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.store.model_store import MAX_STARTS, ModelStore
from edgeloop.edge.service.store.shadow_figures import read_figures
from edgeloop.edge.service.store.store_state import Change, InstalledModel, ProbationState
from edgeloop.models.errors import EdgeloopError, ModelError
from tests.blocks import block_finder, draw_block
from tests.faulty_models import WHITE, write_faulty_model
from tests.waiting import until

LIMIT_S = 8.0


def model_bytes(note: str, *, score: float = 0.9, names: str = "{0: 'block'}") -> bytes:
    """Block finder with a content of its own; a score of 0 finds nothing."""
    model = block_finder()
    model.doc_string = note
    for tensor in model.graph.initializer:
        if tensor.name == "score":
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(score, np.float32), "score"))
    facts = {entry.key: entry.value for entry in model.metadata_props} | {"names": names}
    onnx.helper.set_model_props(model, facts)
    return bytes(model.SerializeToString())


OLD, NEW = model_bytes("old"), model_bytes("new")


def entry(content: bytes) -> InstalledModel:
    return InstalledModel(digest=hashlib.sha256(content).hexdigest(), origin="x.onnx")


class Device:
    """A model that is started from its store, and a loop that gives it frames, as the service does."""

    def __init__(self, folder: Path, picture: Callable[[int], Any] = draw_block, **camera: Any) -> None:
        values = {
            "state": folder,
            "models": {"parts": {"threads": 1, "hang_s": 5.0}},
            "cameras": {"belt": {"source": "0", **camera}},
            "probation": {"shadow_every": 2, "minutes": 0.01},
        }
        self.config = ServiceConfig.model_validate(values)
        self.store = ModelStore(folder, "parts")
        self.state = ModelState("parts")
        self.frames = self.failed = 0
        self._picture = picture
        self._ended = threading.Event()
        self._loop = threading.Thread(target=self._run)

    def start(self, **probation: Any) -> None:
        rules = self.config.probation.model_copy(update=probation)
        self.config = self.config.model_copy(update={"probation": rules})
        self._model = stored_model(self.config, self.state)
        self.worker = self._model.__enter__()
        self.watch = ModelWatch(self.config, self.state, self.worker)
        self._sink = self.watch.sink("belt")
        self.watch.start()
        self._loop.start()

    def install(self, content: bytes) -> str:
        return (self.store.install(entry(content), content).current or entry(b"")).digest

    def close(self, *, in_order: bool = True) -> None:
        self._ended.set()
        if self._loop.is_alive():
            self._loop.join()
        if in_order:
            self.watch.close()
            self._model.__exit__(None, None, None)
        else:  # as if the power was cut: nothing more is written
            self.watch._closed.set()
            self.watch._thread.join()
            self.watch._end_shadow()
            self.worker.close()

    def last(self) -> Change:
        return self.store.read().history[-1]

    def wait_for_rollback(self) -> str:
        """Wait until the old model is back, and return why."""
        until(lambda: self.last().action == "rolled back" and self.state.digest == entry(OLD).digest)
        return self.last().reason

    def _run(self) -> None:
        while not self._ended.wait(0.005):
            image = self._picture(self.frames % 20)
            frame = Frame(image, self.frames, time.monotonic(), time.time(), "belt")
            self.frames += 1
            try:
                found, steps_ms = self.worker.detect_timed(image)
            except EdgeloopError:
                self.failed += 1
                continue
            self._sink.write(Result(frame, found, Timings(sum(steps_ms.values()), steps_ms)))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_watch, "_SAVE_S", 0.2)
    monkeypatch.setattr(model_watch, "_LOOK_S", 0.03)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Device with the old model, which runs until the end of the test."""
    made = Device(tmp_path)
    made.install(OLD)
    yield made
    made.close()


def test_a_new_model_takes_over_without_a_lost_frame_and_is_confirmed(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgeloop.edge.service.probation")
    device.start()
    until(lambda: device.frames > 10)
    device.install(NEW)
    until(lambda: device.state.digest == entry(NEW).digest)
    until(lambda: device.state.probation_left_s is not None)
    assert device.state.previous == entry(OLD).digest
    until(lambda: device.last().action == "confirmed")
    assert "0 without an answer" in device.last().reason
    until(lambda: device.state.probation_left_s is None)
    said = [record.__dict__.get("event") for record in caplog.records]
    assert said == ["model-swapped", "model-confirmed"]
    device.install(model_bytes("third"))
    until(lambda: not device.store.path(entry(OLD)).exists())  # it is of no use any more
    device.store.roll_back()  # by somebody, in the middle of probation
    until(lambda: device.state.digest == entry(NEW).digest)
    assert device.failed == 0


def test_in_an_empty_scene_a_model_that_finds_nothing_is_confirmed(tmp_path: Path) -> None:
    empty = Device(tmp_path, lambda _: np.full((120, 160, 3), 40, np.uint8))
    empty.install(OLD)
    empty.start()
    try:
        empty.install(model_bytes("blind", score=0.0))
        until(lambda: empty.last().action == "confirmed")
        assert "in which it found 0" in empty.last().reason
    finally:
        empty.close()


def test_a_model_that_gives_nonsense_gives_way(tmp_path: Path) -> None:
    device = Device(tmp_path, lambda index: WHITE if index % 3 == 0 else draw_block(index))
    device.install(OLD)
    device.start(minutes=5.0)
    try:
        device.install(write_faulty_model(tmp_path / "nan.onnx", "nan").read_bytes())
        assert re.match(r"gave no answer to \d+ of \d+ frames: \d+ non-finite", device.wait_for_rollback())
    finally:
        device.close()


def test_a_model_whose_process_dies_gives_way(device: Device) -> None:
    device.start(minutes=5.0)
    digest = device.install(NEW)
    until(lambda: device.state.digest == digest and device.state.probation_left_s is not None)
    assert device.worker.pid is not None
    os.kill(device.worker.pid, signal.SIGKILL)
    assert "its process was lost" in device.wait_for_rollback()


def test_a_model_that_cannot_be_loaded_or_lacks_a_class_never_takes_over(tmp_path: Path) -> None:
    device = Device(tmp_path, classes=["block"])
    device.install(OLD)
    device.start()
    try:
        device.install(b"no model")
        until(lambda: device.last().action == "rolled back")
        assert "cannot take over" in device.last().reason
        device.install(model_bytes("other", names="{0: 'brick'}"))
        until(lambda: "no class block" in device.last().reason)
        assert (device.state.digest, device.failed) == (entry(OLD).digest, 0)
    finally:
        device.close()


def test_a_model_that_finds_nothing_gives_way_also_while_the_disk_is_full(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    device.start(minutes=5.0)
    digest = device.install(model_bytes("blind", score=0.0))
    obstacle = device.store.folder / "state.json.part"
    obstacle.mkdir()  # nothing can be written
    until(lambda: device.state.digest == digest)
    until(lambda: device.state.digest == entry(OLD).digest)
    assert device.last().action == "installed"
    obstacle.rmdir()
    assert device.wait_for_rollback().startswith("found 0 objects in")
    until(lambda: device.state.figures.get("rollbacks") == 1)
    assert (device.store.read().probation, device.failed) == (None, 0)
    until(lambda: "the store works again" in caplog.text)
    assert caplog.text.count("cannot be written") == 1


def test_a_candidate_is_compared_and_promoted(device: Device, tmp_path: Path) -> None:
    blind = model_bytes("blind", score=0.0)
    device.store.shadow(entry(blind), blind)
    device.start()
    until(lambda: device.state.figures.get("shadow_frames", 0) >= 10)
    assert device.state.candidate == entry(blind).digest
    assert device.watch._shadow is not None
    pid = device.watch._shadow._worker.pid
    assert pid is not None
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    device.close()
    figures = read_figures(device.store.figures_file)
    assert figures is not None
    assert (figures.current, figures.candidate) == (entry(OLD).digest, entry(blind).digest)
    assert (figures.current_boxes, figures.candidate_boxes, figures.matched) == (figures.frames, 0, 0)
    assert figures.classes == {"block": (figures.frames, 0)}
    assert (figures.current_provider, figures.candidate_provider) == ("cpu", "cpu")
    assert figures.current_ms is not None
    again = Device(tmp_path)
    again.start()
    try:
        until(lambda: again.state.figures.get("shadow_frames", 0) > figures.frames)  # it goes on
        again.store.shadow(entry(NEW), NEW)  # another candidate begins at zero
        until(lambda: again.state.figures.get("shadow_agreement") == 1.0)
        again.store.promote(entry(NEW).digest)
        until(lambda: again.state.digest == entry(NEW).digest)
        assert again.failed == 0
    finally:
        again.close()


def test_probation_outlives_a_power_cut(device: Device, tmp_path: Path) -> None:
    device.install(NEW)
    device.start(minutes=5.0)
    until(lambda: (device.store.read().probation or ProbationState()).elapsed_s > 0.3)
    device.close(in_order=False)
    cut = device.store.read().probation
    assert cut is not None
    assert cut.starts == 1
    again = Device(tmp_path)
    again.start(minutes=5.0)
    until(lambda: (again.store.read().probation or ProbationState()).elapsed_s > cut.elapsed_s)
    again.close()
    assert (again.store.read().probation or ProbationState()).starts == 1  # the second one ended in order


def test_a_model_on_probation_that_cannot_start_gives_way_at_once(device: Device, tmp_path: Path) -> None:
    device.install(b"no model")
    obstacle = device.store.folder / "state.json.part"
    obstacle.mkdir()  # nothing can be written yet
    device.start()
    assert device.state.digest == entry(OLD).digest
    assert device.last().action == "installed"
    obstacle.rmdir()
    until(lambda: device.last().action == "rolled back")
    assert device.state.digest == entry(OLD).digest
    alone = Device(tmp_path / "alone")
    alone.install(b"no model")
    with pytest.raises(ModelError):
        alone.start()


def test_a_service_that_is_killed_again_and_again_returns_to_the_previous_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "state", "parts")
    for content in (OLD, NEW):
        store.install(entry(content), content)
    store.save_probation(entry(NEW).digest, ProbationState(elapsed_s=100.0, starts=MAX_STARTS - 1))
    config = tmp_path / "edgeloop.toml"
    config.write_text(
        f'state = "{tmp_path / "state"}"\n[web]\nport = 0\n[models.parts]\nthreads = 1\n'
        '[cameras.belt]\nsource = "synth:conveyor?fps=20&size=160x120"\n'
    )
    with serving(config, signal.SIGKILL):
        until(lambda: (store.read().probation or ProbationState()).elapsed_s > 100.0)
        assert (store.read().probation or ProbationState()).starts == MAX_STARTS
    with serving(config, signal.SIGTERM) as service:
        until(lambda: store.read().history[-1].action == "rolled back")
        assert service.poll() is None
    assert "started 4 times within its probation" in store.read().history[-1].reason
    assert store.read().current == entry(OLD)


@contextmanager
def serving(config: Path, ended_by: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    """Run `edgeloop serve` in a process of its own, and end it by a signal."""
    service = subprocess.Popen([sys.executable, "-P", "-m", "edgeloop", "serve", str(config)])
    try:
        yield service
    finally:
        service.send_signal(ended_by)
        service.wait(10)
