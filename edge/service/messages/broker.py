"""Connection to an MQTT broker."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from traceback import clear_frames

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeloop.edge.service.service_config import MqttConfig
from edgeloop.models.errors import DataError, NoInputError, UnavailableError

__all__ = ["broker_name", "check_broker", "connect", "hang_up", "make_client"]

TIMEOUT_S = 5.0
"""Longest wait in seconds for a connection, and then for the answer of the broker."""

KEEPALIVE_S = 20
"""Seconds after which a silent connection is tested; the broker gives it up after half as long again."""

HINTS = {
    "Bad user name or password": "is mqtt.password right?",
    "Not authorized": "are mqtt.username and mqtt.password right?",
}


def broker_name(config: MqttConfig) -> str:
    """Name a broker for the log."""
    return f"mqtt: broker {config.host}:{config.port}"


def make_client(config: MqttConfig, client_id: str) -> Client:
    """Make a client that keeps nothing from one connection to the next.

    Raises:
        NoInputError: The file of certificates cannot be read.
        DataError: It holds none.
    """
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        protocol=MQTTProtocolVersion.MQTTv311,  # no broker refuses it
        reconnect_on_failure=False,
    )
    client.connect_timeout = TIMEOUT_S
    if config.username is not None or config.password is not None:
        password = None if config.password is None else config.password.get_secret_value()
        client.username_pw_set(config.username or "", password)
    if config.tls:
        try:
            client.tls_set(None if config.ca is None else str(config.ca))
        except ssl.SSLError as error:
            raise DataError(f"mqtt.ca {config.ca}: holds no certificates ({error.reason})") from error
        except OSError as error:
            raise NoInputError(f"mqtt.ca {config.ca}: cannot be read ({error.strerror})") from error
    return client


def connect(client: Client, config: MqttConfig) -> None:
    """Connect a client and wait until the broker accepts it.

    Raises:
        UnavailableError: There is no broker, or it refuses the client.
    """
    answers: list[ReasonCode] = []

    def take_answer(
        _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        answers.append(reason)

    client.on_connect = take_answer
    broker = broker_name(config)
    try:
        client.connect(config.host, config.port, KEEPALIVE_S)
        until = time.monotonic() + TIMEOUT_S
        done = MQTTErrorCode.MQTT_ERR_SUCCESS
        while not answers and done == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if time.monotonic() > until:
                raise TimeoutError
            done = client.loop(0.1)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
        hang_up(client)
        clear_frames(error.__traceback__)  # one of them holds the socket of a TLS handshake that failed
        raise UnavailableError(f"{broker}: {_describe(error, config)}") from error
    if answers and not answers[0].is_failure:
        return
    hang_up(client)
    if not answers:
        tls = "speak TLS (mqtt.tls)" if not config.tls else "speak no TLS"
        raise UnavailableError(f"{broker}: closed the connection without an answer; does that port {tls}?")
    reason = str(answers[0])
    raise UnavailableError(f"{broker}: refused the client ({reason}); {HINTS.get(reason, 'see its log')}")


def hang_up(client: Client) -> None:
    """Close the connection without a goodbye, so that the broker sends the will."""
    opened = client.socket()
    if opened is not None:
        opened.close()


def check_broker(config: MqttConfig) -> None:
    """Connect to a broker, authenticate and disconnect.

    Raises:
        UnavailableError: There is no broker, or it refuses the client.
        NoInputError: The file of certificates cannot be read.
        DataError: It holds none.
    """
    client = make_client(config, f"edgeloop-check-{secrets.token_hex(4)}")
    connect(client, config)
    client.disconnect()
    client.loop(0.1)
    hang_up(client)


def _describe(error: Exception, config: MqttConfig) -> str:
    """Say in one line why there is no connection, and what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); check mqtt.host and mqtt.ca"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason}); does that port speak TLS?"
    if isinstance(error, socket.gaierror | ValueError):
        return "no machine of that name is known; check mqtt.host"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s; check mqtt.host and mqtt.port"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there; is the broker running, and mqtt.port right?"
    if isinstance(error, ConnectionResetError) and config.tls:
        return "the connection was reset; does that port speak TLS?"
    return f"no connection ({error.__class__.__name__ if not str(error) else error})"
