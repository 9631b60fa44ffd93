"""Memory that a container's limit leaves."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edgeloop.edge.host import memory

MB = 1 << 20


@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize(
    ("limit", "use", "stat", "left"),
    [
        pytest.param(9 * MB, 8 * MB, f"{{}} {5 * MB}\n", 6 * MB, id="file cache can be taken"),
        pytest.param(9 * MB, 8 * MB, f"active_file 1\nx_{{}} {MB}\n", MB, id="no file cache"),
        pytest.param(9 * MB, 8 * MB, None, MB, id="no memory.stat"),
        pytest.param("max", 8 * MB, f"{{}} {5 * MB}\n", None, id="no limit"),
    ],
)
def test_memory_in_a_container(
    version: int,
    limit: object,
    use: int,
    stat: str | None,
    left: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, limit_name, use_name, cache = memory._GROUPS[2 - version]
    (tmp_path / limit_name).write_text(f"{limit}\n")
    (tmp_path / use_name).write_text(f"{use}\n")
    if stat is not None:
        (tmp_path / "memory.stat").write_text(stat.format(cache))
    monkeypatch.setattr(memory, "_GROUPS", ((tmp_path, limit_name, use_name, cache),))
    if left is None:
        assert memory.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.3)
    else:
        assert memory.available_memory() == left
