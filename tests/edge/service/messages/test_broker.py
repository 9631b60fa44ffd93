"""Checks of the connection to a broker: each failure has its own line, none shows the password."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeloop.edge.service.messages.broker import check_broker
from edgeloop.edge.service.service_config import MqttConfig
from edgeloop.models.errors import DataError, NoInputError, UnavailableError
from tests.receivers import Broker, free_port, mosquitto_path


def check(port: int, **settings: Any) -> None:
    check_broker(MqttConfig(**{"host": "127.0.0.1", "port": port, **settings}))


def test_a_broker_that_lets_us_in_passes(broker: Broker) -> None:
    check(broker.start().port)


def test_a_port_on_which_nobody_listens() -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:\d+: nobody listens there"):
        check(free_port())


@pytest.mark.parametrize("name", ["nobody.invalid", "a..b", "x" * 70 + ".de"])
def test_a_name_that_nobody_knows(name: str) -> None:
    with pytest.raises(UnavailableError, match=r"no machine of that name is known; check mqtt\.host"):
        check(1883, host=name)


def test_an_address_in_place_of_a_name_does_not_show_its_password() -> None:
    with pytest.raises(ValidationError, match="expected a name or an address alone") as caught:
        check(1883, host="mqtt://belt:right-horse@broker")
    assert "horse" not in str(caught.value)


def test_a_port_that_accepts_and_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.edge.service.messages.broker.TIMEOUT_S", 0.3)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
            check(mute.getsockname()[1])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker that asks for a password."""
    passwords = tmp_path / "passwords"
    if mosquitto_path() is None:
        pytest.skip("no MQTT broker: apt install mosquitto")
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "belt", "right-horse"], check=True)
    guarded = Broker(tmp_path, f"password_file {passwords}", "user root").start()
    yield guarded
    guarded.kill()


def test_the_password_is_asked_for_and_never_shown(guarded: Broker) -> None:
    check(guarded.port, username="belt", password="right-horse")
    for wrong in ({"username": "belt", "password": "wrong-horse"}, {}):
        with pytest.raises(UnavailableError, match=r"refused the client \(Not authorized\)") as caught:
            check(guarded.port, **wrong)
        assert "horse" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves closing to the garbage
def test_tls_is_checked_against_the_given_certificates(
    tmp_path: Path, broker: Broker, certificate: Path
) -> None:
    secure = Broker(
        tmp_path, f"certfile {certificate}", f"keyfile {certificate.with_name('key.pem')}", "user root"
    ).start()
    try:
        check(secure.port, tls=True, ca=certificate)
        with pytest.raises(UnavailableError, match=r"its certificate is not trusted .*mqtt\.ca"):
            check(secure.port, tls=True)
        with pytest.raises(UnavailableError, match=r"does that port speak TLS \(mqtt\.tls\)"):
            check(secure.port)
        with pytest.raises(UnavailableError, match=r"does that port speak (no )?TLS"):
            check(broker.start().port, tls=True)
    finally:
        secure.kill()


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(DataError, match=r"mqtt\.ca .*empty.pem: holds no certificates"):
        check(1883, tls=True, ca=tmp_path / "empty.pem")
    with pytest.raises(NoInputError, match=r"mqtt\.ca .*none.pem: cannot be read \(No such file"):
        check(1883, tls=True, ca=tmp_path / "none.pem")
