"""`edgeloop check`: everything is tried, and every failure is listed, without secrets."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from edgeloop.edge.service.check.attempt import Attempt, try_all
from edgeloop.edge.service.check.check_machine import check_webhook
from edgeloop.edge.service.check.check_model import check_model
from edgeloop.edge.service.service_config import ModelConfig, WebhookConfig
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.edge.service.store.store_state import InstalledModel
from edgeloop.models.errors import DataError, UnavailableError
from tests.calls import Outcome
from tests.receivers import free_port

Call = Callable[..., Outcome]


def write(folder: Path, model: Path, added: str = "", camera: str = "", scene: str = "seed=1") -> Path:
    path = folder / "edgeloop.toml"
    path.write_text(
        f'state = "state"\nhealth.free_mb = 1\n{added}\n[models.parts]\nfile = "{model}"\n'
        f'[cameras.belt]\nsource = "synth:conveyor?{scene}&size=160x120"\n{camera}'
    )
    path.chmod(0o600)
    return path


def test_all_is_well(tmp_path: Path, block_model: Path, edgeloop: Call) -> None:
    (tmp_path / "zones.json").write_text('{"zones": [{"name": "a", "polygon": [[0, 0], [1, 0], [1, 1]]}]}')
    path = write(
        tmp_path, block_model, "web.port = 0", 'zones = "zones.json"\nclasses = ["block"]\n', "fps=30"
    )
    done = edgeloop("check", path)
    assert done.code == 0, done
    lines = [line.split()[:2] for line in done.out.splitlines()]
    parts = ("config", "state", "port", "clock", "model", "camera", "zones")
    assert lines == [["ok", part] for part in parts]
    assert "160x120" in done.out
    assert "classes, zones fit" in done.out
    assert not (tmp_path / "state").exists()


def test_every_failure_is_listed_and_the_model_decides_about_the_exit_code(
    tmp_path: Path, block_model: Path, edgeloop: Call
) -> None:
    (tmp_path / "zones.json").write_text(
        '{"zones": [{"name": "a", "polygon": [[0, 0], [900, 0], [1, 900]]}]}'
    )
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(block_model.read_bytes()[:-500])
    unused = free_port()
    added = (
        f'mqtt = {{ host = "127.0.0.1", port = {unused}, username = "u", password = "hunter22" }}\n'
        f'webhooks = [{{ url = "http://127.0.0.1:{unused}/hook/s3cr3t-word" }}]\n'
    )
    camera = (
        'zones = "zones.json"\nmodel = "parts"\n'
        f'[cameras.gone]\nsource = "rtsp://admin:hunter33@127.0.0.1:{unused}/cam"\nmodel = "parts"\n'
        f'[cameras.other]\nsource = "synth:conveyor?size=160x120"\nmodel = "damaged"\n'
        f'[models.damaged]\nfile = "{damaged}"\n'
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        path = write(tmp_path, block_model, f"{added}web.port = {port}\n", camera)
        done = edgeloop("check", path, "--json")
    assert done.code == 65, done
    assert done.err == f"edgeloop: error: {path}: 6 of 12 checks failed\n"
    found = json.loads(done.out)
    failed = {f"{each['part']} {each['name']}".strip(): each["text"] for each in found["checks"]}
    assert not found["ok"]
    assert [each["part"] for each in found["checks"] if each["status"] == "failed"] == [
        *("port", "model", "camera", "mqtt", "webhook", "zones")
    ]
    assert "cannot be listened on (Address already in use)" in failed["port"]
    assert "damaged.onnx" in failed["model damaged"]
    assert f"nobody answers at 127.0.0.1:{unused}" in failed["camera gone"]
    assert "nobody listens there" in failed["mqtt"]
    assert "Connection refused" in failed["webhook 1"]
    assert "'a' reaches (900, 0), but the frames are 160x120" in failed["zones belt"]
    assert [secret for secret in ("hunter22", "hunter33", "s3cr3t") if secret in done.out + done.err] == []


@pytest.mark.parametrize(
    ("added", "camera", "code", "says"),
    [
        ("health.free_mb = 1e8", "", 69, "health.free_mb asks for 1e+08"),
        (f'clips.folder = "{"x" * 300}"', "", 69, "cannot be written (File name too long)"),
        ('clips.folder = "edgeloop.toml"', "", 69, "edgeloop.toml: cannot be written (Not a directory)"),
        ("", '[cameras.b]\nsource = "none.mp4"', 69, "no such file"),
        ("", 'classes = ["tree"]', 65, "the model has no class 'tree'; it has block"),
        ("", '[models.stored]\n[cameras.b]\nsource = 9\nmodel = "stored"', 69, "no model is installed"),
        ('web = { host = "192.0.2.7", token = "0123456789abcdef" }', "", 69, "cannot be listened on"),
        ("web.prot = 1", "", 65, "web.prot: unknown key; did you mean port?"),
    ],
)
def test_exit_code(
    tmp_path: Path, block_model: Path, edgeloop: Call, added: str, camera: str, code: int, says: str
) -> None:
    text = write(tmp_path, block_model, added, camera).read_text()
    text = text.replace("health.free_mb = 1\n", "" if "free_mb" in added else "health.free_mb = 1\n")
    if "[models.stored]" in text:
        text = text.replace("[cameras.belt]\n", '[cameras.belt]\nmodel = "parts"\n')
    (tmp_path / "edgeloop.toml").write_text(text)
    done = edgeloop("check", tmp_path / "edgeloop.toml")
    assert done.code == code, done
    assert says in done.out + done.err


def test_what_hangs_fails_within_its_time_and_an_error_of_any_kind_is_a_line() -> None:
    never = threading.Event()

    def fail() -> tuple[str, Any]:
        raise KeyError("first\nsecond")

    attempts = [
        Attempt("camera", "hangs", lambda: (str(never.wait(20)), None), 0.1),
        Attempt("camera", "fails", fail, 5),
        Attempt("camera", "works", lambda: ("fine", 7), 5),
    ]
    found = list(try_all(attempts))
    never.set()
    assert [(each.status, each.code, each.value) for each in found] == [
        ("failed", 69, None),
        ("failed", 69, None),
        ("ok", 0, 7),
    ]
    assert [each.text for each in found] == [
        "no answer within 0.1 s",
        "KeyError: 'first\\nsecond'",
        "fine",
    ]


def test_the_host_of_a_webhook_is_reached_and_nothing_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        assert (
            check_webhook(_hook(f"http://127.0.0.1:{port}/hook")) == f"http://127.0.0.1:{port}/hook answers"
        )
        link, _ = server.accept()
        with link:
            assert link.recv(1) == b""
        closing = threading.Thread(target=lambda: server.accept()[0].close())
        closing.start()
        with pytest.raises(UnavailableError, match="nobody answers"):  # speaks no TLS
            check_webhook(_hook(f"https://127.0.0.1:{port}/hook"))
        closing.join()


def _hook(url: str) -> WebhookConfig:
    return WebhookConfig(url=SecretStr(url))


def test_a_model_of_the_store_is_checked_and_left_as_it_is(tmp_path: Path, block_model: Path) -> None:
    content = block_model.read_bytes()
    store = ModelStore(tmp_path, "parts")
    state = store.install(InstalledModel(digest=hashlib.sha256(content).hexdigest()), content)
    assert state.current is not None
    path = store.path(state.current)
    text, names = check_model("parts", ModelConfig(), tmp_path)
    assert text.startswith(f"{path}: not verified: the file carries no golden sample")
    assert names == ("block",)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="is damaged or missing; install it again"):
        check_model("parts", ModelConfig(), tmp_path)
    assert store.read() == state


def test_a_missing_configuration_is_no_input(tmp_path: Path, edgeloop: Call) -> None:
    assert edgeloop("check", tmp_path / "none.toml").code == 66
    assert edgeloop("check").code == 2
