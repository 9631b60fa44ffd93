"""The service as a whole when its model or its loop fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeloop.edge.result import Result, Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service import run_service
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.models.errors import EdgeloopError
from tests.service_process import model_processes


class Part(ServicePart, Sink):
    """Part that calls a function with each result, and stops the service after so many."""

    def __init__(self, board: Board, act: Callable[[Result], None], count: int) -> None:
        self.board, self._act, self._left = board, act, count

    def sinks(self, _camera: CameraState) -> Sequence[Sink]:
        return [self]

    def write(self, result: Result) -> None:
        self._act(result)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def close(self) -> None:
        pass


def run(file: Path, folder: Path, act: Callable[[Result], None], count: int = 1 << 30) -> Board:
    """Run a service of two cameras."""
    camera: dict[str, Any] = {"source": "synth:conveyor?seed=1&fps=50&size=160x120", "track": True}
    config = ServiceConfig.model_validate(
        {
            "state": folder / "state",
            "web": {"port": 0},
            "cameras": {"belt": camera, "gate": camera},
            "models": {"parts": {"file": file, "threads": 1}},
        }
    )
    boards: list[Board] = []

    def make(_config: ServiceConfig, board: Board) -> Part:
        boards.append(board)
        return Part(board, act, count)

    run_service(config, [make])
    return boards[0]


def test_a_model_that_is_killed_costs_nothing_but_its_frames(block_model: Path, tmp_path: Path) -> None:
    def kill_once(result: Result) -> None:
        if result.frame.index == 5:
            for child in model_processes():
                child.kill()

    board = run(block_model, tmp_path, kill_once, count=60)
    model, cameras = board.models["parts"], board.cameras.values()
    assert (model.status, model.reason) == ("ok", "")
    assert 1 <= model.restarts <= 2
    assert sum(model.errors.values()) == sum(each.fates["failed"] for each in cameras) > 0
    assert sum(each.fates["processed"] for each in cameras) >= 60
    for each in cameras:
        assert 0 <= each.link.arrived - sum(each.fates.values()) <= 2
        assert each.reason == ""


def test_a_part_that_raises_costs_its_frame(block_model: Path, tmp_path: Path) -> None:
    def fail(result: Result) -> None:
        if result.frame.index == 5:
            raise OSError("disk full")

    board = run(block_model, tmp_path, fail, count=20)
    assert sum(each.fates["failed"] for each in board.cameras.values()) in (1, 2)


def test_a_loop_that_ends_ends_the_service_with_an_error(
    block_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(result: Result) -> None:
        if result.frame.index >= 5:
            raise SystemExit(0)

    with pytest.raises(EdgeloopError, match="the loop of model parts ended: SystemExit: 0"):
        run(block_model, tmp_path, leave)
    assert "the loop of model parts ended: SystemExit: 0" in caplog.messages


def test_the_process_of_the_service_leaves_onnxruntime_to_the_children() -> None:
    code = (
        "import sys\nimport edgeloop.edge.service.service, edgeloop.edge.service.page.page_part\n"
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
