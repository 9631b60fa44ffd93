from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeloop.edge.host.durable_file import append_to_file, replace_file
from edgeloop.models.errors import UnavailableError

LIMIT = 16384  # bytes of a file; more than Python buffers


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond LIMIT, as on a disk that is full."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_replace_and_append(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one\n")
    replace_file(path, b"two\n")
    append_to_file(path, b"three\n")
    assert path.read_bytes() == b"two\nthree\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [replace_file, append_to_file])
def test_a_full_disk_keeps_the_content(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "file"
    write(path, b"one\n")
    with full_disk(), pytest.raises(UnavailableError, match=r"file: cannot be written \(File too large\)"):
        write(path, 2 * LIMIT * b"x")
    assert path.read_bytes() == b"one\n"
