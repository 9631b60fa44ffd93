"""Labeling by many workers: `python benchmarks/scaleout.py --out OUT`.

- `kill`: a Ray cluster of two and of three nodes, all on this machine, labels the built-in conveyor, and a
  node is killed half way. The dataset must be that of one process, byte for byte; frames that are labeled
  twice were in work on the node.
- `speed`: frames per second of one worker on one core and on all, of threads, of `--workers` and of `--ray`
  with as many as there are cores, in turns, on the same learned engine; medians.
- `standin`: frames per second of a job that only waits, by number of workers: what the distribution costs.
- `plan`: seconds and memory of planning many frames, and what the process that distributes does for each.

Rates count from when all workers are ready, up to the last frame in the ledger. Results are kept in OUT, and
learned is once: a part is measured again by naming it in `--parts`, and the tables show every part in OUT.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.workers.frame_job import FrameFile
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from report import Table, add_write_option, publish
from scaleout_jobs import SleepJob, WatchedJob, began, handled
from scaleout_plan import fill_ledger, measure_plan, write_frames

T = TypeVar("T")

PARTS = ("kill", "speed", "standin", "plan")
_OBJECT_STORE = 100 << 20
_LOOK_S, _HALF_WAY_S = 0.1, 1800.0
_FRAME_S = 0.2  # of the stand-in
_IN_FLIGHT = 16  # frames that an actor has: two shards of eight
_PLAN_S, _PLAN_MB = 10, 300
_CAMERAS, _FPS, _DAY_S = 100, 30, 86_400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="Parts to measure.")
    parser.add_argument("--frames", type=int, default=240, help="Frames of the conveyor, drawn once.")
    parser.add_argument("--rounds", type=int, default=3, help="Rounds of speed.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="Counts in standin.")
    parser.add_argument("--seconds", type=float, default=10, help="Duration of each row of standin.")
    parser.add_argument("--planned", type=int, default=100_000, help="Frames of plan.")
    add_write_option(parser, "scaleout")
    arguments = parser.parse_args()
    kept = arguments.out / "parts"
    kept.mkdir(parents=True, exist_ok=True)
    measure = {"kill": _kill, "speed": _speed, "standin": _stand_in, "plan": _plan}
    for part in arguments.parts:
        found = measure[part](arguments)
        (kept / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n")
    results = {path.stem: json.loads(path.read_text()) for path in kept.glob("*.json")}
    tell = {"kill": kill_table, "speed": speed_table, "standin": _stand_in_table, "plan": _plan_table}
    tables = [tell[part](results[part]) for part in PARTS if part in results]
    if {"speed", "plan", "kill"} <= results.keys():
        tables.append(day_table(results["speed"], results["plan"], results["kill"]))
    publish(arguments.write, *tables)


def _alone(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process, which has the cores that this one has now."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


@contextmanager
def _on_cores(cores: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _new_log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def _cluster(actors: Sequence[int]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start a Ray cluster, a node for each number of actors; yield its address, and what kills the last."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets are in it, whose names must be short
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder, "PYTHONPATH": _python_path()}
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster()
    try:
        nodes = [
            cluster.add_node(num_cpus=count, object_store_memory=_OBJECT_STORE, include_dashboard=False)
            for count in actors
        ]
        yield cluster.address, lambda: cluster.remove_node(nodes[-1], allow_graceful=False)
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _python_path() -> str:
    """Path by which workers find the modules of this folder."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))


def _kill(arguments: argparse.Namespace) -> dict[str, Any]:
    import scaleout_label  # loads torch, which the other parts do without

    out = arguments.out
    _alone(scaleout_label.prepare, out, arguments.frames)
    with tempfile.TemporaryDirectory() as temporary, _new_log() as log:
        alone = _alone(scaleout_label.label, out, Path(temporary) / "alone", Workers(), log)
        rows = [_killed(out, arguments.frames, nodes, Path(temporary)) for nodes in (2, 3)]
    same = [row | {"same": row["digest"] == alone.digest} for row in rows]
    return {"frames": arguments.frames, "written_per_s": alone.written_per_s, "rows": same}


def _killed(out: Path, frames: int, nodes: int, folder: Path) -> dict[str, Any]:
    import scaleout_label

    with _new_log() as log, _cluster([1] * nodes) as (address, kill):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            running = process.submit(
                scaleout_label.label, out, folder / f"nodes{nodes}", Workers(nodes, address), log
            )
            until = time.monotonic() + _HALF_WAY_S
            while handled(log).total() < frames / 2 and not running.done() and time.monotonic() < until:
                time.sleep(_LOOK_S)
            killed_at = handled(log).total()
            kill()
            done = running.result()
        counts = handled(log)
    return {
        "nodes": nodes,
        "killed_at": killed_at,
        "labeled": len(counts),
        "twice": counts.total() - len(counts),
        "digest": done.digest,
    }


def kill_table(found: dict[str, Any]) -> Table:
    rows = [
        (
            str(row["nodes"]),
            f"{row['killed_at']} of {found['frames']}",
            str(found["frames"] - row["labeled"]),
            f"{row['twice']} (at most {_IN_FLIGHT}: {_met(row['twice'] <= _IN_FLIGHT)})",
            _met(row["same"]),
        )
        for row in found["rows"]
    ]
    header = ("Ray nodes", "one killed after", "never labeled", "labeled twice", "sha256 as one process")
    return Table(">>>><", header, [rows])


def _met(holds: bool) -> str:
    return "met" if holds else "MISSED"


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    import scaleout_label

    out = arguments.out
    _alone(scaleout_label.prepare, out, arguments.frames)
    cores = sorted(os.sched_getaffinity(0))
    ways: dict[str, Callable[[], Any]] = {
        "--workers 1, one core": partial(_rate_on, {cores[0]}, out, arguments.frames, Workers(1)),
        f"--workers 1, {len(cores)} cores": partial(_rate_on, set(cores), out, arguments.frames, Workers(1)),
        f"{len(cores)} threads": partial(_rate_on, set(cores), out, arguments.frames, Workers()),
        f"--workers {len(cores)}": partial(_rate_on, set(cores), out, arguments.frames, Workers(len(cores))),
        f"--ray, {len(cores)} actors": partial(_rate_on_ray, len(cores), out, arguments.frames),
    }
    runs: dict[str, list[Any]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, measure in ways.items():
            runs[name].append(measure())
    first = next(iter(runs.values()))[0]
    return {
        "cores": len(cores),
        "rates": {name: [run.frames_s for run in own] for name, own in runs.items()},
        "same": {name: all(run.digest == first.digest for run in own) for name, own in runs.items()},
        "image_kb": first.image_kb,
        "row_kb": first.row_kb,
    }


def _rate_on(cores: set[int], out: Path, frames: int, workers: Workers) -> Any:
    import scaleout_label

    with _new_log() as log, _on_cores(cores):
        return _alone(scaleout_label.rate, out, frames, workers, log)


def _rate_on_ray(actors: int, out: Path, frames: int) -> Any:
    import scaleout_label

    with _new_log() as log, _cluster([actors]) as (address, _):
        return _alone(scaleout_label.rate, out, frames, Workers(actors, address), log)


def speed_table(found: dict[str, Any]) -> Table:
    rates = {name: statistics.median(own) for name, own in found["rates"].items()}
    one, alone = list(rates.values())[:2]
    rows = [
        (
            name,
            f"{rate:.2f}",
            f"{rate / (found['cores'] * one):.0%}",
            f"{rate / alone:.0%}",
            f"{min(found['rates'][name]):.2f} to {max(found['rates'][name]):.2f}",
            _met(found["same"][name]),
        )
        for name, rate in rates.items()
    ]
    times = f"of {found['cores']} x one core"
    header = ("labeling", "frames/s", times, "of one worker", "rounds", "rows as on one core")
    return Table("<>>>><", header, [rows])


def _stand_in(arguments: argparse.Namespace) -> dict[str, Any]:
    counts, frames = arguments.workers, arguments.seconds / _FRAME_S
    actors = {}
    for count in counts:
        with _cluster([count]) as (address, _):
            actors[count] = _waiting_rate(Workers(count, address), round(frames * count))
    processes = {count: _waiting_rate(Workers(count), round(frames * count)) for count in counts}
    return {"processes": [*processes.items()], "Ray actors": [*actors.items()]}


def _waiting_rate(workers: Workers, frames: int) -> float:
    with tempfile.TemporaryDirectory() as folder, _new_log() as log:
        cv2.imwrite(f"{folder}/frame.jpg", np.zeros((480, 640, 3), np.uint8))
        return _alone(_wait, Path(folder), workers, frames, log)


def _wait(folder: Path, workers: Workers, frames: int, log: Path) -> float:
    count = workers.count or 1
    job = WatchedJob(SleepJob(FolderStore(folder), _FRAME_S), log, count)
    for _ in run_job(job, [FrameFile("frame.jpg")] * frames, workers):
        ended = time.monotonic()
    return frames / (ended - began(log, count))


def _stand_in_table(found: dict[str, Any]) -> Table:
    groups = [
        [(kind, str(count), f"{rate:.2f}", f"{rate * _FRAME_S / count:.1%}") for count, rate in rows]
        for kind, rows in found.items()
    ]
    header = (f"waiting {_FRAME_S * 1e3:.0f} ms a frame", "workers", "frames/s", "of linear")
    return Table("<>>>", header, groups)


def _plan(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_frames(folder, arguments.planned)
        found = _alone(measure_plan, folder, _alone(fill_ledger, folder))
    return vars(found) | {"seconds": found.seconds}


def _plan_table(found: dict[str, Any]) -> Table:
    rows = [
        ("listing", f"{found['list_s']:.2f} s", ""),
        ("stamps and ledger, half of it done", f"{found['ledger_s']:.2f} s", ""),
        ("giving out the shards", f"{found['shards_s']:.2f} s", ""),
        ("all of it", f"{found['seconds']:.2f} s", f"{_PLAN_S} s: {_met(found['seconds'] <= _PLAN_S)}"),
        ("peak memory", f"{found['peak_mb']:.0f} MB", f"{_PLAN_MB} MB: {_met(found['peak_mb'] <= _PLAN_MB)}"),
    ]
    head = [
        ("commits of the ledger", f"{found['commits_per_s']:.0f} frames/s", ""),
        ("telling recordings apart", f"{found['group_s']:.2f} s", ""),
        ("memory for it", f"{found['look_kb']:.2f} KB a frame", ""),
    ]
    return Table("<><", (f"planning of {found['frames']} frames", "", "limit"), [rows, head])


def day_table(speed: dict[str, Any], plan: dict[str, Any], kill: dict[str, Any]) -> Table:
    """Compute what a day of many cameras takes by the figures of the other tables."""
    per_core = statistics.median(next(iter(speed["rates"].values())))
    every = _CAMERAS * _FPS * _DAY_S
    rows = []
    for name, frames in (
        (f"all frames at {_FPS} fps", every),
        ("collect --every 10: a frame in 10 s", every // (10 * _FPS)),
        ("1,000 unsure frames a camera", _CAMERAS * 1000),
    ):
        rows.append(
            (
                name,
                f"{frames / 1e6:.2f} M",
                f"{frames / per_core / 3600:,.0f} h",
                f"{frames / per_core / _DAY_S:,.1f}",
                f"{frames / plan['commits_per_s'] / 3600:.2f} h",
                f"{frames * speed['row_kb'] / 1e6:.1f} GB",
                f"{frames * plan['look_kb'] / 1e6:.1f} GB",
                f"{frames / kill['written_per_s'] / 3600:.2f} h",
                f"{frames * speed['image_kb'] * 8 / _DAY_S / 1e3:,.1f} Mbit/s",
            )
        )
    header = (
        f"a day of {_CAMERAS} cameras", "frames", "hours of a core", "cores", "commits", "ledger",
        "memory of the head", "writing the dataset", "frames sent in a day",
    )  # fmt: skip
    return Table("<" + ">" * (len(header) - 1), header, [rows])


if __name__ == "__main__":
    main()
