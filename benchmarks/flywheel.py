"""Gain of the loop that closes: `python benchmarks/flywheel.py ../shared/data --out OUT`.

A detector learns from a teacher's labels of the first part of a film, of which a person drew five images. A
device with it watches the next part. Some images of that are added, chosen by the device's doubt, by mining,
by both in turn (as `edgeloop improve` chooses half of its images), or at random, each with the boxes that a
person confirms (the ground truth), and the training goes on from the first detector, with the images of the
first part. The last part of the film is scored. Adding all images shows what is left to gain by a choice.

On the conveyor the light changes and a fourth class appears half way through what the device watches; the
fish of the fourth kind come only then as well. The teacher knows neither.

OUT is reused: what is there is not measured again, so an interrupted call continues. The tables show every
result in OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flywheel_case import ALL, CHOICES, DRAWN, Case, added_name
from flywheel_scenes import FRAMES_PER_S, open_film
from flywheel_teacher import teach
from report import Table, add_write_option, publish

_TARGET = 0.03
_TOLD = {
    "base": "none added",
    "turn": "by mining and doubt in turn",
    "random": "at random",
    ALL: "all of them",
}

Figures = Mapping[str, Mapping[str, Any]]
"""Figures of a case by the name of what was measured."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=FRAMES_PER_S, default=list(FRAMES_PER_S))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Random seeds.")
    parser.add_argument(
        "--added", type=int, nargs="+", default=[10, 40], metavar="N", help="Numbers of images to add."
    )
    parser.add_argument("--threads", type=int, default=1, help="Threads of the trainings.")
    parser.add_argument("--tables", action="store_true", help="Show what is there and measure nothing.")
    add_write_option(parser, "flywheel")
    arguments = parser.parse_args()
    if not arguments.tables:
        torch.set_num_threads(arguments.threads)
        for seed in arguments.seeds:
            for name in arguments.scenes:
                film = open_film(name, arguments.data, arguments.out)
                teacher = teach(film, arguments.out / "teacher" / name)
                folder = arguments.out / "cases" / f"{name}-{seed}"
                Case(film, teacher, seed, arguments.added, folder).run()
    cases = read_cases(arguments.out, arguments.added)
    if not cases:
        parser.error(f"--out {arguments.out}: no finished case in it")
    tables = [*(gain_table(cases, count) for count in arguments.added), recall_table(cases)]
    publish(arguments.write, *tables, note=_note(arguments.data, arguments.out, cases), timed=False)


def read_cases(out: Path, added: Sequence[int]) -> dict[str, dict[int, Figures]]:
    """Read all finished cases in a folder, by scene and seed."""
    cases: dict[str, dict[int, Figures]] = {}
    for name in FRAMES_PER_S:
        for folder in sorted(out.glob(f"cases/{name}-*")):
            trained = [added_name(choice, count) for choice in CHOICES for count in added]
            paths = {each: folder / f"{each}.json" for each in ("base", *trained, ALL, "recall")}
            if all(path.is_file() for path in paths.values()):
                figures = {each: json.loads(path.read_text()) for each, path in paths.items()}
                cases.setdefault(name, {})[int(folder.name.rpartition("-")[2])] = figures
    return cases


def gain_table(cases: Mapping[str, Mapping[int, Figures]], count: int) -> Table:
    """Build the table of mAP50 by how `count` images were chosen, and of the differences over all cases."""
    seeds = sorted({seed for own in cases.values() for seed in own})
    names = {"base": "base", **{choice: added_name(choice, count) for choice in CHOICES}, ALL: ALL}
    groups = []
    for scene, own in cases.items():
        rows = []
        for choice, name in names.items():
            by_seed = {seed: figures[name]["map50"] for seed, figures in own.items()}
            cells = [f"{by_seed[seed]:.3f}" if seed in by_seed else "" for seed in seeds]
            median = statistics.median(by_seed.values())
            told = _TOLD.get(choice, f"by {choice}")
            rows.append((scene, told, *cells, f"{median:.3f}", *_differences(own.values(), choice, names)))
        groups.append(rows)
    every = [figures for own in cases.values() for figures in own.values()]
    last = [
        (f"median of {len(every)}", _TOLD.get(choice, f"by {choice}"), *[""] * len(seeds), "",
         *_differences(every, choice, names))
        for choice in (*CHOICES, ALL)
    ]  # fmt: skip
    header = (
        "mAP50", f"{count} images", *(f"seed {seed}" for seed in seeds), "median", "over base", "over random",
    )  # fmt: skip
    return Table("<<" + ">" * (len(header) - 2), header, [*groups, last])


def _differences(cases: Collection[Figures], choice: str, names: Mapping[str, str]) -> list[str]:
    """Medians over cases of the differences to the base, and to images at random."""
    told = []
    for other in ("base", "random"):
        pairs = [(own[names[choice]]["map50"], own[names[other]]["map50"]) for own in cases]
        known = choice not in ("base", other)
        told.append(f"{statistics.median(mine - its for mine, its in pairs):+.3f}" if known else "")
    return told


def recall_table(cases: Mapping[str, Mapping[int, Figures]]) -> Table:
    """Build the table of the device's recall, estimated and true."""
    groups, within, total = [], 0, 0
    for scene, own in cases.items():
        rows = []
        for seed, figures in sorted(own.items()):
            found = figures["recall"]
            inside = found["value"] is not None and found["low"] <= found["truth"] <= found["high"]
            within, total = within + inside, total + 1
            told = ("unknown", "") if found["value"] is None else (f"{found['value']:.3f}", _interval(found))
            rows.append((
                scene, str(seed), *told, f"{found['truth']:.3f}", "yes" if inside else "no",
                f"{found['with_new_classes']:.3f}",
            ))  # fmt: skip
        groups.append(rows)
    header = ("recall", "seed", "estimated", "95 % interval", "true", "within", "with new classes")
    last = [("all", "", "", "", "", f"{within} of {total}", "")]
    return Table("<" + ">" * (len(header) - 1), header, [*groups, last])


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['low']:.3f} to {found['high']:.3f}"


def _note(data: Path, out: Path, cases: Collection[str]) -> str:
    sizes = []
    for name in cases:
        film = open_film(name, data, out)
        sizes.append(f"{name} {len(film.base)}, {len(film.stream)}, {len(film.test)}")
    return (
        f"Images to begin with, watched, and scored: {'; '.join(sizes)}. Images are added with the "
        "boxes that a person confirms, here the ground truth, so all ways of choosing get the same labels. "
        "over random: median of the differences seed by seed; the goal for mining is "
        f"{_TARGET:+.2f} over all cases. Recall is estimated from {DRAWN} images drawn at random, without "
        "ground truth, and is that of the classes that the teacher knows; with new classes: the true one of "
        "all."
    )


if __name__ == "__main__":
    main()
