from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgeloop.edge.engines.session import Session
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.errors import (
    DataError,
    ModelError,
    NoInputError,
    NonFiniteOutputError,
    OutputError,
    UsageError,
)
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.facts.overrides import SpecOverrides
from tests.blocks import draw_block
from tests.dense import write_bundle
from tests.faulty_models import BAD_ROWS, WHITE, write_faulty_model
from tests.meter import SIDE, ModelWriter

BLUE, RED = (255, 0, 0), (0, 0, 255)


def flat(color: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    return np.full((size[1], size[0], 3), color, np.uint8)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((128, 128), id="as it is"),
        pytest.param((640, 480), id="landscape"),
        pytest.param((480, 640), id="portrait"),
        pytest.param((101, 67), id="odd and small"),
    ],
)
def test_boxes_come_back_in_pixels_of_the_image(block_model: Path, size: tuple[int, int]) -> None:
    width, height = size
    image = flat((40, 40, 40), size)
    box = np.array([[width // 4, height // 4, width // 2, height * 3 // 4]])
    x1, y1, x2, y2 = box[0]
    image[y1:y2, x1:x2] = 255
    found = Detector(block_model, provider="cpu").detect(image)
    assert found.class_id.tolist() == [0]
    assert found.confidence == pytest.approx(np.array([0.9]))
    # The model sees whole pixels of its own, and a resized edge is gray: one of them either way.
    assert found.xyxy == pytest.approx(box, abs=max(size) / 128 + 0.01)


@pytest.mark.parametrize(
    ("shape", "dtype", "said", "color"),
    [
        pytest.param([1, 3, SIDE, SIDE], "float32", {}, RED, id="RGB planes, 0 to 1"),
        pytest.param([1, 3, SIDE, SIDE], "float16", {}, RED, id="RGB planes, half precision"),
        pytest.param([1, 3, SIDE, SIDE], "float32", {"color": "BGR"}, BLUE, id="BGR planes"),
        pytest.param([1, SIDE, SIDE, 3], "float32", {}, RED, id="RGB pixels, 0 to 1"),
        pytest.param([1, 3, "h", "w"], "float32", {}, RED, id="open axes"),
    ],
)
def test_the_model_gets_the_color_and_scale_it_wants(
    write_model: ModelWriter,
    shape: list[int | str],
    dtype: str,
    said: dict[str, Any],
    color: tuple[int, int, int],
) -> None:
    detector = Detector(
        write_model(shape=shape, dtype=dtype), overrides=SpecOverrides(head="end2end", **said)
    )
    assert detector.detect(flat(color)).confidence.tolist() == [1.0]
    assert len(detector.detect(flat(RED if color == BLUE else BLUE))) == 0


def test_bytes_go_in_as_they_are(write_model: ModelWriter) -> None:
    path = write_model(shape=[1, SIDE, SIDE, 3], dtype="uint8")
    detector = Detector(path, overrides=SpecOverrides(color="BGR"))
    assert detector.detect(flat((1, 0, 0))).confidence.tolist() == [1.0]


def test_three_steps_are_one(block_model: Path) -> None:
    image = flat((0, 0, 0), (160, 120))
    image[40:80, 20:60] = 255
    detector = Detector(block_model)
    prepared = detector.preprocess(image)
    found = detector.postprocess(detector.infer(prepared), prepared.letterbox)
    whole = detector.detect(image)
    assert np.array_equal(found.xyxy, whole.xyxy)
    assert np.array_equal(found.confidence, whole.confidence)


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_nonsense_is_no_answer(fault: str, tmp_path: Path) -> None:
    detector = Detector(write_faulty_model(tmp_path / "bad.onnx", fault))
    assert len(detector.detect(draw_block(3))) == 1
    with pytest.raises(OutputError, match=r"bad\.onnx: "):
        detector.detect(WHITE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_value_that_is_no_number_makes_no_answer(block_model: Path, dtype: type, value: float) -> None:
    detector = Detector(block_model)
    prepared = detector.preprocess(flat((0, 0, 0), (160, 120)))
    output: NDArray[np.floating] = np.zeros((1, 300, 6), dtype)
    assert len(detector.postprocess([output], prepared.letterbox)) == 0
    output[0, 299, 4] = value
    with pytest.raises(NonFiniteOutputError, match="the output has values that are no finite"):
        detector.postprocess([output], prepared.letterbox)


def test_threads_detect_at_the_same_time_each_in_its_own_image(write_model: ModelWriter) -> None:
    detector = Detector(write_model(), confidence=0.5)
    images = [flat(RED), flat(BLUE, (32, 80))] * 50
    with ThreadPoolExecutor(4) as pool:
        counts = [len(found) for found in pool.map(detector.detect, images)]
    assert counts == [1, 0] * 50


@pytest.mark.parametrize(("cores", "images", "threads"), [(1, 1, 1), (2, 2, 1), (6, 4, 1), (16, 4, 4)])
def test_the_cores_are_shared_out_among_the_images(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch, cores: int, images: int, threads: int
) -> None:
    asked = []
    monkeypatch.setattr("edgeloop.edge.runtime.detector.physical_cores", lambda: cores)
    monkeypatch.setattr(
        "edgeloop.edge.engines.open_engine.Session",
        lambda path, **settings: asked.append(settings) or Session(path),
    )
    assert Detector(write_model(), throughput=True).parallel == images
    assert asked[0]["threads"] == threads
    assert Detector(write_model()).parallel == 1
    assert asked[1]["threads"] == cores


def test_boxes_are_clipped_and_those_in_the_fill_are_left_out(write_model: ModelWriter) -> None:
    # 64 x 32 in a model of 64 x 64: the image lies between the rows 16 and 48.
    rows = [[-9, 20, 70, 40, 0], [5, 0, 20, 15, 0], [10, 10, 30, 60, 1]]
    metadata = {"task": "detect", "names": "['car', 'tram']", "end2end": "True"}
    found = Detector(write_model(rows, metadata=metadata), confidence=0.1).detect(flat(RED, (64, 32)))
    assert found.xyxy.tolist() == [[0, 4, 64, 24], [10, 0, 30, 32]]
    assert found.class_id.tolist() == [0, 1]


def test_confidence_is_the_models_own_unless_said(write_model: ModelWriter) -> None:
    path = write_model()
    assert Detector(path).spec.confidence == 0.25
    assert Detector(path, confidence=0.6).spec.confidence == 0.6
    image = flat((0, 0, 128))
    assert len(Detector(path, confidence=0.4).detect(image)) == 1
    assert len(Detector(path, confidence=0.6).detect(image)) == 0


def test_says_what_it_is(write_model: ModelWriter) -> None:
    path = write_model()
    detector = Detector(str(path), provider="cpu")
    assert (detector.path, detector.provider, detector.names) == (path, "cpu", ("car", "tram"))
    assert detector.spec.head == "end2end"


def test_a_class_without_a_name_is_an_error(write_model: ModelWriter) -> None:
    detector = Detector(write_model([[0, 0, 9, 9, 7]]))
    with pytest.raises(ModelError, match=r"model.onnx: returned the classes 7 to 7, but has names for 2"):
        detector.detect(flat(RED))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((64, 64), np.uint8), id="gray"),
        pytest.param(np.zeros((64, 64, 4), np.uint8), id="with alpha"),
        pytest.param(np.zeros((64, 64, 3), np.float32), id="float"),
        pytest.param(np.zeros((0, 64, 3), np.uint8), id="empty"),
    ],
)
def test_what_is_no_image_is_refused(write_model: ModelWriter, image: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected an image"):
        Detector(write_model()).detect(image)


def test_refusals_name_the_file(write_model: ModelWriter, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pose.onnx: a model of another kind: its task is 'pose'"):
        Detector(write_model(metadata={"task": "pose"}, name="pose.onnx"))
    with pytest.raises(
        ModelError, match=r"bare.onnx: the file does not say .*; `edgeloop run` takes it with --names FILE"
    ):
        Detector(write_model(metadata={}, name="bare.onnx"))
    with pytest.raises(NoInputError, match=r"no.onnx"):
        Detector(tmp_path / "no.onnx")


def test_confidence_outside_its_range_is_refused(write_model: ModelWriter) -> None:
    with pytest.raises(UsageError, match=r"confidence 1.5: expected 0 to 1"):
        Detector(write_model(), confidence=1.5)


EXPORTS: dict[str, dict[str, Any]] = {
    "one-to-many": {},
    "end-to-end": {"nms": False},
    "NMS in the graph": {"nms": True, "conf": 0.01},
    "dynamic": {"dynamic": True},
}


@pytest.fixture(scope="module", params=EXPORTS)
def random_export(
    _slow: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An Ultralytics export of YOLO26n with random weights whose scores spread, at 160 pixels."""
    os.environ.setdefault("YOLO_OFFLINE", "true")
    ultralytics = pytest.importorskip("ultralytics")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export")
    model = ultralytics.YOLO("yolo26n.yaml", verbose=False)
    for layer in model.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # statistics of the batch below, without which signals die out
    with torch.no_grad():
        model.model.train()(torch.nn.functional.interpolate(torch.rand(4, 3, 10, 10), 160, mode="bilinear"))
    head = model.model.model[-1]
    for branch in (*head.cv3, *head.one2one_cv3):
        torch.nn.init.normal_(branch[-1].weight, std=0.1)
        torch.nn.init.constant_(branch[-1].bias, -2)
    model.save(folder / "random.pt")
    model = ultralytics.YOLO(folder / "random.pt")
    wanted = EXPORTS[request.param]
    return Path(model.export(format="onnx", imgsz=160, verbose=False, simplify=False, **wanted))


@pytest.mark.slow
@pytest.mark.parametrize("as_bundle", [False, True])
def test_finds_what_ultralytics_finds(random_export: Path, tmp_path: Path, as_bundle: bool) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    path = random_export
    if as_bundle:  # with our metadata and nothing else
        model = onnx.load(str(random_export))
        onnx.helper.set_model_props(model, Detector(random_export).spec.to_metadata())
        path = tmp_path / "bundle.onnx"
        onnx.save(model, str(path))
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8), (333, 250))
    found = Detector(path, confidence=0.3).detect(image)
    (expected,) = ultralytics.YOLO(path).predict(
        image, conf=0.3, iou=0.7, imgsz=160, max_det=300, rect=False, verbose=False
    )
    # Random weights also make boxes turned inside out, which Ultralytics passes on.
    boxes = expected.boxes.numpy()
    boxes = boxes[(boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(axis=1)]
    assert len(found) == len(boxes) > 100
    assert found.class_id.tolist() == boxes.cls.tolist()
    assert found.confidence == pytest.approx(boxes.conf, abs=1e-6)
    assert found.xyxy == pytest.approx(boxes.xyxy, abs=1e-3)


def coco_model(shared: Path, name: str) -> Detector:
    names = read_names(shared / "data/onnx/coco_classes.txt")
    # The raw head of YOLOX has the shape of one that is decoded; the others are told by their outputs.
    head = SpecOverrides(head="yolox" if name == "yolox_nano" else None)
    return Detector(
        shared / f"data/onnx/{name}.onnx", overrides=SpecOverrides(names=names).with_defaults(head)
    )


@pytest.mark.parametrize("name", ["yolox_nano", "nanodet_m", "FastestDet"])
def test_public_models_find_the_person_in_real_footage(shared: Path, name: str) -> None:
    capture = cv2.VideoCapture(str(shared / "data/clips/one-by-one-person-detection.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 300)
    _, image = capture.read()
    detector = coco_model(shared, name)
    found = detector.detect(image)
    people = found[found.class_id == detector.names.index("person")]
    assert len(people) == 1
    assert len(found) <= 2  # NanoDet sees a laptop, too
    assert iou_matrix(people.xyxy, np.array([[382, 4, 544, 378]], np.float32)).item() > 0.85


def test_the_limit_of_detections_is_said_once_when_it_is_reached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    all_of_them = Detector(write_bundle(tmp_path / "a.onnx"), confidence=0.3, provider="cpu")
    count = len(all_of_them.detect(image))
    assert count > 3
    assert not caplog.records
    few = Detector(
        all_of_them.path, confidence=0.3, provider="cpu", overrides=SpecOverrides(max_detections=3)
    )
    for _ in range(2):
        assert len(few.detect(image)) <= 3
    (record,) = caplog.records
    assert "an image has 3 detections, the maximum; --max-detections" in record.getMessage()


@pytest.mark.parametrize(("name", "least"), [("yolox_nano", 0.7), ("nanodet_m", 0.7), ("FastestDet", 0.4)])
def test_public_models_find_cars_on_the_street(shared: Path, name: str, least: float) -> None:
    street = shared / "data/street"
    truth = json.loads((street / "instances.json").read_text())
    car = next(category["id"] for category in truth["categories"] if category["name"] == "car")
    detector = coco_model(shared, name)
    hits = total = 0
    for image in truth["images"][::60]:
        found = detector.detect(cv2.imread(str(street / "images" / Path(image["file_name"]).name)))
        xywh = [
            a["bbox"] for a in truth["annotations"] if (a["image_id"], a["category_id"]) == (image["id"], car)
        ]
        large = np.array(
            [[x, y, x + w, y + h] for x, y, w, h in xywh if w * h > 40 * 40], np.float32
        ).reshape(-1, 4)
        cars = found[found.class_id == detector.names.index("car")]
        hits += int((iou_matrix(large, cars.xyxy) > 0.5).any(axis=1).sum())
        total += len(large)
    assert total > 20
    assert hits / total > least


def test_yolox_without_a_word_is_refused(shared: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"yolox_nano.onnx: .*; `edgeloop run` takes it with --head end2end\|classic\|.* --names FILE",
    ):
        Detector(shared / "data/onnx/yolox_nano.onnx")


@pytest.mark.parametrize(
    ("said", "classes"),
    [
        pytest.param({}, [1, 0, 0], id="all"),
        pytest.param({"classes": ("car",)}, [0, 0], id="cars"),
        pytest.param({"class_confidence": {"tram": 0.9}}, [0, 0], id="sure trams"),
        pytest.param({"confidence": 0.9, "class_confidence": {"tram": 0.3}}, [1], id="unsure trams alone"),
        pytest.param({"min_size": 20.0}, [1, 0], id="no small ones, in pixels"),
        pytest.param({"max_size": 0.5}, [0, 0], id="no large ones, in shares"),
        pytest.param({"min_size": 0.1, "max_size": 100.0}, [0], id="neither"),
    ],
)
def test_what_to_report(write_model: ModelWriter, said: dict[str, Any], classes: list[int]) -> None:
    rows: list[list[float]] = [[0, 0, 60, 60, 1], [10, 10, 30, 30, 0], [40, 40, 43, 43, 0]]
    detector = Detector(write_model(rows), provider="cpu", overrides=SpecOverrides(**said))
    found = detector.detect(flat((128, 128, 128), (2 * SIDE, 2 * SIDE)))
    assert sorted(found.class_id.tolist(), reverse=True) == classes


def test_the_command_line_says_what_to_report(
    edgeloop: Any, write_model: ModelWriter, tmp_path: Path
) -> None:
    rows: list[list[float]] = [[0, 0, 60, 60, 1], [10, 10, 30, 30, 0], [40, 40, 43, 43, 0]]
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), flat((128, 128, 128)))
    model = write_model(rows)

    def said(*options: object) -> list[str]:
        outcome = edgeloop("run", model, picture, "--json", *options)
        assert outcome.code == 0, outcome.err
        return sorted(box["class"] for box in json.loads(outcome.out)["detections"])

    assert said() == ["car", "car", "tram"]
    assert said("--classes", "tram") == ["tram"]
    assert said("--classes", "0", "--min-size", "10") == ["car"]
    assert said("--class-confidence", "car=0.9,tram=0.1") == ["tram"]
    for options, code in (
        (("--classes", "bus"), 2),
        (("--classes", "car,"), 2),
        (("--class-confidence", "car=1.5"), 2),
        (("--class-confidence", "car"), 2),
        (("--min-size", "1"), 2),
        (("--min-size", "9", "--max-size", "3"), 2),
        (("--tile", "10"), 2),
    ):
        outcome = edgeloop("run", model, picture, *options)
        assert (outcome.code, outcome.out) == (code, ""), options
        assert "Traceback" not in outcome.err
