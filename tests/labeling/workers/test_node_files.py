"""Files of a job that workers of one machine share."""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Barrier, Thread

import pytest

from edgeloop.labeling.workers.cluster.node_files import KeptFiles, files_key, remove_files

DIGESTS = {"graph.onnx": "1", "sam/weights.pt": "2"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


class Source:
    """Content of files, which counts how often it is asked for."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def __call__(self, name: str) -> memoryview:
        self.fetched.append(name)
        return memoryview(name.encode())


def left_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_files_are_written_once_and_stay_until_the_last_lets_go(root: Path) -> None:
    source = Source()
    first, second = KeptFiles(DIGESTS, source), KeptFiles(DIGESTS, source)
    assert sorted(source.fetched) == sorted(DIGESTS)
    assert first.paths == second.paths
    first.close()
    remove_files()
    assert {name: path.read_text() for name, path in second.paths.items()} == {name: name for name in DIGESTS}
    second.close()
    remove_files(files_key(DIGESTS), wait_s=60)
    assert left_in(root) == []


def test_files_of_another_job_are_others(root: Path) -> None:
    one, other = KeptFiles(DIGESTS, Source()), KeptFiles({**DIGESTS, "graph.onnx": "3"}, Source())
    assert not set(one.paths.values()) & set(other.paths.values())
    one.close()
    third = KeptFiles({}, Source())  # removes what nobody keeps, as a killed job leaves it
    assert not any(path.exists() for path in one.paths.values())
    assert all(path.exists() for path in other.paths.values())
    other.close()
    third.close()
    assert left_in(root) != []


@pytest.mark.usefixtures("root")
def test_many_that_start_and_end_at_once_never_miss_a_file() -> None:
    """Each checks its files while others come and go."""
    together = Barrier(4)
    missed: list[str] = []

    def work() -> None:
        together.wait()
        for _ in range(50):
            kept = KeptFiles(DIGESTS, Source())
            missed.extend(name for name, path in kept.paths.items() if path.read_text() != name)
            kept.close()
            remove_files()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missed == []
