"""Free space of a disk, and the folder that keeps to a budget."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edgeloop.edge.host.disk_space import BudgetedFolder, free_mb

ANY_DISK_MB = 0.0
ANY_NAME = re.compile(r".*")


def fill(folder: Path, **sizes: int) -> None:
    folder.mkdir(exist_ok=True)
    for name, size in sizes.items():
        (folder / name).write_bytes(bytes(size))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_free_space_is_that_of_the_disk_also_of_a_path_to_come(tmp_path: Path) -> None:
    expected = shutil.disk_usage(tmp_path).free / 1e6
    assert free_mb(tmp_path / "not" / "yet") == pytest.approx(expected, abs=200)


def test_the_oldest_files_make_room(tmp_path: Path) -> None:
    fill(tmp_path / "clips", c=30, a=30, b=30)
    kept = BudgetedFolder(tmp_path / "clips", ANY_NAME, budget=100, keep_free_mb=ANY_DISK_MB)
    assert (kept.used, kept.free) == (90, 10)
    assert kept.claim(50)
    assert names(tmp_path / "clips") == ["c"]
    assert (kept.used, kept.deleted) == (80, 2)


def test_a_claim_becomes_the_size_of_its_file(tmp_path: Path) -> None:
    kept = BudgetedFolder(tmp_path / "new", ANY_NAME, budget=100, keep_free_mb=ANY_DISK_MB)
    assert kept.claim(60)
    fill(tmp_path / "new", a=40)
    kept.release(60)
    kept.add(tmp_path / "new" / "a")
    assert kept.used == 40


def test_new_files_are_the_newest_also_if_the_clock_jumped_back(tmp_path: Path) -> None:
    fill(tmp_path, y2026=40)
    kept = BudgetedFolder(tmp_path, ANY_NAME, budget=100, keep_free_mb=ANY_DISK_MB)
    fill(tmp_path, y1970=40)
    kept.add(tmp_path / "y1970")
    assert kept.claim(40)
    assert names(tmp_path) == ["y1970"]


def test_what_does_not_fit_deletes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, a=40)
    kept = BudgetedFolder(tmp_path, ANY_NAME, budget=100, keep_free_mb=ANY_DISK_MB)
    assert not kept.claim(101)
    assert (names(tmp_path), kept.used, kept.deleted) == (["a"], 40, 0)


def test_a_disk_below_its_floor_takes_nothing_and_no_file_dies_for_it(tmp_path: Path) -> None:
    fill(tmp_path, a=40)
    kept = BudgetedFolder(tmp_path, ANY_NAME, budget=100, keep_free_mb=free_mb(tmp_path) + 1000)
    assert not kept.claim(1)
    assert names(tmp_path) == ["a"]


def test_a_file_that_somebody_deleted_counts_no_more_once_it_is_its_turn(tmp_path: Path) -> None:
    fill(tmp_path, a=60, b=30)
    kept = BudgetedFolder(tmp_path, ANY_NAME, budget=100, keep_free_mb=ANY_DISK_MB)
    (tmp_path / "a").unlink()
    assert kept.claim(50)
    assert (names(tmp_path), kept.used) == (["b"], 80)


def test_a_file_of_another_name_neither_counts_nor_dies(tmp_path: Path) -> None:
    fill(tmp_path, a_holiday=60, clip_1=30)
    kept = BudgetedFolder(tmp_path, re.compile("clip_.*"), budget=100, keep_free_mb=ANY_DISK_MB)
    assert kept.used == 30
    assert kept.claim(100)
    assert names(tmp_path) == ["a_holiday"]
