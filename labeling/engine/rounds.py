"""Training of the engine in rounds, while exemplar frames are still being drawn."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.host.hardware import usable_cores
from edgeloop.export.learn.augment import Sample, resized
from edgeloop.export.learn.recipe import FEW_IMAGES
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.detector_weights import load_state, read_detector, write_detector
from edgeloop.export.network.start_detector import renamed_classes, start_detector
from edgeloop.export.trainer import TrainStep
from edgeloop.labeling.engine.calibration import Calibration, HeldOut, fit_calibration
from edgeloop.labeling.engine.copy_paste import Cutout, cut_objects
from edgeloop.labeling.engine.coverage import measure_coverage
from edgeloop.labeling.engine.engine import Engine
from edgeloop.labeling.engine.ensemble import Ensemble, write_ensemble
from edgeloop.labeling.engine.members import (
    MEMBERS,
    choose_member_recipe,
    learnable,
    limited_threads,
    train_member,
)
from edgeloop.labeling.engine.promise import estimate_quality
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars
from edgeloop.labeling.sam import Segmenter
from edgeloop.models.errors import EdgeloopError

__all__ = ["Interrupted", "Learner", "Round", "Steps"]

_STATE = "rounds.json"
_PASTED = 60  # frames with pasted objects, for each member
_SIDE_BY_SIDE = 2  # members of a round, each on a core
_POLL_S = 0.1


class Interrupted(Exception):  # noqa: N818 (not an error)
    """End of a round because the exemplar frames changed."""


@dataclass(frozen=True)
class Steps:
    """Training steps of a member.

    Attributes:
        first: In its first round.
        again: In the first round after the exemplar frames changed.
        full: In all before it is done; twice as many if there are more than 20 frames.
    """

    first: int = 45
    again: int = 30
    full: int = 150


@dataclass(frozen=True)
class Round:
    """Members to train next.

    Attributes:
        steps: Training steps by number of the member.
        quick: True if these members have not learned from the exemplar frames as they are now.
    """

    steps: Mapping[int, int]
    quick: bool


@dataclass
class _Member:
    """Member with its steps in all, and those since the exemplar frames changed."""

    detector: CompactDetector
    names: tuple[str, ...]
    steps: int
    since: int = 0


class Learner:
    """Members that go on learning while exemplar frames are added and corrected.

    Member k never sees a frame of fold k in any round, so it can always be judged on it: a frame keeps the
    fold that it gets when it is first seen, the one with the fewest frames.
    """

    def __init__(
        self, folder: Path, segmenter: Segmenter, *, seed: int = 0, steps: Steps | None = None
    ) -> None:
        """Continue from the members in a folder.

        Args:
            folder: Keeps the members and the folds.
            segmenter: Draws the masks along which objects are cut out and pasted.
            seed: Random seed.
            steps: Training steps of a member.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segmenter, self._seed = folder, segmenter, seed
        self._steps = steps or Steps()
        self._folds: dict[str, int] = {}
        self._members: dict[int, _Member] = {}
        self._cutouts: dict[bytes, list[tuple[int, Cutout]]] = {}
        self._exemplars = Exemplars((), ())
        self._frames: list[Sample] = []
        self._changed: set[str] = set()
        self._digest = ""  # of the exemplar frames that the members' `since` counts from
        self._number = 0
        self._held_out: tuple[HeldOut, ...] = ()
        self._load()

    @property
    def round(self) -> int:
        """Number of rounds finished in all."""
        return self._number

    @property
    def exemplars(self) -> Exemplars:
        """Frames that it learns from."""
        return self._exemplars

    @property
    def folds(self) -> list[int]:
        """Number of the member that each frame is kept from, in the order of the frames."""
        return [self._fold(frame) for frame in self._exemplars.frames]

    @property
    def graph(self) -> Path:
        """File of the ensemble of the last `engine`."""
        return self._folder / "ensemble.onnx"

    @property
    def side(self) -> int:
        """Long side of the members' input, px."""
        return self._recipe.side

    @property
    def held_out(self) -> tuple[HeldOut, ...]:
        """Frames with what the member finds there that has not seen them, as of the last `engine`."""
        return self._held_out

    @property
    def members(self) -> Mapping[int, Path]:
        """Files of the members that learned from the frames as they are, by number."""
        return {
            number: self._folder / f"member{number}.safetensors"
            for number, member in sorted(self._members.items())
            if member.since
        }

    def take(self, exemplars: Exemplars) -> None:
        """Learn from these frames from now on.

        Raises:
            DataError: A frame cannot be read.
        """
        before = {frame.path: _digest(frame, self._exemplars.names) for frame in self._exemplars.frames}
        now = {frame.path: _digest(frame, exemplars.names) for frame in exemplars.frames}
        self._changed = {path.name for path in now if now[path] != before.get(path)}
        if now == before and exemplars.names == self._exemplars.names:
            return
        self._exemplars = exemplars
        drawn = [learnable(frame) for frame in exemplars.frames]
        self._recipe = choose_member_recipe(drawn, weights=None, device="cpu", seed=self._seed)
        self._frames = [resized(sample, self._recipe.side) for sample in drawn]
        used = {_key(frame) for frame in self._frames}
        self._cutouts = {key: cutouts for key, cutouts in self._cutouts.items() if key in used}
        for frame in exemplars.frames:
            if frame.path.name not in self._folds:
                sizes = [list(self._folds.values()).count(fold) for fold in range(MEMBERS)]
                self._folds[frame.path.name] = sizes.index(min(sizes))
        digest = hashlib.sha256(repr((exemplars.names, sorted(now.items()))).encode()).hexdigest()
        if digest != self._digest:
            for member in self._members.values():
                member.since = 0
        self._digest = digest

    def next_round(self) -> Round | None:
        """Choose the members to train next; None if all are done."""
        wanted = self._wanted()
        known = {number: self._members.get(number) for number in wanted}
        stale = [number for number, member in known.items() if member is None or not member.since]
        if stale:
            # Those that see what changed, then those that continue, which is faster, then the least trained.
            changed = {self._folds[name] for name in self._changed}
            first = not any(member is not None and member.since for member in known.values())
            order = sorted(
                stale,
                key=lambda number: (
                    first and number in changed,
                    (known[number] is None) == (first and any(known.values())),
                    self._trained(number),
                ),
            )
            chosen = order[:_SIDE_BY_SIDE]
            return Round(
                {each: self._steps.again if known[each] else self._steps.first for each in chosen}, True
            )
        full = self._steps.full * (1 if len(self._frames) <= FEW_IMAGES else 2)
        left = [number for number in wanted if self._trained(number) < full]
        chosen = sorted(left, key=self._trained)[:_SIDE_BY_SIDE]
        return Round({each: full - self._trained(each) for each in chosen}, False) if chosen else None

    def train(
        self, plan: Round, on_wait: Callable[[float], bool], on_step: Callable[[], None] = lambda: None
    ) -> None:
        """Train the members of a round.

        Args:
            plan: The round.
            on_wait: Called several times a second with the share that is done; the round ends if it returns
                False.
            on_step: Called before every step, in the thread of its member; it may wait.

        Raises:
            Interrupted: The round was ended; its members are as they were.
            EdgeloopError: See `train_members`.
        """
        names, total, done = self._exemplars.names, sum(plan.steps.values()), 0
        stopped, lock = threading.Event(), threading.Lock()
        starts = {number: self._start(number) for number in plan.steps}

        def step(_: TrainStep) -> None:
            nonlocal done
            on_step()
            if stopped.is_set():
                raise Interrupted
            with lock:
                done += 1

        def train(number: int, folder: Path) -> CompactDetector:
            seen = [row for row, frame in enumerate(self._exemplars.frames) if self._fold(frame) != number]
            recipe = replace(self._recipe, steps=plan.steps[number])
            return train_member(
                starts[number], [self._frames[row] for row in seen],
                chain(*(self._cut(self._frames[row]) for row in seen)), names, recipe,
                folder / str(number), seed=(self._seed + MEMBERS * self._number, number), pasted=_PASTED,
                on_step=step,
            )  # fmt: skip

        for frame in self._frames:
            self._cut(frame)  # one segmenter serves all threads
        workers = min(len(plan.steps), usable_cores())
        with (
            TemporaryDirectory(dir=self._folder) as folder,
            limited_threads(max(1, usable_cores() // workers)),
            ThreadPoolExecutor(workers, "edgeloop-members") as pool,
        ):
            trainings = {number: pool.submit(train, number, Path(folder)) for number in plan.steps}
            try:
                _await(trainings.values(), lambda: on_wait(done / total))
            except BaseException:
                stopped.set()
                raise
        for number, training in trainings.items():
            steps = self._trained(number) + plan.steps[number]
            self._members[number] = _Member(training.result(), names, steps, plan.steps[number])
            write_detector(training.result(), names, self._folder / f"member{number}.safetensors")
        self._number += 1
        self._save()

    def engine(self, *, confidence: float) -> Engine | None:
        """Detector of all members that know the classes, calibrated on the frames that each has not seen.

        Args:
            confidence: Minimum score, for the promise.

        Returns:
            The engine; None before the first round.
        """
        names = self._exemplars.names
        members = {
            number: each for number, each in sorted(self._members.items()) if set(names) <= set(each.names)
        }
        if not members:
            return None
        write_ensemble([self._renamed(each, number) for number, each in members.items()], self.graph)
        ensemble = Ensemble(self.graph, self._recipe.side)
        rows = {number: row for row, number in enumerate(members)}
        held_out = [
            HeldOut(frame, ensemble.detect(frame.image(), rows[self._fold(frame)]))
            for frame in self._exemplars.frames
            if self._fold(frame) in rows
        ]
        self._held_out = tuple(held_out)
        if not held_out:
            return Engine(ensemble, Calibration(0.0), 0.0, None)
        calibration = fit_calibration(held_out)
        promise = estimate_quality(held_out, names, calibration, confidence=confidence, seed=self._seed)
        return Engine(ensemble, calibration, 0.0, promise, measure_coverage(held_out, names, calibration))

    def _wanted(self) -> list[int]:
        """Members that some frame is held out from; with one fold only, the member after it."""
        folds = sorted({self._fold(frame) for frame in self._exemplars.frames})
        wanted = folds if len(folds) > 1 else [(fold + 1) % MEMBERS for fold in folds]
        boxed = {self._fold(frame) for frame in self._exemplars.frames if (frame.class_id >= 0).any()}
        return [number for number in wanted if boxed - {number}]

    def _trained(self, number: int) -> int:
        return self._members[number].steps if number in self._members else 0

    def _fold(self, frame: ExemplarFrame) -> int:
        return self._folds[frame.path.name]

    def _cut(self, frame: Sample) -> list[tuple[int, Cutout]]:
        key = _key(frame)
        if key not in self._cutouts:
            self._cutouts[key] = cut_objects(frame, self._segmenter)
        return self._cutouts[key]

    def _start(self, number: int) -> CompactDetector:
        """Copy of a member to go on from, or a new one."""
        if number in self._members:
            return self._renamed(self._members[number], number).requires_grad_(True)
        return start_detector(len(self._exemplars.names), None, seed=self._seed + number)[0]

    def _renamed(self, member: _Member, number: int) -> CompactDetector:
        """Copy of a member with the classes of now; those that it does not know start anew."""
        names = self._exemplars.names
        made = start_detector(len(names), None, seed=self._seed + number)[0]
        state = renamed_classes(member.detector.state_dict(), member.names, made.state_dict(), names)
        load_state(made, state, "member")
        return made.eval()

    def _load(self) -> None:
        """Load the folds and members of an earlier process; without both, or if they are damaged, none."""
        try:
            state = json.loads((self._folder / _STATE).read_text())
            self._folds = {str(name): int(fold) for name, fold in state["folds"].items()}
            self._number = int(state["round"])
            self._digest = str(state["digest"])
            for number, (steps, since) in state["steps"].items():
                detector, names = read_detector(self._folder / f"member{number}.safetensors")
                self._members[int(number)] = _Member(detector, names, int(steps), int(since))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EdgeloopError):
            self._folds, self._members, self._number, self._digest = {}, {}, 0, ""

    def _save(self) -> None:
        state = {
            "folds": self._folds,
            "steps": {number: (member.steps, member.since) for number, member in self._members.items()},
            "round": self._number,
            "digest": self._digest,
        }
        replace_file(self._folder / _STATE, json.dumps(state).encode())


def _await(trainings: Collection[Future[CompactDetector]], on_wait: Callable[[], bool]) -> None:
    while True:
        done, left = wait(trainings, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
        for finished in done:
            finished.result()
        if not left:
            return
        if not on_wait():
            raise Interrupted


def _key(frame: Sample) -> bytes:
    return frame.xyxy.tobytes() + frame.class_id.tobytes() + frame.image[::16, ::16].tobytes()


def _digest(frame: ExemplarFrame, names: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    return frame.xyxy.tobytes(), tuple("" if row < 0 else names[row] for row in frame.class_id.tolist())
