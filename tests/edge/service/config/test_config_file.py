"""Configuration file: each fault is said with its line, and no secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.edge.service.config.config_file import config_warnings, read_config
from edgeloop.edge.source_name import shown_name
from edgeloop.models.errors import DataError, NoInputError

SMALLEST = """\
state = "state"
[models.parts]
file = "parts.onnx"
[cameras.belt]
source = "rtsp://127.0.0.1:8554/cam"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "edgeloop.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def refused(folder: Path, text: str | bytes) -> list[str]:
    """Lines of the refusal, without the name of the file."""
    path = write(folder, text)
    with pytest.raises(DataError) as error:
        read_config(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_paths_are_those_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = SMALLEST + 'zones = "zones.json"\n[cameras.film]\nsource = "clip.mp4"\n[cameras.usb]\nsource = 0\n'
    config = read_config(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert config.state == tmp_path / "state"
    assert config.models["parts"].file == tmp_path / "parts.onnx"
    assert config.cameras["belt"].zones == tmp_path / "zones.json"
    sources = [camera.source for camera in config.cameras.values()]
    assert sources == ["rtsp://127.0.0.1:8554/cam", str(tmp_path / "clip.mp4"), "0"]


@pytest.mark.parametrize(
    ("added", "says"),
    [
        pytest.param("sorce = 1", "6: cameras.belt.sorce: unknown key; did you mean source?", id="near miss"),
        pytest.param(
            "zzz = 1", "6: cameras.belt.zzz: unknown key; expected one of source, model", id="unknown"
        ),
        pytest.param("confidence = 2", "confidence: expected less than or equal to 1, got 2", id="too large"),
        pytest.param("silent_s = 0", "silent_s: expected greater than 0, got 0", id="too small"),
        pytest.param("silent_s = nan", "silent_s: expected a finite number, got NaN", id="no number"),
        pytest.param("track = 'no way'", 'track: expected true or false, got "no way"', id="no flag"),
        pytest.param("confidence = true", "confidence: expected a number, got true", id="flag for a number"),
        pytest.param("classes = []", "6: cameras.belt.classes: expected at least one", id="no class"),
        pytest.param("[mqtt]\nhost = 'mqtt://h'", "7: mqtt.host: expected a name or an address", id="host"),
        pytest.param("[mqtt]\nhost = 'h:1883'", "7: mqtt.host: expected a name or an address", id="its port"),
        pytest.param("[web]\ntoken = 'short'", "7: web.token: expected at least 16 characters", id="token"),
        pytest.param("zones = 3", "zones: expected a path in quotes, got 3", id="no path"),
        pytest.param("classes = 'bolt'", "classes: expected an array, got", id="no array"),
        pytest.param("[web]\nport = 70000", "7: web.port: expected less than or equal to 65535", id="port"),
        pytest.param("[web]\nhost = '0.0.0.0'", "6: web: host 0.0.0.0 is open to others", id="open"),
        pytest.param(
            "[log]\nformat = 'xml'", "7: log.format: expected 'json' or 'text', got \"xml\"", id="choice"
        ),
        pytest.param("[mqtt]", "6: mqtt.host: missing (Name or address of the broker)", id="missing"),
        pytest.param(
            "[cameras.'a b']\nsource = 0", '6: cameras."a b": expected a name of at most 40', id="name"
        ),
        pytest.param(
            "[clips]\nbudget_mb = 5", "7: clips.budget_mb: expected at least 10 for clips of 10 s", id="clips"
        ),
        pytest.param("model = 'x'", "6: cameras.belt.model: expected one of parts, got x", id="model"),
        pytest.param(
            "[models.b]", "4: cameras.belt.model: missing; expected one of parts, b", id="which model"
        ),
        pytest.param(
            "[mqtt]\nhost = 'h'\npassword = 'p'", "8: mqtt.password: expected also a username", id="user"
        ),
        pytest.param("[mqtt]\nhost = 'h'\nca = 'p'", "8: mqtt.ca: expected also tls = true", id="tls"),
        pytest.param("[[webhooks]]\nurl = 'ftp://x'", "7: webhooks[0].url: expected an http:// or", id="url"),
        pytest.param(
            "[[webhooks]]\nurl = 'http://h'\nheaders.'a b' = ''", '8: webhooks[0].headers."a b"', id="header"
        ),
        pytest.param(
            "[cameras.a]\nsource = '-'", "7: cameras.a.source: expected a camera, an address", id="stdin"
        ),
        pytest.param(
            "[cameras.a]\nsource = 0\n[cameras.b]\nsource = '/dev/video0'",
            "9: cameras.b.source: is the device of cameras.a; only one can open it",
            id="one device twice",
        ),
        pytest.param("track = true\ntrack = true", "7: is no TOML: Cannot overwrite a value", id="key twice"),
        pytest.param("track = ", "6: is no TOML: Invalid value", id="no toml"),
        pytest.param("confidence = " + "9" * 5000, "1: is no TOML: Exceeds the limit", id="endless number"),
        pytest.param("classes = " + "[" * 3000 + "]" * 3000, " is nested too deeply", id="deep"),
        pytest.param("#" * (1 << 20), " expected at most 1048576 bytes", id="large"),
    ],
)
def test_a_fault_has_its_line_key_expected_and_got(tmp_path: Path, added: str, says: str) -> None:
    (line,) = refused(tmp_path, SMALLEST + added + ("\n" if added != "track = " else ""))
    assert says in line


def test_one_loop_runs_one_model(tmp_path: Path) -> None:
    told = refused(tmp_path, SMALLEST + "[models.c]\nloop = 'l'\n[models.d]\nloop = 'x/../l'\n")
    (line,) = (each for each in told if ".loop" in each)
    assert "9: models.d.loop: is the loop of models.c; name that model in the cameras of both" in line


def test_an_address_that_is_none_shows_no_secret_in_the_refusal_to_open_it(tmp_path: Path) -> None:
    text = SMALLEST.replace("rtsp://127.0.0.1:8554/cam", "rtsp:/10.0.0.5/s3cr3t-word")
    source = read_config(write(tmp_path, text)).cameras["belt"].source
    assert "s3cr3t" not in shown_name(source)


def test_all_faults_are_listed_up_to_ten_in_the_order_of_the_file(tmp_path: Path) -> None:
    faults = "".join(f"[cameras.c{n}]\nsource = 'rtsp://h/{n}'\nconfidence = 3\n" for n in range(12))
    found = refused(tmp_path, SMALLEST.replace("state =", "stat =") + faults)
    assert found[0] == "1: stat: unknown key; did you mean state?"
    assert [int(line.partition(":")[0]) for line in found[1:10]] == list(range(8, 33, 3))
    assert found[10:] == [" and 3 more"]


def test_references_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_TEST_PASSWORD", "hunter22")
    (tmp_path / "token").write_text("0123456789abcdef\n")
    text = SMALLEST + (
        '[mqtt]\nhost = "a$${b}"\nusername = "u"\npassword = "${EDGELOOP_TEST_PASSWORD}"\n'
        '[web]\ntoken = "${file:token}"\n'
    )
    config = read_config(write(tmp_path, text))
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.web.token is not None
    assert config.mqtt.host == "a${b}"
    assert config.mqtt.password.get_secret_value() == "hunter22"
    assert config.web.token.get_secret_value() == "0123456789abcdef"


def test_a_reference_that_leads_nowhere_has_its_line(tmp_path: Path) -> None:
    text = SMALLEST + (
        '[mqtt]\nhost = "${EDGELOOP_NO_SUCH}"\nusername = "${file:nothing}"\npassword = "${a b}"\n'
        'ca = "${file:.}"\n[web]\nport = "x"\ntoken = "${EDGELOOP_NO_SUCH}"\n'
    )
    assert refused(tmp_path, text) == [
        "7: mqtt.host: ${EDGELOOP_NO_SUCH} is not set in the environment",
        "8: mqtt.username: ${file:nothing}: no such file",
        "9: mqtt.password: expected ${NAME} or ${file:PATH}; $${ is for the characters themselves",
        "10: mqtt.ca: ${file:.}: no such file",
        '12: web.port: expected a valid integer, got "x"',
        "13: web.token: ${EDGELOOP_NO_SUCH} is not set in the environment",
    ]


@pytest.mark.parametrize(
    "added",
    [
        "[mqtt]\nhost = 'h'\npasword = 's3cret-text'",
        "[mqtt]\nhost = 'h'\npassword = ['s3cret-text']",
        "[web]\ntoken = 's3cret-text'",
        "mqtt = 's3cret-text'",
        "model = 'rtsp://user:s3cret-text@host/path'",
        "[[webhooks]]\nurl = 's3cret-text'",
        "[[webhooks]]\nurl = 'https://user:s3cret-text@[::1/'",
        "[web]\nport = '${EDGELOOP_TEST_SECRET}'",
        "[cameras.x]\nsource = ['s3cret-text']",
        "source = 's3cret-text'",
        "[web.'x'",
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: str) -> None:
    monkeypatch.setenv("EDGELOOP_TEST_SECRET", "s3cret-text")
    assert "s3cret-text" not in "\n".join(refused(tmp_path, f"{SMALLEST}{added}\n"))


@pytest.mark.parametrize(
    ("added", "mode", "says"),
    [
        (
            "[mqtt]\nhost = 'h'\nusername = 'u'\npassword = 'secret'",
            0o644,
            "9: mqtt.password: a secret in clear",
        ),
        ("[mqtt]\nhost = 'h'\nusername = 'u'\npassword = 'secret'", 0o640, None),
        ("[mqtt]\nhost = 'h'\nusername = 'u'\npassword = '${HOME}'", 0o644, None),
        ("[cameras.a]\nsource = 'rtsp://u:secret@h/x'", 0o644, "7: cameras.a.source: a secret in clear"),
        ("[cameras.a]\nsource = 'rtsp://u:${HOME}@h/x'", 0o644, None),
        (
            "[cameras.a]\nsource = 'rtsp://127.0.0.1:8554/cam'",
            0o600,
            "7: cameras.a.source: is that of cameras.belt",
        ),
        ("[models.b]\n[cameras.a]\nsource = 'rtsp://127.0.0.1:8554/cam'\nmodel = 'b'", 0o600, None),
        ("[clips]", 0o600, "6: clips: no camera has zones, so there are no events"),
    ],
)
def test_doubts_are_said_once(tmp_path: Path, added: str, mode: int, says: str | None) -> None:
    text = SMALLEST if "[models.b]" not in added else SMALLEST + "model = 'parts'\n"
    path = write(tmp_path, f"{text}{added}\n")
    path.chmod(mode)
    found = config_warnings(path, read_config(path))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]
    assert "secret@" not in "".join(found)


def test_a_missing_file_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"none\.toml: cannot be read \(No such file"):
        read_config(tmp_path / "none.toml")


WORDS = st.sampled_from(
    [
        "state",
        "cameras",
        "models",
        "web",
        "port",
        "webhooks",
        "mqtt",
        "headers",
        "a",
        "source",
        "file",
        "${",
        "é",
    ]
)
VALUES = st.recursive(
    st.one_of(st.integers(-(10**400), 10**400), st.floats(), st.booleans(), st.text(max_size=5), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_toml_is_a_configuration_or_refused_in_lines(tmp_path: Path, values: dict[str, Any]) -> None:
    path = write(tmp_path, "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in values.items()))
    tomllib.loads(path.read_text())
    with pytest.raises(DataError) as error:
        read_config(path)
    assert all(line.startswith(f"{path}:") for line in str(error.value).splitlines())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(sign):08x}" for sign in value) + '"'
    return str(value).lower()
