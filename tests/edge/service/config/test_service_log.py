"""Log of the service: one line for each message, whoever logs it, and no secret in any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.service.secret_filter import secret_filter
from edgeloop.edge.service.service_config import ServiceConfig

PASSWORD = 'pa"ss w\\örd/1'
TOKEN = "0123456789abcdef-token"
BEARER = "Bearer abcdefgh12345678"
ADDRESS = "rtsp://admin:hunter22@10.0.0.5:554/kx83f?auth=zzz999"
HOOK = "https://hooks.example.com/T0K3NPART/B999"
SECRETS = ("hunter22", "kx83f", "zzz999", TOKEN, PASSWORD, "abcdefgh12345678", "T0K3NPART")


def config_values(log_format: str = "json") -> dict[str, Any]:
    return {
        "state": "/tmp/none",
        "log": {"format": log_format},
        "cameras": {"door": {"source": ADDRESS}},
        "models": {"parts": {"file": "parts.onnx"}},
        "web": {"host": "0.0.0.0", "token": TOKEN},
        "mqtt": {"host": "broker", "username": "ha", "password": PASSWORD},
        "webhooks": [{"url": HOOK, "headers": {"Authorization": BEARER}}],
    }


def logged(code: str, log_format: str = "json", **environment: str) -> list[str]:
    """Lines on stderr of a process that logs."""
    program = (
        "import logging, threading, warnings, sys\n"
        "from edgeloop.edge.service.logs import start_log\n"
        "from edgeloop.edge.service.service_config import ServiceConfig\n"
        f"start_log(ServiceConfig.model_validate({config_values(log_format)!r}))\n"
        f"log = logging.getLogger('edgeloop.edge.sources')\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "EDGELOOP_DEBUG": "", **environment},
    )
    return done.stderr.splitlines()


def test_a_line_is_one_json_object_with_time_level_and_names_for_machines() -> None:
    extra = {"event": "camera-lost", "camera": "door", "other": 1}
    (line,) = logged(f"log.warning('camera %s: lost\\nsecond line', 'door', extra={extra!r})")
    found = json.loads(line)
    time = found.pop("time")
    assert len(time) == len("2026-11-29T14:00:00.000Z")
    assert time.endswith("Z")
    assert found == {
        "level": "warning",
        "event": "camera-lost",
        "camera": "door",
        "logger": "edgeloop.edge.sources",
        "message": "camera door: lost\nsecond line",
    }


def test_a_message_names_its_camera_or_model_by_its_first_words() -> None:
    code = "log.warning('camera %s: %s', 'door', 'lost')\nlog.warning('model %s hangs', 'parts')\n"
    code += "log.warning('camera %s')\nlog.warning('%s: lost', 'x', extra={'camera': 'gate'})"
    found = [json.loads(line) for line in logged(code)]
    assert [(each.get("camera"), each.get("model")) for each in found] == [
        ("door", None),
        (None, "parts"),
        (None, None),
        ("gate", None),
    ]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_in_a_line(log_format: str) -> None:
    said = [ADDRESS, HOOK, BEARER, TOKEN, PASSWORD, f"got {PASSWORD!r}", json.dumps(PASSWORD), "hunter22"]
    code = f"for each in {said!r}:\n    log.error('failed: %s', each)\nraised = ValueError({ADDRESS!r})\n"
    code += "try:\n    raise raised\nexcept ValueError:\n    log.exception('reading failed')\n"
    lines = logged(code, log_format, EDGELOOP_DEBUG="1")
    text = "\n".join(lines)
    assert "rtsp://***@10.0.0.5:554/***" in text
    assert [secret for secret in SECRETS if secret in text] == []
    if log_format == "json":
        values = "".join(value for line in lines for value in json.loads(line).values())
        assert [secret for secret in SECRETS if secret in values] == []


def test_an_exception_is_one_line_with_its_class_and_place() -> None:
    code = "def fail():\n    raise OSError('disk\\nfull')\n"
    code += "try:\n    fail()\nexcept OSError:\n    log.exception('no clip')\n"
    (line,) = logged(code)
    assert json.loads(line)["error"] == "OSError: disk full (<string>:7)"
    assert "traceback" not in json.loads(line)
    (line,) = logged(code, "text")
    assert line.endswith("ERROR   no clip: OSError: disk full (<string>:7)")


def test_libraries_log_their_warnings_alone_and_a_thread_that_ends_is_said() -> None:
    code = """
logging.getLogger('uvicorn.access').info('GET /healthz')
logging.getLogger('uvicorn.error').warning('invalid request')
log.debug('detail')
warnings.warn('old')
thread = threading.Thread(target=lambda: 1 / 0, name='capture door')
thread.start(); thread.join()
"""
    found = [json.loads(line) for line in logged(code)]
    assert [(each["level"], each["logger"]) for each in found] == [
        ("warning", "uvicorn.error"),
        ("warning", "py.warnings"),
        ("error", "edgeloop.edge.service.logs"),
    ]
    assert found[-1]["message"] == "thread capture door ended"
    assert found[-1]["error"].startswith("ZeroDivisionError: division by zero")


def test_the_journal_gets_the_level_of_each_line(tmp_path: Path) -> None:
    code = "log.warning('lost')\nlog.info('back')"
    program = (
        "import os\ns = os.fstat(2)\nos.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
        "import logging\nfrom edgeloop.edge.service.logs import start_log\n"
        "from edgeloop.edge.service.service_config import ServiceConfig\n"
        f"start_log(ServiceConfig.model_validate({config_values()!r}))\n"
        f"log = logging.getLogger('edgeloop')\n{code}"
    )
    with (tmp_path / "stderr").open("wb") as stderr:
        subprocess.run([sys.executable, "-c", program], stderr=stderr, check=True)
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert [line[:4] for line in lines] == ["<4>{", "<6>{"]


@settings(max_examples=50, deadline=None)
@given(secret=st.text(min_size=3, max_size=20), around=st.text(max_size=10))
def test_any_secret_is_hidden_in_any_text(secret: str, around: str) -> None:
    values = {**config_values(), "mqtt": {"host": "broker", "username": "ha", "password": secret}}
    hide = secret_filter(ServiceConfig.model_validate(values))
    shown = hide(f"{around}{secret}{around}")
    assert secret not in shown.replace("***", "\0")
