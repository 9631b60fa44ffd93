"""Kill a process at every statement and every step on disk of a full ring, and look at what is left.

Run as a program: it forks, which a process with threads must not.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.frame_choice import Choice
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_database import IMAGES, read_ring
from edgeloop.edge.ring.ring_keeper import RingKeeper
from tests.edge.ring.ring_frames import candidate, folder_bytes, judged, noise

KILLED = 99
BUDGET = RingBudget(1.0, 30, 0.5)


def opened(folder: Path) -> RingKeeper:
    return RingKeeper(folder, BUDGET, keep_free_mb=0)


def fill(keeper: RingKeeper, frames: range) -> None:
    for index in frames:
        frame = judged(index, doubt=index % 10 / 10, image=noise(index))
        keeper.add(Choice(candidate(frame), 0.99 ** (1 + index)) if index % 2 else Choice(candidate(frame)))


class Killer:
    """Kills this process at its n-th step; a write leaves half of its bytes."""

    def __init__(self, last: int, keeper: RingKeeper) -> None:
        self._left = last
        vars(os)["unlink"] = self._counted(os.unlink)
        write = Path.write_bytes

        def write_bytes(path: Path, data: bytes) -> int:
            if self._is_over():
                write(path, data[: len(data) // 2])
                os._exit(KILLED)
            return write(path, data)

        setattr(Path, "write_bytes", write_bytes)  # noqa: B010  mypy takes no assignment to a method
        keeper.table.database.set_trace_callback(lambda _: self._step())

    def _is_over(self) -> bool:
        self._left -= 1
        return self._left < 0

    def _step(self) -> None:
        if self._is_over():
            os._exit(KILLED)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._step()
            return function(*arguments, **named)

        return counted


def main(folder: Path) -> None:
    """Try every step, and print their number."""
    start = folder / "start"
    keeper = opened(start)
    keeper.table.database.execute("PRAGMA synchronous=OFF")
    fill(keeper, range(120))
    keeper.close()
    before, steps = len(read_ring(start).entries), 0
    while True:
        left = folder / f"{steps}"
        shutil.copytree(start, left)
        child = os.fork()
        if not child:
            keeper = opened(left)
            keeper.table.database.execute("PRAGMA synchronous=OFF")
            Killer(steps, keeper)
            fill(keeper, range(120, 124))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        check(left, before, code)
        shutil.rmtree(left)
        if code == 0:
            break
        steps += 1
    sys.stdout.write(f"{steps}\n")


def check(left: Path, before: int, code: int) -> None:
    """Every row has a whole image, and the next start leaves no image without a row."""
    expect(code in (0, KILLED), f"ended with {code}")
    ring = read_ring(left)
    expect(len(ring.entries) > before / 2, f"{len(ring.entries)} of {before} are left")
    for entry in ring.entries:
        path = ring.path(entry)
        expect(path.stat().st_size == entry.bytes and read_image(path) is not None, f"{path} is not whole")
    keeper = opened(left)
    threshold = keeper.random.threshold
    keeper.close()
    ring = read_ring(left)
    names = {entry.frame.file for entry in ring.entries}
    expect({path.name for path in (left / IMAGES).iterdir()} == names, "images without a row")
    drawn = [entry for entry in ring.entries if entry.share == "random"]
    expect({entry.inclusion for entry in drawn} == {threshold}, "probabilities differ from the threshold")
    expect(folder_bytes(left) <= BUDGET.bytes, "beyond the budget")


def expect(holds: bool, message: str) -> None:
    if not holds:
        sys.exit(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
