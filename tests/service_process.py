"""`edgeloop serve` in a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import psutil

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = frozenset[tuple[str, str]]


class Metrics(dict[str, dict[Labels, float]]):
    """Values by name, then by labels."""

    def of(self, name: str, **labels: str) -> dict[Labels, float]:
        """Values of a name that have these labels among theirs."""
        wanted = set(labels.items())
        return {key: value for key, value in self.get(name, {}).items() if wanted <= key}

    def total(self, name: str, **labels: str) -> float:
        """Sum of the values of a name that have these labels among theirs; 0 if there is none."""
        return sum(self.of(name, **labels).values())

    def one(self, name: str) -> float:
        """Value of a name that has a single one."""
        (value,) = self[name].values()
        return value

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Values of a name by one of its labels, of those that have these labels among theirs."""
        return {dict(key)[label]: value for key, value in self.of(name, **labels).items()}


class LogLine(NamedTuple):
    """Line of the log: monotonic time in seconds at which it was read, level and message."""

    at: float
    level: str
    message: str


class ServiceProcess:
    """`edgeloop serve` with a configuration.

    Attributes:
        process: The process.
        log: Lines that it wrote so far.
        wall_offset: File with the seconds by which its wall clock is ahead.
    """

    def __init__(self, config: Path, *, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.wall_offset = config.with_suffix(".wall_offset")
        self.wall_offset.write_text("0")
        hook = config.parent / "hook"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(_CLOCK)
        path = [str(hook), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeloop", "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(path), "WALL_OFFSET_FILE": str(self.wall_offset)},
        )
        self.log: list[LogLine] = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> ServiceProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End it by a signal, and its children by force if they stay. Returns the exit code."""
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            for child in psutil.wait_procs(children, timeout=2)[1]:
                child.kill()
            self._reader.join(2)

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Status and body of a request; status 0 if nobody answers."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=timeout_s) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self) -> tuple[int, str]:
        """Status of /readyz, 0 if nobody answers, and what it says is not ready: kind, name and reason."""
        status, body = self.get("/readyz")
        failing = json.loads(body)["failing"] if status in (200, 503) else []
        return status, "; ".join(f"{each['kind']} {each['name']}: {each['reason']}" for each in failing)

    def metrics(self) -> Metrics:
        """Read /metrics; empty if nobody answers."""
        status, body = self.get("/metrics")
        return read_metrics(body) if status == 200 else Metrics()

    def children(self) -> list[psutil.Process]:
        """Processes that it started, and those that they started."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """Processes of its models."""
        return model_processes(self.process.pid)

    def wait(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: It does not in time, with the end of the log.
        """
        ends_at = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > ends_at or self.process.poll() is not None:
                lines = "\n".join(line.message for line in self.log[-20:])
                raise TimeoutError(f"not within {timeout_s:g} s; exit {self.process.poll()}; log:\n{lines}")
            time.sleep(0.05)

    def messages(self, since: float = 0.0) -> list[str]:
        """Messages of the log since a monotonic time in seconds."""
        return [line.message for line in self.log if line.at >= since]

    def _read_log(self) -> None:
        with self.process.stderr or StringIO() as stderr:
            for text in stderr:
                try:
                    line: Mapping[str, str] = json.loads(text)
                except ValueError:
                    line = {"level": "raw", "message": text.rstrip()}
                self.log.append(LogLine(time.monotonic(), line["level"], line["message"]))


def model_processes(parent: int | None = None) -> list[psutil.Process]:
    """List the processes of models that a process has started; None for this one, which may have others."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found += [child] if any("worker_main" in word for word in child.cmdline()) else []
    return found


def read_metrics(text: str) -> Metrics:
    """Read metrics in the text format of Prometheus."""
    metrics = Metrics()
    for line in text.splitlines():
        if found := _SAMPLE.match(line):
            labels = frozenset(_LABEL.findall(found[2] or ""))
            metrics.setdefault(found[1], {})[labels] = float(found[3])
    return metrics


_CLOCK = '''
"""Moves the wall clock of this process by the seconds in a file, as if somebody had set it."""

import os
import time

_path, _time, _time_ns = os.environ.get("WALL_OFFSET_FILE"), time.time, time.time_ns


def _offset():
    try:
        with open(_path) as file:
            return float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0


if _path:
    time.time = lambda: _time() + _offset()
    time.time_ns = lambda: _time_ns() + int(_offset() * 1e9)
'''
