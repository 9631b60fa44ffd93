"""Names of sources show no secret, wherever one is in an address."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.source_name import hide_secrets, is_footage, shown_name
from edgeloop.edge.sources import open_source
from edgeloop.models.errors import DataError, NoInputError, UnavailableError, UsageError
from tests.calls import edgeloop

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("rtsp://admin:s3cr3t@10.0.0.5/1", "rtsp://***@10.0.0.5/1", id="password"),
        pytest.param("rtsp://s3cr3t@10.0.0.5:554/1", "rtsp://***@10.0.0.5:554/1", id="token as user"),
        pytest.param("rtsp://admin:a@s3cr3t@h/1", "rtsp://***@h/1", id="at sign in the password"),
        pytest.param("rtsp://admin:s3/cr3t@h/1", "rtsp://***", id="slash in the password"),
        pytest.param("rtsp://h/user=admin&password=s3cr3t&channel=1", "rtsp://h/***", id="path"),
        pytest.param("rtmp://h/live/s3cr3t", "rtmp://h/***", id="stream key"),
        pytest.param("https://h/live/cam.m3u8?token=s3cr3t", "https://h/live/cam.m3u8?***", id="query"),
        pytest.param("https://h?s3cr3t", "https://h?***", id="query without a path"),
        pytest.param("https://h/1#s3cr3t", "https://h/1#***", id="fragment"),
        pytest.param("rtsp://h:s3cr3t/1", "rtsp://***", id="like a port"),
        pytest.param("rtsp://h/live/12345", "rtsp://h/***", id="number like a PIN"),
        pytest.param("onvif://admin:s3cr3t@h/1", "onvif://***@h/1", id="unknown scheme"),
        pytest.param("RTSP:/admin:s3cr3t@h/1", "rtsp://***@h/1", id="one slash"),
        pytest.param("rtsp:admin:s3cr3t@h", "rtsp:***", id="no slash"),
        pytest.param("admin:s3cr3t@h/1", "***", id="no scheme"),
        pytest.param("h/user=admin&password=s3cr3t", "***", id="no scheme, in the path"),
        pytest.param("h/v?sig=s3cr3t", "***", id="no scheme, signed"),
        pytest.param("h.264?pw=s3cr3t", "***", id="no scheme, short"),
        pytest.param("srt://:9000?passphrase=s3cr3t", "srt://:9000?***", id="passphrase"),
        pytest.param("rtspsrc location=rtsp://u:s3cr3t@h ! appsink", "rtspsrc ! appsink", id="pipeline"),
        pytest.param("rtsp://h:8554/s3cr3t#name=door", "rtsp://h:8554#door", id="named"),
    ],
)
def test_no_part_of_a_secret_shows(text: str, shown: str) -> None:
    assert shown_name(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://127.0.0.1:8554/cam1",
        "rtsp://10.0.0.5/Streaming/Channels/101",
        "rtsp://10.0.0.5/cam/realmonitor?channel=1&subtype=0",
        "rtsp://10.0.0.5/h264_stream",
        "rtsp://nas:8554/front-door",
        "http://[fe80::1%eth0]:80/axis-cgi/mjpg/video.cgi",
        "udp://239.0.0.1:1234",
        "video.mp4",
        "frames/*.jpg",
        "/dev/video0?width=640",
        "synth:conveyor?seed=1&fps=30",
        "-",
    ],
)
def test_a_name_without_secrets_shows_as_it_is(text: str) -> None:
    assert shown_name(text) == text


def test_an_existing_file_shows_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "user=me@home.mp4"
    path.touch()
    assert shown_name(str(path)) == str(path)


def test_a_message_of_others_is_cleared() -> None:
    address = "rtsp://admin:pa%24s@10.0.0.5/live/t0k3n"
    said = f"cannot open {address!r} ({Path(address)}): user 'admin', 'pa$s' or t0k3n is wrong"
    assert hide_secrets(said, ["--max-frames", address]) == (
        "cannot open 'rtsp://***@10.0.0.5/***' (rtsp://***@10.0.0.5/***): user '***', '***' or *** is wrong"
    )


ODD = st.text(st.characters(codec="utf-8"), max_size=20)
SCHEME = st.sampled_from(["rtsp", "rtsps", "http", "rtmp", "srt", "udp", "foo", "RTSP"])
PLACES = ["u:{}@127.0.0.1:9/1", "{}@127.0.0.1:9", "127.0.0.1:9/{}", "127.0.0.1:9/x?k={}", "127.0.0.1:9/1#{}"]


@settings(max_examples=200, deadline=None)
@given(SCHEME, st.sampled_from(PLACES), ODD, ODD)
def test_a_secret_never_shows_in_any_address(scheme: str, place: str, before: str, after: str) -> None:
    text = f"{scheme}://{place.format(before + SECRET + after)}"
    assert SECRET not in shown_name(text)
    assert SECRET not in hide_secrets(f"{text}: {Path(text)}, {text!r}", [text])


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(
        ["{}", "{}.mp4", "synth:{}", "{}://127.0.0.1:9/", "rtsp://127.0.0.1:9/{}", "rtsp://-{}/"]
    ),
    ODD,
)
def test_no_text_is_more_than_an_error(form: str, odd: str) -> None:
    text = form.format(odd)
    is_footage(text)
    shown_name(text)
    with suppress(UsageError, DataError, NoInputError, UnavailableError):
        open_source(text).close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["run", "MODEL", "ADDRESS", "--json"], id="source"),
        pytest.param(["run", "ADDRESS", "MODEL"], id="model"),
        pytest.param(["run", "MODEL", "ADDRESS", "ADDRESS"], id="twice"),
        pytest.param(["collect", "ADDRESS", "ADDRESS", "-o", "x"], id="too many arguments"),
        pytest.param(["run", "MODEL", "synth:conveyor", "--video=ADDRESS"], id="output"),
        pytest.param(["run", "MODEL", "synth:conveyor", "--sink", "x:ADDRESS"], id="sink"),
        pytest.param(["bench", "MODEL", "ADDRESS"], id="bench"),
        pytest.param(["label", "ADDRESS", "-e", "ADDRESS", "-o", "x"], id="folder"),
        pytest.param(["ADDRESS"], id="verb"),
    ],
)
@pytest.mark.parametrize(
    "address", ["rtsp://admin:s3cr3t@127.0.0.1:9/1", "foo://127.0.0.1/x?k=s3cr3t&m=/s3cr3t"]
)
def test_no_verb_shows_a_secret(block_model: Path, words: list[str], address: str) -> None:
    done = edgeloop(*(word.replace("MODEL", str(block_model)).replace("ADDRESS", address) for word in words))
    assert done.returncode not in (0, 70), done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_traceback_shows_no_secret(block_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_DEBUG", "1")
    done = edgeloop("run", block_model, "rtsp://admin:12/s3cr3t@127.0.0.1:9/1")
    assert "Traceback" in done.stderr
    assert SECRET not in json.dumps(done.stdout + done.stderr)


@pytest.mark.slow
def test_sources_that_differ_only_in_a_secret_are_numbered(block_model: Path) -> None:
    done = edgeloop("run", block_model, *(f"rtsp://127.0.0.1:9/{key}" for key in ("s3cr3t-1", "s3cr3t-2")))
    assert done.returncode == 69
    assert "1  rtsp://127.0.0.1:9/***  (" in done.stderr
    assert "2  rtsp://127.0.0.1:9/*** (2)  (" in done.stderr
    assert SECRET not in done.stderr
