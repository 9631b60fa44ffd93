"""`edgeloop serve` as a process: it starts without what is away, and ends in good order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.calls import Outcome, edgeloop


@pytest.fixture
def config(tmp_path: Path, block_model: Path) -> Path:
    path = tmp_path / "edgeloop.toml"
    path.write_text(
        f'state = "state"\nhealth.free_mb = 1\nweb.port = 0\n[models.parts]\nfile = "{block_model}"\n'
        '[cameras.belt]\nsource = "synth:conveyor?seed=1&fps=10&size=160x120"\n'
        '[cameras.gone]\nsource = "rtsp://admin:hunter22@127.0.0.1:9/cam"\n'
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def service(config: Path) -> Iterator[subprocess.Popen[str]]:
    """A running service, whose first line was read."""
    command = [sys.executable, "-P", "-m", "edgeloop", "serve", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(
    config: Path, service: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert service.stderr is not None
    lines = [_until(service, lambda line: line.get("event") == "started")]
    assert lines[0]["message"].startswith("edgeloop 0.")
    assert f"{config}, cameras belt, gone, models parts" in lines[0]["message"]
    _until(service, lambda line: "http://127.0.0.1:" in line["message"] and line is not lines[0])
    assert (config.parent / "state").stat().st_mode & 0o777 == 0o700
    if number is signal.SIGTERM:
        second = edgeloop("serve", config)
        assert second.returncode == 69
        (refused,) = second.stderr.splitlines()
        assert "another `edgeloop serve` uses it" in json.loads(refused)["message"]
    sent_at = time.monotonic()
    service.send_signal(number)
    rest = service.stderr.read()
    assert service.wait(20) == 0
    assert time.monotonic() - sent_at < 15
    assert json.loads(rest.splitlines()[-1])["event"] == "ended"
    assert "hunter22" not in rest


def test_a_signal_ends_it_also_while_it_starts(service: subprocess.Popen[str]) -> None:
    _until(service, lambda line: line.get("event") == "started")
    service.send_signal(signal.SIGTERM)
    assert service.stderr is not None
    assert json.loads(service.stderr.read().splitlines()[-1])["event"] == "ended"
    assert service.wait(10) == 0


def test_the_end_of_all_footage_is_said(config: Path, clip: Path) -> None:
    text = config.read_text()
    config.write_text(f'{text[: text.index("[cameras.belt]")]}[cameras.film]\nsource = "{clip}"\n')
    done = edgeloop("serve", config)
    assert done.returncode == 0, done
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()][-2:] == ["footage-ended", "ended"]


def test_models_that_hang_keep_it_from_no_end(config: Path, block_model: Path) -> None:
    other = f'[models.other]\nfile = "{block_model}"\n[cameras.door]\nmodel = "other"\n'
    text = config.read_text().replace("[cameras.belt]", '[cameras.belt]\nmodel = "parts"')
    text = text[: text.index("[cameras.gone]")] + other
    config.write_text(f'{text}source = "synth:conveyor?seed=2&fps=10&size=160x120"\n')
    command = [sys.executable, "-P", "-m", "edgeloop", "serve", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        _until(service, lambda line: line.get("event") == "page-open")
        workers = psutil.Process(service.pid).children()
        for worker in workers:
            worker.suspend()
        time.sleep(0.5)  # so that each loop waits for its model
        sent_at = time.monotonic()
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0
    assert time.monotonic() - sent_at < 15  # a model is given 30 s to answer
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (("fps=10", "fps=0"), 65, "fps"),
        (('file = "', 'file = "/none'), 69, "no such model file"),
        (("file = ", "# file = "), 69, "no model is installed"),
        (("[models.parts]", "[models.parts]\nthreds = 1"), 65, "unknown key; did you mean threads?"),
    ],
)
def test_what_is_wrong_ends_it_at_once_in_one_line(
    config: Path, change: tuple[str, str], code: int, says: str
) -> None:
    config.write_text(config.read_text().replace(*change))
    done = _call(config)
    assert done.code == code, done
    (line,) = [line for line in done.err.splitlines() if '"started"' not in line]
    assert says in line


def _call(config: Path) -> Outcome:
    done = edgeloop("serve", config)
    return Outcome(done.returncode, done.stdout, done.stderr)


def _until(service: subprocess.Popen[str], wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """Read the log up to a line; every line is one JSON object."""
    assert service.stderr is not None
    for line in service.stderr:
        found: dict[str, str] = json.loads(line)
        if wanted(found):
            return found
    raise AssertionError(f"ended with {service.wait(5)}")
