"""Official checkpoints: fetched from a server that truncates, stalls and lies, and never unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from edgeloop.labeling.sam import checkpoints
from edgeloop.labeling.sam.checkpoints import OFFICIAL, Checkpoint, fetch
from edgeloop.labeling.sam.weights import load_checkpoint
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from tests.calls import Outcome

CONTENT = bytes(range(256)) * 5000
CHECKPOINT = Checkpoint("sam_test.pth", hashlib.md5(CONTENT).hexdigest(), len(CONTENT))


class Server(ThreadingHTTPServer):
    """Serves CONTENT, in the way that `mood` says."""

    mood = "good"
    requests = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        mood = self.server.mood
        if mood == "absent":
            self.send_error(404)
            return
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if mood == "no ranges":
            start = 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:] if mood != "lies" else b"\xff" * (len(CONTENT) - start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mood in ("truncates", "stalls") else body)
        if mood == "stalls":
            self.wfile.flush()
            time.sleep(1.5)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(checkpoints, "_TIMEOUT_S", 0.5)
    with Server(("127.0.0.1", 0), Handler) as running:
        monkeypatch.setenv("EDGELOOP_SAM_URL", f"http://127.0.0.1:{running.server_port}/")
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


class Bar:
    """A progress bar that remembers what it showed."""

    def __init__(self) -> None:
        self.opened: list[tuple[int | None, str, bool]] = []
        self.seen: list[int] = []

    def __call__(
        self, total: int | None, description: str, *, in_bytes: bool = False
    ) -> AbstractContextManager[Callable[[int], None]]:
        self.opened.append((total, description, in_bytes))
        return nullcontext(self.seen.append)


def test_fetched_once_and_counted(server: Server) -> None:
    bar = Bar()
    path = fetch(CHECKPOINT, progress=bar)
    assert path.read_bytes() == CONTENT
    assert sum(bar.seen) == len(CONTENT)
    assert fetch(CHECKPOINT, offline=True, progress=bar) == path
    assert server.requests == 1
    assert bar.opened == [(len(CONTENT), "Fetching sam_test.pth", True)]


@pytest.mark.slow
@pytest.mark.parametrize("mood", ["truncates", "stalls"])
def test_a_broken_download_goes_on(server: Server, tmp_path: Path, mood: str) -> None:
    server.mood = mood
    with pytest.raises(UnavailableError, match="the same command goes on"):
        fetch(CHECKPOINT)
    kept = (tmp_path / "edgeloop" / "sam_test.pth.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    server.mood = "good"
    bar = Bar()
    assert fetch(CHECKPOINT, progress=bar).read_bytes() == CONTENT
    assert bar.seen[0] == kept
    assert sum(bar.seen) == len(CONTENT)


def test_a_server_without_ranges_starts_anew(server: Server) -> None:
    server.mood = "truncates"
    with pytest.raises(UnavailableError):
        fetch(CHECKPOINT)
    server.mood = "no ranges"
    assert fetch(CHECKPOINT).read_bytes() == CONTENT


@pytest.mark.usefixtures("server")
def test_a_whole_part_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "edgeloop").mkdir()
    (tmp_path / "edgeloop" / "sam_test.pth.part").write_bytes(CONTENT)
    assert fetch(CHECKPOINT).read_bytes() == CONTENT


def test_lies_are_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.mood = "lies"
    with pytest.raises(ModelError, match="expected MD5"):
        fetch(CHECKPOINT)
    assert not list((tmp_path / "edgeloop").iterdir())


def test_an_absent_file_says_so(server: Server) -> None:
    server.mood = "absent"
    with pytest.raises(UnavailableError, match="404"):
        fetch(CHECKPOINT)


def test_offline_never_reaches_out(server: Server) -> None:
    with pytest.raises(UnavailableError, match="--offline"):
        fetch(CHECKPOINT, offline=True)
    assert server.requests == 0


@pytest.mark.slow
def test_label_keeps_offline(server: Server, tmp_path: Path, edgeloop: Callable[..., Outcome]) -> None:
    frames, boxes = tmp_path / "frames", tmp_path / "boxes.json"
    frames.mkdir()
    cv2.imwrite(str(frames / "0.png"), np.zeros((40, 60, 3), np.uint8))
    annotation = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20]}
    image = {"id": 1, "file_name": "0.png", "width": 60, "height": 40}
    category = {"id": 1, "name": "part"}
    boxes.write_text(json.dumps({"images": [image], "annotations": [annotation], "categories": [category]}))
    done = edgeloop("label", frames, "-e", boxes, "-o", tmp_path / "out", "--sam", "vit_b", "--offline")
    assert done.code == UnavailableError.exit_code
    assert "--offline" in done.err
    assert server.requests == 0


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_the_name_of_a_file_holds_the_start_of_its_digest(name: str) -> None:
    checkpoint = OFFICIAL[name]
    assert checkpoint.file == f"sam_{name}_{checkpoint.md5[:6]}.pth"


@pytest.mark.slow
def test_a_checkpoint_is_known_by_its_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "mine.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    assert load_checkpoint(path).model.image_encoder.img_size == 1024


class Trap:
    """Pickled code that must not run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a checkpoint was unpickled",))


def test_bad_checkpoints_are_refused(tmp_path: Path) -> None:
    trap, other, noise = (tmp_path / name for name in ("trap.pth", "other.pth", "noise.pth"))
    trap.write_bytes(pickle.dumps({"image_encoder.pos_embed": Trap()}, protocol=2))
    torch.save({"weight": torch.zeros(3)}, other)
    noise.write_bytes(b"noise" * 100)
    with pytest.raises(ModelError, match="not a file of tensors"):
        load_checkpoint(trap)
    with pytest.raises(ModelError, match="not a checkpoint of segment-anything"):
        load_checkpoint(other)
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(noise)
    with pytest.raises(NoInputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pth")
