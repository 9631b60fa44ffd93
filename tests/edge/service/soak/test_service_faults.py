"""The service survives each of its twelve faults: seen while it lasts, said once, and over when it is over.

Real processes: `edgeloop serve`, mosquitto, and cameras that fail. benchmarks/soak.py lets the same faults
happen for hours.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.receivers import mosquitto_path
from tests.service_faults import FAULTS, Fault, Variant, in_hand, lines_about, watch_recovery
from tests.service_world import Limits, World, open_world

ROOT = Path(__file__).parents[4]
CAMERA = {"camera frozen": "h264", "camera away": "jpeg", "garbage in the stream": "h264"}
CASES = [
    pytest.param(fault, variant, id=f"{fault.name} {number}" if number else fault.name)
    for fault in FAULTS
    if fault.subject != "disk"  # needs a disk of its own
    for number, variant in enumerate(fault.variants)
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    limits = Limits(ready_s=1.0, silent_s=0.7, frozen_s=0.8, hang_s=0.8)
    folder = tmp_path_factory.mktemp("world")
    with open_world(folder, {"jpeg": "mjpeg", "h264": "h264"}, limits, fps=20.0) as opened:
        yield opened


@pytest.mark.parametrize(("fault", "variant"), CASES)
def test_a_fault_is_seen_said_once_and_survived(world: World, fault: Fault, variant: Variant) -> None:
    service, camera = world.service, CAMERA.get(fault.name, "jpeg")
    word, began_s, events = fault.word(camera), world.now(), len(world.webhook.events)

    def lines() -> list[str]:
        return lines_about(world, fault.log_pattern(camera), began_s, world.now())

    variant.begin(world, camera)
    if variant.lasts_s is not None:
        time.sleep(variant.lasts_s(world))
    elif fault.unready:
        service.wait(lambda: word in service.ready()[1])
    else:
        service.wait(lambda: seen(world, fault, events))
        assert service.ready() == (200, "")
    variant.end(world, camera)
    service.wait(watch_recovery(world, fault, camera))
    if fault.subject in ("picture", "clock"):
        assert lines() == []
    else:
        service.wait(lambda: len(lines()) == 2)
    metrics = service.metrics()
    assert {
        name: in_hand(metrics, name) for name in world.cameras if not 0 <= in_hand(metrics, name) <= 3
    } == {}


def seen(world: World, fault: Fault, events: int) -> bool:
    """True if a fault that leaves the service ready shows itself, or has cost no event for a while."""
    metrics = world.service.metrics()
    if fault.subject == "mqtt":
        return metrics.one("edgeloop_mqtt_connected") == 0
    if fault.subject == "webhook":
        return metrics.one("edgeloop_webhook_failing") == 1
    return len(world.webhook.events) >= events + 4


def test_no_event_was_lost_through_all_of_them(world: World) -> None:
    def complete() -> bool:
        counted = world.service.metrics().total("edgeloop_events_total")
        return len(world.subscriber.events) == len(world.webhook.events) == counted

    world.service.wait(complete)
    numbers = sorted(int(key.rpartition("-")[2], 16) for key in world.webhook.events)
    assert numbers == list(range(len(numbers)))
    assert world.subscriber.events.keys() == world.webhook.events.keys()


def test_the_service_is_one_process_from_begin_to_end_and_leaves_none_behind(world: World) -> None:
    workers = world.service.workers()
    assert world.service.stop() == 0
    assert not any(worker.is_running() for worker in workers)


def test_the_guide_names_tests_that_exist() -> None:
    guide = (ROOT / "docs/guides/service.md").read_text(encoding="utf-8").partition("## Faults")[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)", guide)
    assert len(named) >= len(FAULTS)
    missing = [(path, test) for path, test in named if f"def {test}(" not in (ROOT / path).read_text()]
    assert missing == []
