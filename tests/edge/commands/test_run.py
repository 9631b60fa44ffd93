"""`edgeloop run` as a user calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import pytest

from tests.blocks import block_box, draw_block
from tests.calls import Outcome, edgeloop
from tests.faulty_models import WHITE, write_faulty_model

RUN = [sys.executable, "-P", "-m", "edgeloop", "run"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return edgeloop("run", *arguments)


def frame_count(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


@pytest.mark.slow
def test_a_clip_becomes_json_lines_a_video_and_a_summary(
    block_model: Path, clip: Path, tmp_path: Path
) -> None:
    video, figures = tmp_path / "out.mp4", tmp_path / "run.json"
    done = run(block_model, clip, "--json", "--video", video, "--summary", figures)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["index"] for line in lines] == list(range(40))
    (found,) = lines[10]["detections"]
    assert (found["class"], found["confidence"]) == ("block", 0.9)
    assert found["xyxy"] == pytest.approx(block_box(10), abs=4)
    assert frame_count(video) == 40
    summary = json.loads(figures.read_text())
    assert summary["frames"] == 40
    assert summary["detections"] == {"block": 40}
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["p99"]
    assert summary["fps"] > 0
    assert "40 frames in" in done.stderr


@pytest.mark.slow
def test_a_live_scene_reports_drops_and_stops(block_model: Path, tmp_path: Path) -> None:
    figures = tmp_path / "run.json"
    source = "synth:conveyor?fps=200&size=320x240"
    done = run(block_model, source, "--duration", "1", "--json", "--summary", figures)
    assert done.returncode == 0, done.stderr
    summary = json.loads(figures.read_text())
    indices = [json.loads(line)["index"] for line in done.stdout.splitlines()]
    assert indices == sorted(indices)
    assert summary["frames"] == len(indices)
    assert summary["dropped"] >= indices[-1] + 1 - len(indices), "every gap is a counted drop"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
@pytest.mark.parametrize("source", ["synth:conveyor?size=320x240", "synth:conveyor?size=320x240&fps=20"])
def test_a_signal_ends_the_run_with_the_video_playable(
    block_model: Path, tmp_path: Path, source: str, number: signal.Signals, code: int
) -> None:
    video, figures = tmp_path / "out.mp4", tmp_path / "run.json"
    command: list[str | Path] = [*RUN, block_model, source, "--json", "--video", video, "--summary", figures]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # the tests may run under nohup
    ) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(number)
        rest = process.stdout.read().splitlines()
        errors = process.stderr.read()
        assert process.wait(30) == code, errors
    frames = json.loads(figures.read_text())["frames"]
    assert frames == 5 + len(rest)
    assert json.loads(rest[-1] if rest else "{}") is not None
    if "fps" not in source:
        assert frame_count(video) == frames
    assert frame_count(video) > 0
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["-", "-?width=160&height=120"])
@pytest.mark.parametrize("limit", [(), ("--max-frames", 2)])
def test_a_run_ends_while_its_pipe_stays_open(
    block_model: Path, tmp_path: Path, source: str, limit: tuple[str, ...]
) -> None:
    piped = tmp_path / "piped.avi"
    if source == "-":
        writer = cv2.VideoWriter(str(piped), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20, (160, 120))
        for index in range(40):
            writer.write(draw_block(index))
        writer.release()
    else:
        piped.write_bytes(b"".join(draw_block(index).tobytes() for index in range(12)) + b"half a frame")
    video = tmp_path / "out.mp4"
    command = map(str, [*RUN, block_model, source, "--json", "--video", video, *limit])
    with subprocess.Popen(
        [*command], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        with suppress(BrokenPipeError):  # it may have what it wants
            process.stdin.write(piped.read_bytes())
        lines = [process.stdout.readline() for _ in range(2)]
        if not limit:
            time.sleep(0.5)  # until the input stalls
            process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        lines += process.stdout.readlines()
        assert code == 0, process.stderr.read()
    assert frame_count(video) == len(lines)


@pytest.mark.slow
def test_under_nohup_a_hangup_does_not_end_the_run(block_model: Path, clip: Path) -> None:
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    command: list[str | Path] = [sys.executable, "-c", code, *RUN[1:], block_model, clip, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert len(process.stdout.readlines()) == 39
        assert process.wait(20) == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_killed_run_leaves_a_video_that_plays_up_to_then(
    block_model: Path, tmp_path: Path, suffix: str
) -> None:
    video = tmp_path / f"out{suffix}"
    command: list[str | Path] = [*RUN, block_model, "synth:conveyor", "--json", "--video", video]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(150):
            process.stdout.readline()
        process.kill()
    partial = tmp_path / f"out.partial{suffix}"
    assert list(tmp_path.iterdir()) == [partial]
    assert frame_count(partial) > 100
    done = run(block_model, "synth:conveyor?frames=3", "--video", video)
    assert done.returncode == 0, done.stderr
    assert frame_count(video) == 3
    assert frame_count(partial) > 100, "the next run keeps it"


@pytest.mark.slow
def test_a_stream_that_fails_keeps_what_was_done(block_model: Path, tmp_path: Path) -> None:
    """A camera that goes away in the middle ends the run with its code; the video up to then is whole."""
    server = (
        "import http.server, time, cv2, numpy as np\n"
        "class Camera(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=f')\n"
        "        self.end_headers()\n"
        "        data = cv2.imencode('.jpg', np.full((120, 160, 3), 99, np.uint8))[1].tobytes()\n"
        "        while True:\n"
        "            self.wfile.write(b'--f\\r\\nContent-Type: image/jpeg\\r\\n')\n"
        "            self.wfile.write(b'Content-Length: %d\\r\\n\\r\\n' % len(data) + data + b'\\r\\n')\n"
        "            time.sleep(0.02)\n"
        "    def log_message(self, *_): pass\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Camera)\n"
        "print(server.server_address[1], flush=True)\n"
        "server.serve_forever()\n"
    )
    video, figures = tmp_path / "out.mp4", tmp_path / "run.json"
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True) as camera:
        assert camera.stdout
        url = f"http://127.0.0.1:{int(camera.stdout.readline())}/"
        command: list[str | Path] = [*RUN, block_model, url, "--json", "--video", video, "--summary", figures]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stderr
            first = process.stdout.readline()
            camera.kill()
            process.stdout.read()
            assert process.wait(20) == 69
            assert "edgeloop: error: stream http://127.0.0.1" in process.stderr.read()
    assert json.loads(figures.read_text())["error"].startswith("stream http://127.0.0.1")
    assert "detections" in json.loads(first)
    assert frame_count(video) > 0


@pytest.mark.slow
def test_a_video_that_does_not_fit_on_the_disk_is_an_error(block_model: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
    call = "import sys; from edgeloop.edge.cli.app import main; "
    call += f"sys.argv = {['edgeloop', 'run', str(block_model)]!r}"
    options = ["synth:conveyor", "--max-frames", "40", "--video", str(tmp_path / "out.mp4")]
    code = f"{limit}{call} + {options!r}; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 69, done.stderr
    assert "could not be completed (disk full?)" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial.mp4"]


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error(block_model: Path) -> None:
    pipe = f"{' '.join(RUN)} {block_model} 'synth:conveyor?size=320x240' --json | head -n 2"
    done = subprocess.run(pipe, shell=True, capture_output=True, text=True, check=True, timeout=60)
    assert len(done.stdout.splitlines()) == 2
    assert "error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["{model}", "nowhere.mp4"], 66, "no such file or folder", id="missing source"),
        pytest.param(["nowhere.onnx", "{clip}"], 66, "nowhere.onnx", id="missing model"),
        pytest.param(["{clip}", "{clip}"], 65, "clip.mp4", id="a video for a model"),
        pytest.param(["{other}", "{clip}"], 65, "other.onnx", id="a model of another kind"),
        pytest.param(["{model}", "{model}"], 65, "neither an image nor a video", id="a model for a video"),
        pytest.param(["{model}", "{folder}"], 66, "holds no image", id="empty folder"),
        pytest.param(["{model}", "synth:moon"], 2, "there are: conveyor", id="unknown scene"),
        pytest.param(["{model}", "synth:conveyor?x=1"], 2, "no option 'x'", id="unknown option of a scene"),
        pytest.param(["{model}", "{clip}", "--video", "{taken}"], 65, "the file exists", id="video exists"),
        pytest.param(
            ["{model}", "{clip}", "--summary", "{taken}"], 65, "the file exists", id="summary exists"
        ),
        pytest.param(["{model}", "{clip}", "--video", "out.webm"], 2, "unknown suffix", id="unknown suffix"),
        pytest.param(["{model}", "{clip}", "--max-frames", "0"], 2, "Invalid value", id="limit of nothing"),
        pytest.param(["{model}", "{clip}", "--provider", "cuda"], 69, "cuda", id="provider not here"),
        pytest.param(["{model}"], 2, "Missing argument 'SOURCE...'", id="no source"),
        pytest.param(["{model}", "97"], 69, "camera 97", id="no camera"),
        pytest.param(["{model}", "97", "98"], 69, "2 of 2 sources failed: camera 97", id="no camera at all"),
        pytest.param(["{model}", "{clip}", "nowhere.mp4"], 66, "nowhere.mp4", id="one source missing"),
        pytest.param(["{model}", "{clip}", "{clip}"], 2, "is given twice", id="a source twice"),
        pytest.param(["{model}", "{clip}", "--zones", "nowhere.json"], 66, "nowhere.json", id="no zones"),
        pytest.param(["{model}", "{clip}", "--zones", "{model}"], 65, "not text", id="a model for zones"),
        pytest.param(
            ["{model}", "{clip}", "{folder}", "--zones", "{clip}"],
            2,
            "once for each",
            id="zones of one of two",
        ),
    ],
)
def test_bad_input_is_one_line_and_the_right_code(
    edgeloop: Callable[..., Outcome],
    block_model: Path,
    clip: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    other, taken = tmp_path / "other.onnx", tmp_path / "taken.mp4"
    _save_classifier(other)
    taken.write_bytes(b"precious")
    (tmp_path / "empty").mkdir()
    places = {
        "model": block_model,
        "clip": clip,
        "other": other,
        "taken": taken,
        "folder": tmp_path / "empty",
    }
    done = edgeloop("run", *(argument.format_map(places) for argument in arguments))
    assert done.code == code, done.err
    assert done.out == ""
    assert says in done.err
    lines = [line for line in done.err.splitlines() if line.startswith("edgeloop: error")]
    if "97" in arguments and "98" in arguments:  # each camera is named when it fails, too
        assert len(lines) == 1
    elif code != 2 or done.err.startswith("edgeloop:"):
        assert done.err.count("\n") == 1, done.err
    assert taken.read_bytes() == b"precious"


@pytest.mark.parametrize(("fault", "says"), [("nan", "no finite numbers"), ("sure", "a score of 7")])
def test_a_model_that_gives_nonsense_is_an_error_and_no_empty_picture(
    edgeloop: Callable[..., Outcome], tmp_path: Path, fault: str, says: str
) -> None:
    model = write_faulty_model(tmp_path / "model.onnx", fault)
    cv2.imwrite(str(tmp_path / "white.png"), WHITE)
    done = edgeloop("run", model, tmp_path / "white.png", "--json")
    assert (done.code, done.out) == (65, "")
    assert says in done.err
    assert "model.onnx" in done.err


def test_an_unreadable_frame_among_good_ones_is_named_and_counted(
    edgeloop: Callable[..., Outcome], block_model: Path, image_folder: Path, tmp_path: Path
) -> None:
    for path in image_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "2.png").write_bytes(b"broken")
    done = edgeloop("run", block_model, tmp_path, "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 11
    assert done.err.count(f"edgeloop: warning: {tmp_path / '2.png'}: not an image that can be read") == 1
    assert "1 unreadable" in done.err


GATE = {
    "zones": [{"name": "right half", "polygon": [[80, 0], [160, 0], [160, 120], [80, 120]], "dwell_s": 0.5}],
    "lines": [{"name": "gate", "from": [60, 0], "to": [60, 120], "classes": ["block"]}],
}


@pytest.mark.slow
def test_objects_keep_their_id_and_are_counted(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trackers", reason="needs edgeloop[track]")
    zones, figures, video = tmp_path / "zones.json", tmp_path / "run.json", tmp_path / "out.mp4"
    zones.write_text(json.dumps(GATE))
    options = ("--zones", zones, "--json", "--summary", figures, "--video", video)
    done = edgeloop("run", block_model, clip, *options)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["detections"][0]["tracker_id"] for line in lines] == [None] + [0] * 39
    events = [(line["index"], event) for line in lines for event in line["events"]]
    assert [event["event"] for _, event in events] == ["cross", "enter", "dwell"]
    assert {event["tracker_id"] for _, event in events} == {0}
    entered, dwelt = events[1][0], events[2][0]
    assert (dwelt - entered) / 20 == pytest.approx(events[2][1]["dwell_s"]), "by the clock of the footage"
    summary = json.loads(figures.read_text())
    assert summary["lines"] == {"gate": {"block": {"in": 0, "out": 1}}}
    assert summary["zones"]["right half"]["block"] == {"entered": 1, "left": 0, "inside": 1, "dwell_s": None}
    assert "  line      gate: block 0 in, 1 out\n" in done.err
    assert "  zone      right half: block 1 entered, 1 inside\n" in done.err
    assert frame_count(video) == 40


def test_tracking_without_its_library_is_one_line(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("trackers", "supervision"):
        monkeypatch.setitem(sys.modules, package, None)
    done = edgeloop("run", block_model, clip, "--track")
    assert done.code == 69
    assert done.err.count("\n") == 1
    assert "pip install 'edgeloop[track]'" in done.err


def test_several_sources_have_figures_of_their_own(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, image_folder: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "run.json"
    options = ("--json", "--summary", figures, "--video", tmp_path / "out.mp4")
    done = edgeloop("run", block_model, clip, image_folder, "97", *options)
    assert done.code == 69, "one of them failed"
    assert "edgeloop: warning: camera 97: cannot be opened" in done.err
    assert "edgeloop: error: 1 of 3 sources failed: camera 97: cannot be opened" in done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    of_clip = [line["index"] for line in lines if line["source"] == str(clip)]
    assert of_clip == list(range(40))
    assert len(lines) == 52
    assert {"events", "tracker_id"}.isdisjoint(lines[0])
    assert frame_count(tmp_path / "out-1.mp4") == 40
    assert frame_count(tmp_path / "out-2.mp4") == 12
    assert not (tmp_path / "out-3.mp4").exists()
    summary = json.loads(figures.read_text())
    assert summary["frames"] == 52
    assert [source["frames"] for source in summary["sources"]] == [40, 12, 0]
    assert [source["source"] for source in summary["sources"]] == [str(clip), str(image_folder), "camera 97"]
    assert summary["sources"][0]["latency_ms"]["p50"] > 0
    assert summary["sources"][2]["error"].startswith("camera 97: cannot be opened")
    assert "error" not in summary["sources"][0]
    assert f"  1  {clip}  (every frame, 20 fps)" in done.err


@pytest.mark.slow
def test_ctrl_c_ends_all_sources_with_their_videos_playable(block_model: Path, tmp_path: Path) -> None:
    sources = ["synth:conveyor?size=320x240", "synth:conveyor?size=160x120&fps=20"]
    command: list[str | Path] = [*RUN, block_model, *sources, "--json", "--video", tmp_path / "out.mp4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        seen: set[str] = set()
        while len(seen) < 2:
            seen.add(json.loads(process.stdout.readline())["source"])
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
        assert process.wait(20) == 130, errors
    assert seen == set(sources)
    assert all(frame_count(tmp_path / f"out-{number}.mp4") for number in (1, 2))
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.slow
def test_a_run_imports_nothing_of_the_workshops(block_model: Path, clip: Path) -> None:
    code = (
        "import sys\nfrom edgeloop.edge.cli.app import main\n"
        f"sys.argv = ['edgeloop', 'run', {str(block_model)!r}, {str(clip)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'torchvision', 'ultralytics', 'segment_anything', 'onnx', "
        "'edgeloop.labeling', 'edgeloop.export'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_real_model_finds_people_in_real_footage(shared: Path) -> None:
    models = shared / "data" / "onnx"
    done = run(
        models / "yolox_nano.onnx",
        shared / "data" / "clips" / "one-by-one-person-detection.mp4",
        *("--head", "yolox", "--names", models / "coco_classes.txt", "--json", "--max-frames", 120),
    )
    assert done.returncode == 0, done.stderr
    frames = [json.loads(line)["detections"] for line in done.stdout.splitlines()]
    people = [any(found["class"] == "person" for found in detections) for detections in frames]
    assert sum(people) > 40


def _save_classifier(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("GlobalAveragePool", ["images"], ["output0"])
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    scores = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 3, 1, 1])
    model = helper.make_model(helper.make_graph([node], "g", [image], [scores]), ir_version=9)
    helper.set_model_props(model, {"task": "classify", "names": "{0: 'cat'}", "stride": "1"})
    onnx.save(model, str(path))


@pytest.mark.slow
def test_a_file_that_cannot_be_opened_ends_alone(block_model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "corrupt.mp4").write_bytes(b"nothing that anybody could decode" * 100)
    done = run(block_model, tmp_path / "corrupt.mp4", clip, "--json")
    assert done.returncode == 65
    assert len(done.stdout.splitlines()) == 40
    assert "1 of 2 sources failed: " in done.stderr
