"""Limits of a soak: what must hold, what was found, and where it was missed."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soak_samples import Sample

from tests.cameras import EVENTS, FPS, PASS_FRAMES
from tests.receivers import Events
from tests.service_faults import FAULTS, Fault, lines_about
from tests.service_world import World

__all__ = ["Check", "Injection", "check_all", "lines_of"]

RECOVERY_S = 2.0
GROWTH_MB = 2.0
EARLY_S, LATE_S = 300.0, 60.0
"""Memory is compared between the minute from the first on, and the last ones."""

IN_HAND = 2
"""Frames of a camera without a fate: the one that waits, and the one in the model."""

SETTLE_S = 3.0
"""Seconds after a fault for which objects of before may still be followed."""

LATE_LINE_S = 2.0, 8.0
"""Seconds after a recovery within which the log must tell it; and after that of a disk, as only who writes to
it finds that it is there."""

PASS_S = PASS_FRAMES / FPS


@dataclass(frozen=True)
class Injection:
    """Fault that happened. Times are seconds since the first picture of the scene.

    Attributes:
        fault: Kind of fault.
        camera: Camera that it happened to, if it does to one.
        began_s: Time of its begin.
        ended_s: Time of its end.
        over_s: Time when everything worked again.
        said: What /readyz said was not ready while it lasted.
    """

    fault: Fault
    camera: str
    began_s: float
    ended_s: float
    over_s: float
    said: str

    @property
    def recovery_s(self) -> float:
        """Time from its end until everything worked again."""
        return self.over_s - self.ended_s

    @property
    def word(self) -> str:
        """Name of its subject in the log and in /readyz."""
        return self.fault.word(self.camera)

    def disturbs(self, camera: str) -> bool:
        """True if events of a camera may differ from those of its scene meanwhile."""
        return self.fault.subject in ("model", "clock") or self.word == camera

    def explains_reconnect(self, camera: str, at_s: float) -> bool:
        """True if a camera may connect again at a time because of it."""
        is_lost = self.fault.subject == "camera" and self.camera == camera
        return is_lost and self.began_s <= at_s <= self.over_s + SETTLE_S

    def __str__(self) -> str:
        return f"{self.began_s:.0f} s: {self.fault.name} ({self.word})"


@dataclass(frozen=True)
class Check:
    """One limit.

    Attributes:
        name: Name of the figure.
        got: What was found.
        expected: The limit.
        held: True if it holds.
        details: Where it does not.
    """

    name: str
    got: str
    expected: str
    held: bool
    details: Sequence[str] = ()


def check_all(
    world: World, samples: Sequence[Sample], injections: Sequence[Injection], missed: int, exit_code: int
) -> list[Check]:
    """Check all limits once the service has ended.

    Args:
        world: What the soak acted on.
        samples: One a second.
        injections: Faults that happened.
        missed: Number of times that the service did not answer.
        exit_code: That of the service.
    """
    return [
        _none("seconds without an answer of the service", missed, len(samples)),
        *_accounting(world, samples),
        *_events(world, samples),
        _truth(world, injections, samples[0].at_s + SETTLE_S, samples[-1].at_s),
        *_memory(samples),
        _slowest(injections),
        _said_unready(injections),
        _stayed_ready(samples),
        *_log(world, injections),
        *_restarts(world, samples, injections),
        Check("exit code of the service", str(exit_code), "0", exit_code == 0),
    ]


def lines_of(world: World, injection: Injection) -> list[str]:
    """Warnings in the log about the subject of a fault, from its begin until shortly after its recovery."""
    fault, late_s = injection.fault, LATE_LINE_S[injection.fault.subject == "disk"]
    pattern = fault.log_pattern(injection.camera)
    return lines_about(world, pattern, injection.began_s, injection.over_s + late_s)


def clean_passes(injections: Sequence[Injection], camera: str, begin_s: float, end_s: float) -> Iterator[int]:
    """Numbers of the passes of a camera, within two times of the scene, that no fault touched."""
    disturbed = [(each.began_s - 1.0, each.over_s + SETTLE_S) for each in injections if each.disturbs(camera)]
    for number in range(int(end_s / PASS_S)):
        first, last = number * PASS_S, (number + 1) * PASS_S
        if first > begin_s and not any(first < end and begin < last for begin, end in disturbed):
            yield number


def _none(name: str, got: int, of: int, details: Sequence[str] = ()) -> Check:
    return Check(name, f"{got:,} of {of:,}", "0", got == 0, details)


def _accounting(world: World, samples: Sequence[Sample]) -> Iterator[Check]:
    odd = [
        f"{sample.at_s:.0f} s, {camera}: {sample.in_hand(camera):g} in hand"
        for sample in samples
        for camera in world.cameras
        if not 0 <= sample.in_hand(camera) <= IN_HAND
    ]
    yield _none(
        "scrapes at which frames are unaccounted for", len(odd), len(samples) * len(world.cameras), odd
    )
    last = samples[-1]
    fates: Counter[str] = Counter()
    for camera in world.cameras:
        fates.update({fate: int(count) for fate, count in last.fates[camera].items()})
    listed = ", ".join(f"{count:,} {fate}" for fate, count in fates.items() if count)
    arrived = int(sum(last.arrived.values()))
    yield Check("frames by fate", f"{arrived:,} arrived: {listed}", "", held=True)


def _events(world: World, samples: Sequence[Sample]) -> Iterator[Check]:
    published, posted = world.subscriber.events, world.webhook.events
    every = {int(key.rpartition("-")[2], 16) for key in {**published, **posted}}
    counted = int(samples[-1].events)
    count = max(len(every), counted, max(every, default=-1) + 1)
    for way, events, copies in (
        ("MQTT", published, world.subscriber.copies),
        ("webhook", posted, world.webhook.copies),
    ):
        lost = count - len(events)
        yield Check(
            f"events lost on the way by {way}",
            f"{lost} of {count:,} ({copies - len(events)} came twice)",
            "0",
            lost == 0,
            _missing(events, count),
        )
    yield Check("events that the service counted", f"{counted:,}", f"{len(every):,}", counted == len(every))


def _missing(events: Events, count: int) -> list[str]:
    there = {int(key.rpartition("-")[2], 16) for key in events}
    return [f"event number {number}" for number in range(count) if number not in there]


def _truth(world: World, injections: Sequence[Injection], begin_s: float, end_s: float) -> Check:
    """Compare the events of passes that no fault touched with those that each pass must give."""
    got: Counter[tuple[str, int, str]] = Counter()
    for event in (world.subscriber.events | world.webhook.events).values():
        number = (event["wall_time"] - world.wall_zero) // PASS_S
        got[event["camera"], int(number), event["event"]] += 1
    expected = [
        (camera, number, kind)
        for camera in world.cameras
        for number in clean_passes(injections, camera, begin_s, end_s - SETTLE_S)
        for kind in EVENTS
    ]
    wrong = [
        f"{camera}, pass {number} at {number * PASS_S:.0f} s: {got[camera, number, kind]} x {kind}"
        for camera, number, kind in expected
        if got[camera, number, kind] != 1
    ]
    return _none("events of undisturbed passes not reported just once", len(wrong), len(expected), wrong)


def _memory(samples: Sequence[Sample]) -> Iterator[Check]:
    quiet = [sample for sample in samples if not sample.fault]
    early = [s.memory_mb for s in quiet if EARLY_S <= s.at_s < EARLY_S + LATE_S]
    late = [s.memory_mb for s in quiet if s.at_s > samples[-1].at_s - LATE_S]
    if samples[-1].at_s < EARLY_S + 2 * LATE_S:
        yield Check("resident memory at the end", f"{statistics.median(late):.1f} MB", "", held=True)
        return
    begin, end = statistics.median(early), statistics.median(late)
    yield Check(
        "resident memory, growth from the 5th minute to the end",
        f"{end - begin:+.1f} MB of {begin:.1f} MB",
        f"at most {GROWTH_MB:g} MB",
        end - begin <= GROWTH_MB,
    )
    main = statistics.median(s.main_mb for s in quiet if s.at_s > samples[-1].at_s - LATE_S)
    yield Check("resident memory of the main process at the end", f"{main:.1f} MB", "", held=True)
    for what in ("threads", "files"):  # some of both come and go with each request
        first, last = (
            statistics.median(getattr(s, what) for s in quiet if begins <= s.at_s < begins + LATE_S)
            for begins in (EARLY_S, samples[-1].at_s - LATE_S)
        )
        yield Check(f"{what} of the process, growth", f"{last - first:+g}", "at most 2", last - first <= 2)


def _slowest(injections: Sequence[Injection]) -> Check:
    late = [f"{each}: {each.recovery_s:.1f} s" for each in injections if each.recovery_s > RECOVERY_S]
    most = max((each.recovery_s for each in injections), default=0.0)
    return Check(
        f"slowest recovery of {len(injections)} faults",
        f"{most:.2f} s",
        f"at most {RECOVERY_S:g} s",
        not late,
        late,
    )


def _said_unready(injections: Sequence[Injection]) -> Check:
    wanted = [each for each in injections if each.fault.unready]
    silent = [f"{each}: {each.said or 'stayed 200'}" for each in wanted if each.word not in each.said]
    return _none("faults of which /readyz did not name the subject", len(silent), len(wanted), silent)


def _stayed_ready(samples: Sequence[Sample]) -> Check:
    steady = {each.name for each in FAULTS if each.unready is False}
    wanted = [s for s in samples if s.fault in steady or not s.fault]
    wrong = [f"{s.at_s:.0f} s, {s.fault or 'no fault'}: {s.unready}" for s in wanted if s.ready != 200]
    return _none("seconds not ready without a reason", len(wrong), len(wanted), wrong)


def _log(world: World, injections: Sequence[Injection]) -> Iterator[Check]:
    wrong, explained = [], Counter[str]()
    for each in injections:
        lines = lines_of(world, each)
        explained.update(lines)
        pairs = {"picture": (0,), "clock": (0,), "disk": (1, 2, 3)}  # each who writes to the disk says it
        if len(lines) / 2 not in pairs.get(each.fault.subject, (1,)):
            wrong.append(f"{each}: {lines}")
    yield _none("faults without one line at loss and one at return", len(wrong), len(injections), wrong)
    every = Counter(lines_about(world, "", 0.0, world.now()))
    odd = list((every - explained).elements())
    yield _none("warnings in the log of no fault", len(odd), every.total(), odd)


def _restarts(world: World, samples: Sequence[Sample], injections: Sequence[Injection]) -> Iterator[Check]:
    expected = sum(each.fault.subject == "model" for each in injections)
    got = int(samples[-1].restarts)
    yield Check("restarts of the model", str(got), str(expected), got == expected)
    odd = [
        f"{after.at_s:.0f} s, {camera}, {after.fault or 'no fault'}"
        for before, after in itertools.pairwise(samples)
        for camera in world.cameras
        if after.reconnects[camera] > before.reconnects[camera]
        and not any(each.explains_reconnect(camera, after.at_s) for each in injections)
    ]
    yield _none("connections made again without a fault of the camera", len(odd), len(samples), odd)
