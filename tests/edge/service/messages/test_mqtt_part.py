"""Messages at a real broker that is killed and comes back: events, states, pictures and announcements."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.edge.service.messages import mqtt_session
from edgeloop.edge.service.messages.mqtt_part import MqttPart
from tests.edge.service.messages.ear import Ear
from tests.edge.service.messages.rig import NAMES, Rig
from tests.receivers import Broker
from tests.waiting import until

EVENTS = "edgeloop/hall/door/events"
DOOR = "homeassistant/device/edgeloop_hall_door/config"
HALL = "homeassistant/device/edgeloop_hall/config"

Opener = Callable[..., Rig]


@pytest.fixture
def opened(tmp_path: Path, broker: Broker) -> Iterator[Opener]:
    """Starts the part against the broker, and ends it."""
    running: list[MqttPart] = []

    def start(cameras: tuple[str, ...] = ("door",), **settings: Any) -> Rig:
        rig = Rig(tmp_path, cameras, mqtt={"host": "127.0.0.1", "port": broker.port, **settings})
        running.append(MqttPart(rig.config, rig.board))
        rig.start(running[-1])
        return rig

    yield start
    for part in running:
        part.close()


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    """A client that hears everything, at a broker that runs."""
    ear = Ear(broker.start().port, "edgeloop/#", "homeassistant/#")
    yield ear
    ear.close()


def connected(rig: Rig) -> Callable[[], bool]:
    return lambda: rig.figure("mqtt", "connected") == 1


def ids(ear: Ear) -> list[str]:
    """Ids of the events heard, each once, in the order in which they came first."""
    return list(dict.fromkeys(json.loads(payload)["id"] for payload in ear.of(EVENTS)))


def test_an_event_is_json_with_all_that_is_known_of_it(opened: Opener, ear: Ear) -> None:
    rig = opened()
    rig.see((7, 0, 40))
    until(lambda: ear.of(EVENTS))
    event = json.loads(ear.of(EVENTS)[0])
    wall_time = event.pop("wall_time")
    assert abs(wall_time - time.time()) < 60
    assert event == {
        "id": rig.ids[0],
        "camera": "door",
        "event": "enter",
        "event_type": "enter",
        "place": "yard",
        "class": "car",
        "tracker_id": 7,
        "confidence": 0.9,
        "xyxy": [30.0, 100.0, 50.0, 140.0],
    }


def test_states_are_retained_and_published_when_they_change(opened: Opener, ear: Ear, broker: Broker) -> None:
    rig = opened()
    for _ in range(20):
        rig.see((7, 0, 40), (8, 2, 60))
    counts = "edgeloop/hall/door/counts"
    until(lambda: ear.of(counts))
    assert json.loads(ear.of(counts)[0]) == {"total": 2, "classes": {"car": 1, NAMES[2]: 1}}
    until(lambda: ear.of("edgeloop/hall/door/zones"))
    assert json.loads(ear.of("edgeloop/hall/door/zones")[0]) == {
        "yard": {"inside": 2, "entered": 2, "left": 0}
    }
    for _ in range(20):
        rig.see((7, 0, 280))
    until(lambda: len(ear.of(counts)) > 1)
    until(lambda: ear.last("edgeloop/hall/door/lines") == b'{"the \\"gate\\"":{"in":0,"out":1}}')
    assert len(ear.of(counts)) <= 3
    late = Ear(broker.port, "edgeloop/hall/#")
    until(lambda: late.last(counts) == b'{"total":1,"classes":{"car":1}}')
    assert late.last("edgeloop/hall/status") == b"online"
    late.close()


def test_a_camera_that_is_away_is_offline_alone(opened: Opener, ear: Ear) -> None:
    rig = opened(("door", "yard"))
    until(lambda: ear.last("edgeloop/hall/yard/availability") == b"online")
    rig.board.cameras["door"].link.status = "lost"
    until(lambda: ear.last("edgeloop/hall/door/availability") == b"offline")
    assert ear.of("edgeloop/hall/yard/availability") == [b"online"]
    rig.board.cameras["door"].link.status = "open"
    until(lambda: ear.last("edgeloop/hall/door/availability") == b"online")


def test_a_picture_of_each_event_has_its_box_in_it(opened: Opener, ear: Ear) -> None:
    rig = opened()
    until(connected(rig))
    rig.see((7, 0, 40))
    until(lambda: ear.of("edgeloop/hall/door/snapshot"))
    picture = decode_image(ear.of("edgeloop/hall/door/snapshot")[0], "snapshot")
    assert picture is not None
    assert picture.shape == rig.image.shape
    assert abs(picture[120, 30].astype(int) - 90).max() > 50
    assert (rig.image == 90).all()


def test_no_event_is_lost_while_the_broker_is_dead(
    opened: Opener, broker: Broker, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    rig = opened()
    until(connected(rig))
    rig.walk(5)
    until(lambda: ids(ear) == rig.ids)
    broker.kill()
    rig.walk(40)
    until(lambda: rig.figure("mqtt", "connected") == 0)
    rig.walk(40)
    broker.start()
    rig.walk(5)
    late = Ear(broker.port, "edgeloop/#")
    until(lambda: ids(late) and ids(late)[-1] == rig.ids[-1])
    assert ids(late) == rig.ids[-len(ids(late)) :]
    late.close()
    until(lambda: rig.figure("mqtt", "sent") == len(rig.ids))
    assert rig.figure("mqtt", "spooled") == rig.figure("mqtt", "overflowed") == 0
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings[0].startswith(f"mqtt: broker 127.0.0.1:{broker.port}: the connection is lost")
    assert warnings[-1] == f"mqtt: broker 127.0.0.1:{broker.port}: there again"
    assert len(warnings) == 2
    assert rig.figure("mqtt", "reconnects") == 1


def test_a_broker_that_is_away_from_the_start_is_waited_for(opened: Opener, broker: Broker) -> None:
    rig = opened()
    rig.walk(10)
    until(lambda: rig.figure("mqtt", "spooled") == len(rig.ids))
    assert rig.figure("mqtt", "snapshots_dropped") == len(rig.ids)
    ear = Ear(broker.start().port, "edgeloop/#")
    until(lambda: ids(ear) == rig.ids)
    until(lambda: rig.figure("mqtt", "sent") == len(rig.ids))
    ear.close()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves closing to the garbage
def test_certificates_that_are_away_for_a_while_are_waited_for(
    tmp_path: Path, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = certificate.with_name("key.pem")
    secure = Broker(tmp_path, f"certfile {certificate}", f"keyfile {key}", "user root").start()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(certificate.read_bytes())
    rig = Rig(tmp_path, mqtt={"host": "127.0.0.1", "port": secure.port, "tls": True, "ca": trusted})
    part = MqttPart(rig.config, rig.board)
    rig.start(part)
    try:
        until(connected(rig))
        trusted.unlink()
        secure.kill()
        until(lambda: "trusted.pem: cannot be read" in caplog.text)
        trusted.write_bytes(certificate.read_bytes())
        secure.start()
        until(connected(rig))
    finally:
        part.close()
        secure.kill()


def test_events_outlive_the_service(opened: Opener, broker: Broker) -> None:
    first = opened()
    first.walk(10)
    first.stop()
    second = opened()
    second.walk(5)
    ear = Ear(broker.start().port, "edgeloop/#")
    until(lambda: ids(ear) == [*first.ids, *second.ids])
    ear.close()


def test_what_the_spool_cannot_hold_is_counted(opened: Opener, broker: Broker) -> None:
    rig = opened(spool_mb=0.02)
    rig.walk(300)
    until(lambda: rig.figure("mqtt", "overflowed") > 0)
    ear = Ear(broker.start().port, "edgeloop/#")
    until(lambda: ids(ear) and ids(ear)[-1] == rig.ids[-1])
    heard = ids(ear)
    assert 0 < len(heard) < len(rig.ids)
    assert heard == rig.ids[-len(heard) :]
    until(lambda: rig.figure("mqtt", "overflowed") == len(rig.ids) - len(heard))
    ear.close()


def test_a_regular_end_says_goodbye(opened: Opener, ear: Ear) -> None:
    rig = opened()
    until(lambda: ear.last("edgeloop/hall/status") == b"online")
    rig.see((7, 0, 40))
    rig.stop()
    ear.say("edgeloop/after", "the end")
    until(lambda: ear.last("edgeloop/after") == b"the end")
    assert ear.of("edgeloop/hall/status") == [b"online", b"offline"]
    assert ids(ear) == rig.ids
    assert DOOR in dict(ear.heard)
    assert ear.last(DOOR) != b""


def test_an_offline_that_comes_late_is_corrected(opened: Opener, ear: Ear) -> None:
    opened()
    until(lambda: ear.last("edgeloop/hall/status") == b"online")
    ear.say("edgeloop/hall/status", "offline")
    until(lambda: ear.of("edgeloop/hall/status")[1:] == [b"offline", b"online"])


def test_cameras_are_announced_to_home_assistant(opened: Opener, ear: Ear) -> None:
    opened()
    until(lambda: ear.of(DOOR))
    hall, door = json.loads(ear.of(HALL)[0]), json.loads(ear.of(DOOR)[0])
    topics = [topic for topic, _ in ear.heard if topic.startswith("homeassistant/")]
    assert topics == [HALL, DOOR]
    assert hall["device"]["identifiers"] == [door["device"]["via_device"]]
    assert door["origin"]["name"] == "edgeloop"
    assert door["availability"] == [
        {"topic": "edgeloop/hall/status"},
        {"topic": "edgeloop/hall/door/availability"},
    ]
    assert door["availability_mode"] == "all"
    platforms = {key: component["platform"] for key, component in door["components"].items()}
    assert platforms == {
        "objects": "sensor",
        "count_car": "sensor",
        "event": "event",
        "snapshot": "image",
        "zone_yard_occupancy": "binary_sensor",
        **{f"zone_yard_{key}": "sensor" for key in ("inside", "entered", "left")},
        **{f"line_the_gate_d0db78e7_{side}": "sensor" for side in ("in", "out")},
        "connection": "binary_sensor",
    }
    assert door["components"]["zone_yard_occupancy"]["value_template"] == (
        "{{ 'ON' if value_json[\"yard\"].inside > 0 else 'OFF' }}"
    )


ENTITY = {"platform", "name", "unique_id", "availability", "entity_category", "device_class"}
DOCUMENTED = {
    "sensor": {"state_topic", "state_class", "value_template"},
    "binary_sensor": {"state_topic", "value_template", "payload_on", "payload_off"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic", "content_type"},
}
NEEDED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
}


def test_announcements_have_the_fields_that_home_assistant_documents(opened: Opener, ear: Ear) -> None:
    opened(("door", "yard"))
    until(lambda: ear.of(DOOR.replace("door", "yard")))
    found = [json.loads(payload) for topic, payload in ear.heard if topic.startswith("homeassistant/")]
    assert len(found) == 3
    unique = [each["unique_id"] for payload in found for each in payload["components"].values()]
    assert len(set(unique)) == len(unique)
    for payload in found:
        assert set(payload) <= {"device", "origin", "components", "availability", "availability_mode"}
        assert set(payload["device"]) <= {
            *("identifiers", "name", "manufacturer", "model", "sw_version", "via_device"),
        }
        assert set(payload["origin"]) == {"name", "sw_version", "support_url"}
        for component in payload["components"].values():
            platform = component["platform"]
            needed = {"platform", "unique_id", *NEEDED[platform]}
            assert needed <= set(component) <= ENTITY | DOCUMENTED[platform]
            if platform == "sensor":
                assert component["state_class"] in ("measurement", "total_increasing")


def test_home_assistant_that_starts_again_is_told_again(
    opened: Opener, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_session, "BIRTH_DELAY_S", (0.0, 0.1))
    opened()
    until(lambda: ear.of(DOOR))
    ear.say("homeassistant/status", "offline")
    ear.say("homeassistant/status", "online")
    until(lambda: len(ear.of(DOOR)) == 2)


def test_a_camera_that_goes_is_removed_and_nothing_else(opened: Opener, ear: Ear, broker: Broker) -> None:
    first = opened(("door", "yard"))
    first.see((7, 0, 40), camera="yard")
    until(lambda: ear.of("edgeloop/hall/yard/counts"))
    first.stop()
    opened(("door",))
    gone = "homeassistant/device/edgeloop_hall_yard/config"
    until(lambda: ear.last(gone) == b"")
    until(lambda: ear.last("edgeloop/hall/yard/counts") == b"")
    assert ear.last(DOOR) not in (None, b"")
    late = Ear(broker.port, "homeassistant/#", "edgeloop/#")
    until(lambda: late.of(DOOR))
    assert not [topic for topic, _ in late.heard if "yard" in topic]
    late.close()


def test_a_sensor_that_goes_is_removed_by_its_platform(opened: Opener, ear: Ear) -> None:
    first = opened()
    until(lambda: ear.of(DOOR))
    first.stop()
    second = opened(snapshots=False)
    until(lambda: len(ear.of(DOOR)) == 2)
    assert json.loads(ear.of(DOOR)[1])["components"]["snapshot"] == {"platform": "image"}
    until(connected(second))
    second.stop()
    opened(snapshots=False)
    until(lambda: len(ear.of(DOOR)) == 3)
    assert "snapshot" not in json.loads(ear.of(DOOR)[2])["components"]


def test_without_a_prefix_nothing_is_announced(opened: Opener, ear: Ear) -> None:
    opened(discovery="")
    until(lambda: ear.of("edgeloop/hall/door/availability"))
    assert not [topic for topic, _ in ear.heard if topic.startswith("homeassistant")]


@pytest.mark.slow
def test_the_will_tells_that_the_service_was_killed(
    tmp_path: Path, broker: Broker, ear: Ear, block_model: Path
) -> None:
    config = tmp_path / "edgeloop.toml"
    config.write_text(
        f"""
        name = "hall"
        state = "{tmp_path}/state"
        [models.parts]
        file = "{block_model}"
        [cameras.door]
        source = "synth:conveyor?seed=1&fps=10&size=320x240"
        [mqtt]
        host = "127.0.0.1"
        port = {broker.port}
        [web]
        port = 0
        """
    )
    service = subprocess.Popen([sys.executable, "-P", "-m", "edgeloop", "serve", str(config)])
    try:
        until(lambda: ear.of("edgeloop/hall/door/counts"), 30.0)
        assert ear.last("edgeloop/hall/status") == b"online"
        assert ear.last("edgeloop/hall/door/availability") == b"online"
    finally:
        service.kill()
        service.wait()
    until(lambda: ear.last("edgeloop/hall/status") == b"offline")
