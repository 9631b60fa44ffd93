"""Soak of `edgeloop serve` with injected faults: `python benchmarks/soak.py --minutes 60`.

The service runs as a user would start it, with four cameras of 10 fps, two of JPEG and two of H.264 over
HTTP, a real mosquitto, a receiver of webhooks, and its state on a small disk of its own (mounting it needs
root). Twelve faults happen in turn, each with quiet time after it. All is watched from outside: /metrics and
/readyz once a second, the receivers, the log and the processes. Each pass of a block through a scene must
give the same three events, so that what ought to be reported is known.

The exit code is 1 if a limit was missed. `--latency` compares latencies with and without viewers instead.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # the service and its faults are those of the tests

import numpy as np
from soak_checks import Check, Injection, check_all, lines_of
from soak_latency import compare_latency
from soak_samples import Sampler

from report import Section, Table, add_write_option, publish
from tests.cameras import Kind
from tests.service_faults import FAULTS, Fault, watch_recovery
from tests.service_world import World, open_world

CAMERAS: dict[str, Kind] = {"jpeg-1": "mjpeg", "jpeg-2": "mjpeg", "h264-1": "h264", "h264-2": "h264"}
WARM_UP_S = 12.0
PATIENCE_S = 30.0
"""Longest wait for a recovery; the limit is far below."""

LAST_EVENTS_S = 5.0
LATENCY_RATIO = 1.05


@dataclass(frozen=True)
class Schedule:
    """Times in seconds: of a fault, of quiet after it, and of rest after a round."""

    fault_s: float
    quiet_s: float
    rest_s: float


LONG, SHORT = Schedule(8.0, 10.0, 60.0), Schedule(6.0, 2.5, 0.0)
LONG_MINUTES = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="Duration. Below 10, pauses are short.")
    parser.add_argument("--hours", type=float, help="Duration, in place of --minutes.")
    parser.add_argument("--only", action="append", metavar="FAULT", help="Inject these alone.")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="Write each sample as a line of JSON.")
    parser.add_argument("--log", type=Path, metavar="FILE", help="Write the log of the service.")
    parser.add_argument("--latency", action="store_true", help="Compare latencies instead.")
    parser.add_argument("--pairs", type=int, default=8, help="Pairs of periods of 24 s for --latency.")
    add_write_option(parser, "soak")
    arguments = parser.parse_args()
    if arguments.latency:
        sys.exit(_compare(arguments.pairs, arguments.write))
    minutes = arguments.minutes if arguments.hours is None else 60 * arguments.hours
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder), CAMERAS, small_disk=True) as world:
        sampler = Sampler(world, arguments.samples)
        with sampler.running():
            schedule = LONG if minutes >= LONG_MINUTES else SHORT
            faults = [each for each in FAULTS if each.name in (arguments.only or [each.name])]
            injections = _inject(world, sampler, faults, schedule, minutes)
            time.sleep(LAST_EVENTS_S)
        exit_code = world.service.stop()
        checks = check_all(world, sampler.samples, injections, sampler.missed, exit_code)
        if arguments.log is not None:
            lines = (
                f"{line.at - world.clock.began_at:9.2f} {line.level} {line.message}"
                for line in world.service.log
            )
            arguments.log.write_text("\n".join(lines) + "\n")
        publish(arguments.write, _fault_table(world, injections), _check_table(checks))
    for check in checks:
        if not check.held:
            print(f"\nmissed: {check.name}: expected {check.expected}, got {check.got}", file=sys.stderr)
            print("\n".join(f"  {detail}" for detail in check.details[:10]), file=sys.stderr)
    sys.exit(not all(check.held for check in checks))


def _compare(pairs: int, section: Section | None) -> int:
    """Compare latencies; 1 if the limit was missed."""
    full, bare = (np.percentile(each, (50, 95, 99)) for each in compare_latency(CAMERAS, pairs))
    ratio = full[2] / bare[2]
    rows = [
        (name, *(f"{time_ms:.2f}" for time_ms in found))
        for name, found in (
            ("preview, MQTT and metrics", full),
            ("none of them", bare),
            ("ratio", full / bare),
        )
    ]
    publish(section, Table("<>>>", ("service with", "p50 ms", "p95 ms", "p99 ms"), [rows]))
    if ratio > LATENCY_RATIO:
        print(f"\nmissed: ratio of p99: expected at most {LATENCY_RATIO}, got {ratio:.3f}", file=sys.stderr)
    return int(ratio > LATENCY_RATIO)


def _inject(
    world: World, sampler: Sampler, faults: Sequence[Fault], schedule: Schedule, minutes: float
) -> list[Injection]:
    """Let faults happen in turn until the time is up."""
    ends_s = world.now() + 60 * minutes
    injections = []
    time.sleep(WARM_UP_S)
    for turn in itertools.count():
        number, fault_number = divmod(turn, len(faults))
        if world.now() + schedule.fault_s + schedule.quiet_s > ends_s:
            break
        injections.append(
            _inject_one(world, sampler, faults[fault_number], turn + number, number, schedule.fault_s)
        )
        time.sleep(schedule.quiet_s + (schedule.rest_s if fault_number == len(faults) - 1 else 0.0))
    time.sleep(max(0.0, ends_s - world.now()))
    return injections


def _inject_one(
    world: World, sampler: Sampler, fault: Fault, camera_number: int, round_number: int, duration_s: float
) -> Injection:
    camera = list(world.cameras)[camera_number % len(world.cameras)]
    variant = fault.variants[round_number % len(fault.variants)]
    began_s = world.now()
    sampler.fault = fault.name
    variant.begin(world, camera)
    time.sleep(duration_s if variant.lasts_s is None else variant.lasts_s(world))
    _, said = world.service.ready()
    variant.end(world, camera)
    ended_s = world.now()
    sampler.fault = f"after {fault.name}"
    is_back = watch_recovery(world, fault, camera)
    while not is_back() and world.now() - ended_s < PATIENCE_S:
        time.sleep(0.05)
    over_s = world.now()
    sampler.fault = ""
    return Injection(fault, camera, began_s, ended_s, over_s, said)


def _fault_table(world: World, injections: Sequence[Injection]) -> Table:
    """Worst of each kind of fault."""
    by_kind: defaultdict[str, list[Injection]] = defaultdict(list)
    for each in injections:
        by_kind[each.fault.name].append(each)
    rows = [
        (
            name,
            str(len(found)),
            f"{sum(bool(each.said) for each in found)}",
            f"{max(each.recovery_s for each in found):.2f} s",
            f"{max(len(lines_of(world, each)) for each in found)}",
        )
        for name, found in by_kind.items()
    ]
    return Table(
        "<>>>>", ("fault", "times", "/readyz 503", "slowest recovery", "most lines in the log"), [rows]
    )


def _check_table(checks: Sequence[Check]) -> Table:
    rows = [(check.name, check.got, check.expected, "yes" if check.held else "NO") for check in checks]
    return Table("<<<<", ("figure", "got", "limit", "held"), [rows])


if __name__ == "__main__":
    main()
