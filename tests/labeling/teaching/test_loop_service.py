"""Loop in a service: the model that is to answer, and its exchange between two frames."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.service_config import CameraConfig, ModelConfig, ServiceConfig
from edgeloop.edge.service.taught.taught_model import TaughtModel, first_model
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.edge.sources import open_source
from edgeloop.edge.synth import Scene, open_scene
from edgeloop.labeling.lineage.generation import Generation
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.labeling.studio.jobs.job_files import teach_is_locked
from edgeloop.labeling.teaching.kept_frames import count_kept
from edgeloop.labeling.teaching.learning.learner_messages import FramesWanted
from edgeloop.labeling.teaching.loop_service import LoopService, open_loop_service
from edgeloop.labeling.teaching.teacher_plugin import open_teacher
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError
from tests.blocks import draw_block
from tests.labeling.lineage.generations import add_generation
from tests.waiting import until

IDLE = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def loop(tmp_path: Path) -> LoopFolder:
    return LoopFolder.create(tmp_path / "loop", LoopSettings(created="2026-11-30T00:00:00+00:00"))


@pytest.fixture
def service(loop: LoopFolder) -> Iterator[LoopService]:
    with closing(LoopService(loop, print, IDLE)) as opened:
        yield opened


def open_conveyor(seed: int) -> Scene:
    return open_scene("conveyor", seed=seed)


def add_model(loop: LoopFolder, number: int, model: Path) -> Generation:
    made = add_generation(loop, number, loop.current(), "promoted")
    shutil.copyfile(model, loop.bundle(number))
    loop.promote(number)
    return made


def test_the_teacher_answers_until_a_generation_is_promoted(
    loop: LoopFolder, service: LoopService, block_model: Path
) -> None:
    assert service.model() is None
    loop.teacher.mkdir()
    (loop.teacher / "teacher.json").write_text("{}")
    assert service.model() == loop.teacher / "teacher.json"
    add_model(loop, 1, block_model)
    assert service.model() == loop.bundle(1)


def test_systemd_shows_that_the_first_teacher_learns(
    loop: LoopFolder, service: LoopService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, ThreadPoolExecutor(1) as pool:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5.0)
        waiting = pool.submit(first_model, service, "parts", loop.root, ["The teacher learns"])
        first, again = (systemd.recv(1024).decode() for _ in range(2))
        loop.teacher.mkdir()
        (loop.teacher / "teacher.json").write_text("{}")
        assert waiting.result(30.0) == loop.teacher / "teacher.json"
    assert first == again == "STATUS=model parts: The teacher learns"


def test_a_promoted_generation_takes_over_between_two_frames(
    loop: LoopFolder, service: LoopService, block_model: Path
) -> None:
    add_model(loop, 1, block_model)
    config = ServiceConfig(
        state=loop.root / "state",
        cameras={"belt": CameraConfig(source="synth:conveyor")},
        models={"parts": ModelConfig(loop=loop.root, threads=1)},
    )
    state = ModelState("parts")
    worker = ModelWorker(config.models["parts"], loop.bundle(1), state)
    with closing(worker):
        worker.start()
        taught = TaughtModel(config, state, worker, service)
        taught.start()
        with closing(taught):
            assert len(worker.detect_timed(draw_block(3))[0]) == 1
            add_model(loop, 2, block_model)
            until(lambda: len(worker.detect_timed(draw_block(3))[0]) == 1 and worker.path == loop.bundle(2))
            add_model(loop, 3, block_model)
            loop.bundle(3).write_bytes(b"damaged")
            until(lambda: taught._said != "")
            assert len(worker.detect_timed(draw_block(3))[0]) == 1
            assert worker.path == loop.bundle(2)
            (loop.root / "current.json").write_text("{")
            until(lambda: "current.json" in taught._said, 30)
            assert taught._thread.is_alive()
    assert state.errors == {}


def test_cameras_keep_as_many_frames_as_are_wanted_together(loop: LoopFolder, service: LoopService) -> None:
    sinks = [service.sink(open_source(f"synth:conveyor?seed={seed}")) for seed in (1, 2)]
    service._take(FramesWanted(frames=2))
    images = [scene.render(300 * number) for scene in map(open_conveyor, (1, 2)) for number in range(4)]
    for number, image in enumerate(images):
        sink, source = sinks[number % 2], f"synth:conveyor?seed={number % 2 + 1}"
        sink._due = 0.0  # as if time had gone by
        sink.write(Result(Frame(image, number, 0.0, 0.0, source), Detections.empty(), Timings(1.0, {})))
    assert [sink.count for sink in sinks] == [2, 2]
    service.close()
    assert count_kept(loop.frames) == 2


def test_one_process_at_a_time_teaches_on_a_loop(loop: LoopFolder, service: LoopService) -> None:
    service.start()
    assert teach_is_locked(loop.root)
    with (
        closing(LoopService(loop, print, IDLE)) as other,
        pytest.raises(DataError, match="another process teaches on this loop"),
    ):
        other.start()
    service.close()
    assert not teach_is_locked(loop.root)


def test_what_is_missing_is_named(loop: LoopFolder, tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no loop; expected a folder that `edgeloop teach` made"):
        open_loop_service(tmp_path / "nothing", print)
    with pytest.raises(NoInputError, match=r"teacher\.json: no such file"):
        open_teacher(loop.teacher / "teacher.json", None, None)
