"""The model in a child process: faults, restarts, swaps."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.check.check_model import check_model
from edgeloop.edge.service.service_config import ModelConfig
from edgeloop.edge.service.worker import worker_main
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.edge.service.worker.restart_pacer import RestartPacer
from edgeloop.models.errors import (
    AbsurdOutputError,
    DataError,
    EdgeloopError,
    ModelError,
    NoInputError,
    NonFiniteOutputError,
    UnavailableError,
)
from tests.blocks import block_box, block_finder, draw_block
from tests.disc_finder import draw_discs, write_disc_finder
from tests.faulty_models import WHITE, write_faulty_model
from tests.service_process import model_processes
from tests.waiting import until

Start = Callable[..., ModelWorker]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts workers, which are closed after the test."""
    workers: list[ModelWorker] = []

    def start(file: Path, *, hang_s: float = 5.0, pacer: RestartPacer | None = None) -> ModelWorker:
        worker = ModelWorker(ModelConfig(hang_s=hang_s, threads=1), file, ModelState("parts"), pacer)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.close()


def state_of(worker: ModelWorker) -> ModelState:
    return worker._state


def answers(worker: ModelWorker) -> bool:
    try:
        return len(worker.detect_timed(draw_block(3))[0]) == 1
    except UnavailableError:
        return False


def test_a_file_without_metadata_runs_by_what_the_configuration_states(tmp_path: Path) -> None:
    file, names = tmp_path / "bare.onnx", tmp_path / "classes.txt"
    model = block_finder()
    del model.metadata_props[:]
    onnx.save(model, file)
    names.write_text("cube\n")
    with pytest.raises(ModelError, match="--names"):
        check_model("parts", ModelConfig(file=file), tmp_path)
    config = ModelConfig(file=file, head="end2end", names=names, threads=1)
    text, found = check_model("parts", config, tmp_path)
    assert (text.startswith(f"{file}: not verified: "), found) == (True, ("cube",))
    with closing(ModelWorker(config, file, ModelState("parts"))) as worker:
        worker.start()
        assert worker.names == ["cube"]
        assert len(worker.detect_timed(draw_block(3))[0]) == 1
    with pytest.raises(NoInputError, match="cannot read the class names"):
        check_model("parts", config.model_copy(update={"names": tmp_path / "none.txt"}), tmp_path)
    with pytest.raises(ValidationError, match="head and names are for a file"):
        ModelConfig(names=names)


def test_it_finds_the_same_as_a_detector_in_this_process(block_model: Path, start: Start) -> None:
    worker, detector = start(block_model), Detector(block_model, threads=1)
    for image in (draw_block(3), draw_block(5)[:, ::-1], np.tile(draw_block(7), (3, 3, 1)), draw_block(9)):
        found, steps_ms = worker.detect_timed(image)
        expected, expected_steps = detector.detect_timed(np.ascontiguousarray(image))
        assert np.array_equal(found.xyxy, expected.xyxy)
        assert steps_ms.keys() == expected_steps.keys()
    state = state_of(worker)
    assert (worker.names, worker.provider, worker.threads.count) == (["block"], "cpu", 1)
    assert (state.status, state.reason, state.file, len(state.digest)) == ("ok", "", block_model.name, 64)
    assert state.answered_at is not None
    with pytest.raises(DataError, match="expected an image"):
        worker.detect_timed(draw_block(0)[0])


def test_a_dead_child_costs_the_frames_until_the_next_one(
    block_model: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start(block_model)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSEGV)
    with pytest.raises(UnavailableError, match="model parts: its process ended"):
        worker.detect_timed(draw_block(3))
    until(lambda: answers(worker))
    state = state_of(worker)
    assert (state.restarts, state.status, state.reason) == (1, "ok", "")
    assert state.errors["crash"] == 1
    assert len(caplog.messages) == 2, caplog.messages


def test_a_child_that_dies_without_a_frame_is_noticed(block_model: Path, start: Start) -> None:
    worker = start(block_model)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: state_of(worker).restarts == 1 and worker.pid is not None)
    assert answers(worker)
    assert state_of(worker).errors == {}


def test_a_frame_that_hangs_is_given_up(tmp_path: Path, start: Start) -> None:
    worker = start(write_faulty_model(tmp_path / "hang.onnx", "hang"), hang_s=1.0)
    assert answers(worker)
    child = psutil.Process(worker.pid)
    with pytest.raises(UnavailableError, match="model parts: no answer within 1 s"):
        worker.detect_timed(WHITE)
    until(lambda: answers(worker))
    assert not child.is_running()
    assert state_of(worker).errors["hang"] == 1


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("nan", NonFiniteOutputError, "non-finite"),
        ("far", AbsurdOutputError, "absurd"),
        ("raise", ModelError, "failed"),
    ],
)
def test_no_answer_is_better_than_nonsense(
    fault: str, error: type[EdgeloopError], kind: str, tmp_path: Path, start: Start
) -> None:
    worker = start(write_faulty_model(tmp_path / "bad.onnx", fault))
    with pytest.raises(error):
        worker.detect_timed(WHITE)
    assert state_of(worker).errors == {kind: 1}
    assert state_of(worker).reason
    assert answers(worker)
    assert (state_of(worker).restarts, state_of(worker).reason) == (0, "")


def test_a_model_that_only_gives_nonsense_is_loaded_again(tmp_path: Path, start: Start) -> None:
    worker = start(write_faulty_model(tmp_path / "nan.onnx", "nan"), hang_s=0.2)

    def is_restarted() -> bool:
        with pytest.raises(EdgeloopError):
            worker.detect_timed(WHITE)
        return state_of(worker).restarts == 1

    until(is_restarted)
    until(lambda: answers(worker))


def test_one_that_dies_too_often_is_degraded_and_tried_again(
    block_model: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start(block_model, pacer=RestartPacer(1, 2.0, (0.2,)))
    state = state_of(worker)
    while state.status != "degraded":
        if worker.pid is not None:
            os.kill(worker.pid, signal.SIGKILL)
            assert not answers(worker)
        time.sleep(0.01)
    assert state.restarts >= 1  # more if a start takes longer than the window
    until(lambda: answers(worker))
    assert state.status == "ok"
    assert sum("fails too often" in text for text in caplog.messages) == 1


def test_the_pace_of_restarts() -> None:
    pacer = RestartPacer()
    now, starts, exceeded = 100.0, [], []
    for _ in range(9):
        now += pacer.pause_s(now, held_s=0.0)
        pacer.count(now)
        starts.append(now - 100.0)
        exceeded.append(pacer.exceeded)
    assert starts == pytest.approx([0, 0.2, 0.7, 1.7, 3.7, 60, 90, 150, 270])
    assert exceeded == [False] * 5 + [True] * 4
    assert pacer.pause_s(now, held_s=59.0) == 300.0
    assert pacer.pause_s(now, held_s=60.0) == 0.0
    assert not pacer.exceeded


@given(st.lists(st.floats(0, 100), max_size=40))
@settings(max_examples=50, deadline=None)
def test_there_are_never_more_than_five_restarts_in_a_minute(held: list[float]) -> None:
    pacer, now, starts = RestartPacer(), 0.0, []
    for held_s in held:
        now += held_s
        now += pacer.pause_s(now, held_s)
        pacer.count(now)
        starts.append(now)
    assert all(later - first >= 59.99 for first, later in zip(starts, starts[5:], strict=False))


def test_the_child_ends_with_its_parent_also_in_a_frame_that_hangs(tmp_path: Path) -> None:
    write_faulty_model(tmp_path / "hang.onnx", "hang")
    code = (
        "from pathlib import Path\n"
        "from edgeloop.edge.service.board import ModelState\n"
        "from edgeloop.edge.service.service_config import ModelConfig\n"
        "from edgeloop.edge.service.worker.model_worker import ModelWorker\n"
        "from tests.faulty_models import WHITE\n"
        "worker = ModelWorker(ModelConfig(), Path('hang.onnx'), ModelState('m'))\n"
        "worker.start()\nprint(worker.pid, flush=True)\n"
        "worker.detect_timed(WHITE)\n"
    )
    path = os.pathsep.join(map(str, [Path(__file__).parents[4], *sys.path]))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)  # of the terminal
        child.send_signal(signal.SIGTERM)  # of systemd, to all processes of a unit
        time.sleep(0.1)
        assert child.is_running()
        parent.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_child_whose_parent_has_ended_says_nothing() -> None:
    children = []
    for _ in range(4):  # which thread of it notices first is chance
        ours, theirs = socket.socketpair()
        fds = theirs.fileno(), os.memfd_create("frame")
        command = [sys.executable, "-P", "-m", worker_main.__name__, *map(str, fds)]
        with ours, theirs:
            children.append(subprocess.Popen(command, pass_fds=fds, stderr=subprocess.PIPE))
        os.close(fds[1])
    assert [(child.communicate()[1], child.returncode) for child in children] == [(b"", 0)] * 4


def test_an_end_in_the_middle_of_a_frame_leaves_nothing_open(block_model: Path, start: Start) -> None:
    process = psutil.Process()
    open_files = process.num_fds()
    worker = start(block_model)
    psutil.Process(worker.pid).suspend()
    asking = threading.Thread(target=answers, args=(worker,))
    asking.start()
    until(worker._lock.locked)
    worker.close()
    asking.join(20)
    assert process.num_fds() == open_files
    assert model_processes() == []


def test_a_swap_loses_no_frame(block_model: Path, tmp_path: Path, start: Start) -> None:
    worker = start(block_model)
    names = worker.names
    other = write_faulty_model(tmp_path / "other.onnx", "nan", "{0: 'box', 1: 'block'}")
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def detect() -> None:
        index = 0
        while not done.is_set() or index < 2:
            found, _ = worker.detect_timed(draw_block(index % 40))
            assert found.xyxy[0, 0] == pytest.approx(block_box(index % 40)[0], abs=2)
            seen.append((index, int(found.class_id[0])))
            index += 1

    looking = threading.Thread(target=detect)
    looking.start()
    old = psutil.Process(worker.pid)
    worker.swap(other, frozenset({"block"}))
    after = len(seen)
    until(lambda: len(seen) > after + 3)
    done.set()
    looking.join()
    assert [index for index, _ in seen] == list(range(len(seen)))
    # Its class 0 is new, and was appended to the list that others hold.
    assert [worker.names[number] for _, number in seen] == sorted(worker.names[number] for _, number in seen)
    assert worker.names is names
    assert names == ["block", "box"]
    assert worker.path == other
    assert state_of(worker).file == other.name
    assert not old.is_running()
    assert state_of(worker).errors == {}


@pytest.mark.slow
def test_masks_come_out_of_the_child_also_with_other_class_numbers(
    block_model: Path, tmp_path: Path, start: Start
) -> None:
    discs = write_disc_finder(tmp_path / "discs.onnx")
    image, _ = draw_discs((64, 64), (28, 28))
    expected = Detector(discs).detect(image)
    worker = start(block_model)
    worker.swap(discs)
    found, _ = worker.detect_timed(image)
    assert (worker.names[found.class_id[0]], expected.class_id.tolist()) == ("disc", [1])
    assert found.class_id.tolist() == [2]
    assert found.masks is not None
    assert expected.masks is not None
    assert np.array_equal(found.masks.to_array(), expected.masks.to_array())


def test_a_swap_takes_over_from_a_model_that_cannot_be_started(
    block_model: Path, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "model.onnx"
    shutil.copy(block_model, file)
    worker = start(file, pacer=RestartPacer(1, 60.0))
    file.unlink()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: state_of(worker).status == "degraded")
    assert "there is no such model file" in state_of(worker).reason
    began_at = time.monotonic()
    for _ in range(100):
        with pytest.raises(UnavailableError, match="there is no such model file"):
            worker.detect_timed(draw_block(3))
    assert time.monotonic() - began_at < 20  # of the 60 s to the next start
    assert state_of(worker).errors == {"away": 100}
    worker.swap(block_model)
    assert answers(worker)
    assert (state_of(worker).status, state_of(worker).reason) == ("ok", "")


def test_another_provider_than_at_first_is_said_once(
    block_model: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start(block_model)
    worker._placement_wanted = Placement("cuda", 1.0)
    for _ in range(2):
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert not answers(worker)
        until(lambda: answers(worker))
        assert state_of(worker).reason == "ran on cuda, 100 % of nodes, now on cpu"
        assert (state_of(worker).status, state_of(worker).provider) == ("ok", "cpu")
    assert sum("ran on cuda" in text for text in caplog.messages) == 1


def test_a_swap_that_fails_changes_nothing(block_model: Path, tmp_path: Path, start: Start) -> None:
    worker = start(block_model)
    pid, digest = worker.pid, state_of(worker).digest
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match="expected an ONNX model"):
        worker.swap(tmp_path / "broken.onnx")
    with pytest.raises(NoInputError):
        worker.swap(tmp_path / "missing.onnx")
    senseless = write_faulty_model(tmp_path / "senseless.onnx", "nan", always=True)
    with pytest.raises(UnavailableError, match=r"senseless\.onnx: no answer to a blank frame: .* no finite"):
        worker.swap(senseless)
    other = write_faulty_model(tmp_path / "other.onnx", "nan", "{0: 'box'}")
    with pytest.raises(DataError, match=r"has no class block, which zones or cameras use; it has box"):
        worker.swap(other, frozenset({"block"}))
    assert (worker.pid, state_of(worker).digest, worker.names) == (pid, digest, ["block"])
    assert answers(worker)
    assert len(model_processes()) == 1


def test_a_machine_without_room_for_a_process_is_tried_again(block_model: Path, start: Start) -> None:
    worker = start(block_model, pacer=RestartPacer(most=100))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert worker.pid is not None
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: "no process can be started" in state_of(worker).reason)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    until(lambda: answers(worker))


def test_a_file_that_is_no_model_is_refused_at_the_start(tmp_path: Path, start: Start) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match="expected an ONNX model"):
        start(tmp_path / "broken.onnx")
    assert model_processes() == []


def test_a_file_that_cannot_be_read_may_be_readable_later(tmp_path: Path, start: Start) -> None:
    (tmp_path / "failing.onnx").symlink_to("/proc/self/mem")  # as a disk that fails
    with pytest.raises(NoInputError, match="cannot read the model file"):
        start(tmp_path / "failing.onnx")
