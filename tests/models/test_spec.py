from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeloop.models.bundle.document import BUNDLE_KEY, Golden, Measured, Record, read_document
from edgeloop.models.errors import ModelError, UsageError
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.heads import HEADS
from edgeloop.models.spec import ModelSpec

Shape = tuple[int | None, ...]

ULTRALYTICS = {
    "description": "Ultralytics YOLO11n model",
    "author": "Ultralytics",
    "version": "8.4.0",
    "task": "detect",
    "head": "Detect",
    "stride": "32",
    "batch": "1",
    "channels": "3",
    "imgsz": "[256, 320]",
    "names": "{0: 'car', 1: 'tram'}",
    "args": "{'batch': 1, 'nms': None, 'dynamic': False}",
    "end2end": "False",
}
TWO = SpecOverrides(names=("car", "tram"))


def image(shape: Shape = (1, 3, 256, 320), dtype: str = "float32") -> list[TensorInfo]:
    return [TensorInfo("images", shape, dtype)]


def output(*shape: int | None, dtype: str = "float32") -> list[TensorInfo]:
    return [TensorInfo("output0", shape, dtype)]


def cells(width: int, height: int) -> int:
    return sum((width // stride) * (height // stride) for stride in (8, 16, 32))


CLASSIC = output(1, 6, cells(320, 256))
END2END = output(1, 300, 6)
NANODET = [
    *(output(1, cells, 2)[0] for cells in (1280, 320, 80)),
    *(output(1, cells, 32)[0] for cells in (1280, 320, 80)),
]
YOLOX = output(1, cells(320, 256), 7)


def test_a_grid_of_another_size_is_classic_if_the_file_has_names_for_it() -> None:
    assert ModelSpec.from_metadata(ULTRALYTICS, image(), output(1, 6, 400)).head == "classic"
    with pytest.raises(ModelError, match="a model of another kind"):
        ModelSpec.from_metadata({}, image(), output(1, 7, 400))


def bundle() -> ModelSpec:
    return ModelSpec.from_metadata(
        ULTRALYTICS, image(), CLASSIC, SpecOverrides(confidence=0.4, iou=0.5, pad_value=0, max_detections=50)
    )


@pytest.mark.parametrize(
    ("change", "outputs", "head"),
    [
        pytest.param({}, CLASSIC, "classic", id="dense head"),
        pytest.param({"end2end": "True"}, END2END, "end2end", id="head without NMS"),
        pytest.param({"args": "{'nms': True}"}, END2END, "end2end", id="NMS in the graph"),
        pytest.param({"head": "v10Detect", "end2end": "True"}, END2END, "end2end", id="YOLOv10"),
    ],
)
def test_an_ultralytics_export_explains_itself(
    change: dict[str, str], outputs: list[TensorInfo], head: str
) -> None:
    spec = ModelSpec.from_metadata({**ULTRALYTICS, **change}, image(), outputs)
    assert spec.head == head
    assert spec.input_size == (320, 256)
    assert spec.names == ("car", "tram")
    assert (spec.color, spec.scale, spec.layout, spec.dtype) == ("RGB", 255.0, "NCHW", "float32")
    assert (spec.centered, spec.pad_value, spec.confidence, spec.iou) == (True, 114, 0.25, 0.7)


def test_an_old_ultralytics_export_without_end2end_is_told_by_its_shape() -> None:
    old = {key: value for key, value in ULTRALYTICS.items() if key not in ("end2end", "args", "head")}
    assert ModelSpec.from_metadata(old, image(), CLASSIC).head == "classic"
    assert ModelSpec.from_metadata(old, image(), END2END).head == "end2end"


def test_open_axes_are_filled_from_the_metadata() -> None:
    spec = ModelSpec.from_metadata(ULTRALYTICS, image((None, 3, None, None)), output(None, 6, None))
    assert (spec.head, spec.input_size) == ("classic", (320, 256))


def test_the_user_may_choose_the_size_of_open_axes() -> None:
    spec = ModelSpec.from_metadata(
        ULTRALYTICS, image((1, 3, None, None)), output(1, 6, None), SpecOverrides(input_size=(640, 384))
    )
    assert spec.input_size == (640, 384)


def test_half_precision_input() -> None:
    assert ModelSpec.from_metadata(ULTRALYTICS, image(dtype="float16"), CLASSIC).dtype == "float16"


@pytest.mark.parametrize(
    ("outputs", "head"),
    [
        pytest.param(END2END, "end2end", id="a list of boxes"),
        pytest.param(CLASSIC, "classic", id="a dense head"),
    ],
)
def test_without_metadata_names_are_enough_where_the_shape_tells_the_head(
    outputs: list[TensorInfo], head: str
) -> None:
    spec = ModelSpec.from_metadata({}, image(), outputs, TWO)
    assert (spec.head, spec.input_size, spec.names) == (head, (320, 256), ("car", "tram"))


def test_yolox_needs_its_name_and_brings_its_conventions() -> None:
    spec = ModelSpec.from_metadata({}, image(), YOLOX, SpecOverrides(head="yolox").with_defaults(TWO))
    assert (spec.head, spec.color, spec.scale, spec.centered, spec.pad_value) == (
        "yolox",
        "BGR",
        1.0,
        False,
        114,
    )


def test_nanodet_is_told_by_its_six_outputs_and_brings_its_conventions() -> None:
    spec = ModelSpec.from_metadata({}, image(), NANODET, TWO)
    assert (spec.head, spec.color, spec.scale, spec.centered, spec.pad_value) == (
        "nanodet",
        "BGR",
        1.0,
        True,
        0,
    )
    assert spec.mean == (103.53, 116.28, 123.675)
    assert spec.std == (57.375, 57.12, 58.395)


def test_fastestdet_is_told_by_its_grid_and_takes_stretched_images() -> None:
    spec = ModelSpec.from_metadata({}, image(), output(1, 7, 16, 20), TWO)
    assert (spec.head, spec.color, spec.scale, spec.stretched) == ("fastestdet", "BGR", 255.0, True)


def test_bytes_are_not_normalized_twice() -> None:
    spec = ModelSpec.from_metadata(
        {}, image(dtype="uint8"), NANODET, TWO.with_defaults(SpecOverrides(color="BGR"))
    )
    assert (spec.mean, spec.std) == ((0, 0, 0), (1, 1, 1))


def test_the_user_has_the_last_word_on_conventions() -> None:
    said = SpecOverrides(color="BGR", scale=1.0, centered=False, confidence=0.5, iou=0.3, pad_value=0)
    spec = ModelSpec.from_metadata(ULTRALYTICS, image(), CLASSIC, said)
    assert said.model_dump(exclude_none=True).items() <= spec.model_dump().items()


def chosen(metadata: dict[str, str] = ULTRALYTICS, **said: Any) -> ModelSpec:
    return ModelSpec.from_metadata(metadata, image(), CLASSIC, SpecOverrides(**said))


def test_classes_are_chosen_by_name_or_number() -> None:
    assert chosen(classes=("1",)).classes == ("tram",)
    assert chosen(classes=("car", "tram")).class_scores == (0.25, 0.25)
    assert chosen(classes=("tram",)).class_scores == (math.inf, 0.25)


def test_a_class_has_its_own_minimum() -> None:
    spec = chosen(class_confidence={"car": 0.1, "1": 0.8})
    assert (spec.class_scores, spec.lowest_confidence) == ((0.1, 0.8), 0.1)
    assert chosen(class_confidence={"car": 0.1}, classes=("tram",)).lowest_confidence == 0.25


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"classes": ("bus",)}, "the model has no class 'bus'; it has car, tram", id="a class"),
        pytest.param({"classes": ("2",)}, "no class '2'", id="a number"),
        pytest.param({"class_confidence": {"bus": 0.5}}, "no class 'bus'", id="a minimum"),
        pytest.param({"min_size": 50.0, "max_size": 20.0}, "expected the first to be smaller", id="sizes"),
    ],
)
def test_choices_that_nothing_can_meet_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chosen(**said)


def test_a_bundle_carries_what_to_report() -> None:
    said: dict[str, Any] = {
        "classes": ("tram",),
        "class_confidence": {"tram": 0.6},
        "min_size": 0.02,
        "max_size": 400.0,
        "tile": 640,
        "tile_overlap": 0.3,
    }
    metadata = chosen(**said).to_metadata()
    again = chosen(metadata)
    assert said.items() <= again.model_dump().items()
    # What the user says for all classes is meant for all.
    assert chosen(metadata, confidence=0.9).class_scores == (math.inf, 0.9)
    assert chosen(metadata, classes=("car",)).classes == ("car",)
    with pytest.raises(ModelError, match="no class 'bus'"):
        chosen({**metadata, BUNDLE_KEY: metadata[BUNDLE_KEY].replace('["tram"]', '["bus"]')})


def test_a_bundle_without_choices_is_read_by_earlier_versions() -> None:
    document = json.loads(chosen().to_metadata()[BUNDLE_KEY])
    assert (
        not {"classes", "class_confidence", "min_size", "max_size", "tile", "tile_overlap"}
        & document["model"].keys()
    )


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 5) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
VALUES = (
    st.text(max_size=30) | LITERALS.map(repr) | st.from_regex(r"[\[{(]{1,9}[0-9,:'ec. ]{0,12}[\]})]{0,9}")
)
SHAPES = st.lists(st.none() | st.sampled_from([1, 2, 4, 6, 7, 85, 300, 1680, 5040]), max_size=5).map(tuple)


def refusal(metadata: dict[str, str], outputs: list[TensorInfo]) -> str:
    """Message with which a model is refused; "" if it is read."""
    try:
        ModelSpec.from_metadata(metadata, image(), outputs)
    except ModelError as error:
        return str(error)
    return ""


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*ULTRALYTICS, BUNDLE_KEY]), VALUES, max_size=4),
    st.booleans(),
    st.lists(st.tuples(SHAPES, st.sampled_from(["float32", "int64", "string"])), max_size=3),
)
def test_any_metadata_and_any_outputs_are_read_or_refused(
    change: dict[str, str], ours: bool, outputs: list[tuple[Shape, str]]
) -> None:
    tensors = [TensorInfo(f"output{number}", *each) for number, each in enumerate(outputs)]
    assert "\n" not in refusal({**(ULTRALYTICS if ours else {}), **change}, tensors or CLASSIC)


def spoiled(document: Any, draw: st.DataObject) -> Any:
    """A bundle's document with one of its values, at any depth, replaced."""
    if isinstance(document, dict) and document and draw.draw(st.integers(0, 3)):
        key = draw.draw(st.sampled_from(sorted(document)))
        return {**document, key: spoiled(document[key], draw)}
    return draw.draw(LITERALS)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_document_is_read_or_refused(data: st.DataObject) -> None:
    document = json.loads(bundle().to_metadata()[BUNDLE_KEY])
    text = json.dumps(spoiled(document, data))
    assert "\n" not in refusal({**ULTRALYTICS, BUNDLE_KEY: text}, CLASSIC)


def test_bytes_go_in_unscaled_and_their_color_must_be_said() -> None:
    inputs = image((1, 256, 320, 3), "uint8")
    with pytest.raises(ModelError, match=r"takes it with --color RGB\|BGR$"):
        ModelSpec.from_metadata(ULTRALYTICS, inputs, CLASSIC)
    spec = ModelSpec.from_metadata(ULTRALYTICS, inputs, CLASSIC, SpecOverrides(color="BGR"))
    assert (spec.layout, spec.dtype, spec.scale, spec.color) == ("NHWC", "uint8", 1.0, "BGR")


@pytest.mark.parametrize(
    ("inputs", "outputs", "said", "missing"),
    [
        pytest.param(image(), END2END, SpecOverrides(), "--names FILE", id="names"),
        pytest.param(image(), YOLOX, SpecOverrides(), "--head {HEADS} --names FILE", id="head and names"),
        pytest.param(
            image((1, 3, None, None)),
            output(1, None, 6),
            SpecOverrides(),
            "--head {HEADS} --names FILE --input-size WIDTHxHEIGHT",
            id="nearly all",
        ),
        pytest.param(
            image((1, 3, None, None)),
            END2END,
            TWO,
            "--head {HEADS} --input-size WIDTHxHEIGHT",
            id="size",
        ),
    ],
)
def test_what_is_missing_is_asked_for(
    inputs: list[TensorInfo], outputs: list[TensorInfo], said: SpecOverrides, missing: str
) -> None:
    with pytest.raises(ModelError) as refused:
        ModelSpec.from_metadata({}, inputs, outputs, said)
    wanted = f"`edgeloop run` takes it with {missing}".format(HEADS="|".join(HEADS))
    assert str(refused.value).endswith(wanted)
    assert "\n" not in str(refused.value)


def tensors(**shapes: Shape) -> list[TensorInfo]:
    dtypes = {"labels": "int64"}
    return [TensorInfo(name, shape, dtypes.get(name, "float32")) for name, shape in shapes.items()]


TRIPLE = tensors(labels=(None, 300), boxes=(None, 300, 4), scores=(None, 300))
LOGITS = tensors(logits=(1, 300, 2), pred_boxes=(1, 300, 4))
RF_DETR = [TensorInfo("dets", (1, 300, 4), "float32"), TensorInfo("labels", (1, 300, 2), "float32")]
SIZED = [*image(), TensorInfo("orig_target_sizes", (None, 2), "int64")]


@pytest.mark.parametrize(
    ("inputs", "outputs", "head", "stride"),
    [
        pytest.param(image(), output(1, 5040, 7), "yolov5", 32, id="YOLOv5"),
        pytest.param(image(), output(1, 5040, 6), "yolov5", 32, id="YOLOv5 of one class"),
        pytest.param(
            image(),
            [*output(1, 5040, 7), *tensors(a=(1, 3, 32, 40, 7), b=(1, 3, 16, 20, 7), c=(1, 3, 8, 10, 7))],
            "yolov5",
            32,
            id="YOLOv5 with its feature maps",
        ),
        pytest.param(image(), output(1, 5100, 7), "yolov5", 64, id="YOLOv5 P6"),
        pytest.param(image(), output(None, 7), "end2end", 32, id="YOLOv7 with NMS"),
        pytest.param(image(), output(1, 6, 6800), "classic", 32, id="a P2 head"),
        pytest.param(image(), output(1, 6, 1700), "classic", 64, id="a P6 head"),
        pytest.param(SIZED, TRIPLE, "detr", 1, id="RT-DETR or D-FINE"),
        pytest.param(image(), LOGITS, "detr", 1, id="transformers"),
        pytest.param(image(), RF_DETR, "detr", 1, id="RF-DETR"),
    ],
)
def test_the_heads_of_other_families_are_told_by_their_shapes(
    inputs: list[TensorInfo], outputs: list[TensorInfo], head: str, stride: int
) -> None:
    names = SpecOverrides(names=("car",)) if outputs[0].shape == (1, 5040, 6) else TWO
    spec = ModelSpec.from_metadata({}, inputs, outputs, names)
    assert (spec.head, spec.stride, spec.color, spec.scale) == (head, stride, "RGB", 255.0)
    assert spec.stretched == (head == "detr")
    assert any(spec.mean) == (outputs is RF_DETR)


@pytest.mark.parametrize(
    ("metadata", "outputs"),
    [
        pytest.param({"head": "RTDETRDecoder", "end2end": "False"}, output(1, 300, 6), id="score and class"),
        pytest.param({}, output(1, 300, 7), id="a score per class"),
    ],
)
def test_the_rt_detr_of_ultralytics(metadata: dict[str, str], outputs: list[TensorInfo]) -> None:
    names = {"names": "{0: 'car', 1: 'tram', 2: 'bus'}", "task": "detect", "stride": "32"}
    spec = ModelSpec.from_metadata({**names, **metadata}, image(), outputs)
    assert (spec.head, spec.stretched) == ("detr", True)


def test_a_yolov5_with_open_axes_is_told_by_its_metadata() -> None:
    metadata = {"stride": "32", "names": "{0: 'car', 1: 'tram'}"}
    said = SpecOverrides(input_size=(320, 256))
    spec = ModelSpec.from_metadata(metadata, image((None, 3, None, None)), output(None, None, 7), said)
    assert spec.head == "yolov5"


@pytest.mark.parametrize(
    ("inputs", "outputs", "family"),
    [
        pytest.param(
            image(),
            tensors(a=(1, 3, 32, 40, 7), b=(1, 3, 16, 20, 7), c=(1, 3, 8, 10, 7)),
            "YOLOv5 or YOLOv7 before decoding; export again, YOLOv7 with --grid",
            id="raw YOLOv7",
        ),
        pytest.param(
            image(), tensors(a=(1, 21, 32, 40), b=(1, 21, 16, 20)), "before decoding; export", id="maps"
        ),
        pytest.param(
            image(),
            tensors(a=(1, 5040, 39), b=(1, 32, 64, 80)),
            "a segmentation model, not as YOLOv8",
            id="segments of YOLOv5",
        ),
        pytest.param(
            image(),
            tensors(a=(1, 300, 38), b=(1, 32, 64, 80)),
            "segmentation with NMS in its graph.*nms=None",
            id="segments after NMS",
        ),
        pytest.param(
            image(),
            tensors(a=(1, 19, 256, 320)),
            "semantic segmentation.*--task segment",
            id="classes of pixels",
        ),
        pytest.param(
            image(),
            tensors(num_dets=(1, 1), det_boxes=(1, 100, 4), det_scores=(1, 100), det_classes=(1, 100)),
            "TensorRT or TensorFlow in the graph; export again without",
            id="NMS of TensorRT",
        ),
        pytest.param(
            image(), tensors(boxes=(1, 1680, 4), scores=(1, 1680, 2)), "YOLO-NAS, PP-YOLOE", id="YOLO-NAS"
        ),
        pytest.param(
            image(), tensors(boxes=(None, 4), labels=(None,), scores=(None,)), "torchvision", id="torchvision"
        ),
        pytest.param(
            [
                TensorInfo("im_shape", (1, 2), "float32"),
                *image(),
                TensorInfo("scale_factor", (1, 2), "float32"),
            ],
            TRIPLE,
            "PaddleDetection .*; export RT-DETR",
            id="Paddle",
        ),
        pytest.param(
            [*image(), TensorInfo("pixel_mask", (1, 64, 64), "int64")], LOGITS, "DETR or YOLOS", id="DETR"
        ),
    ],
)
def test_a_family_that_is_not_read_is_named_with_the_way_out(
    inputs: list[TensorInfo], outputs: list[TensorInfo], family: str
) -> None:
    with pytest.raises(ModelError, match=f"^a model of another kind: .*{family}") as refused:
        ModelSpec.from_metadata({}, inputs, outputs, TWO)
    assert "\n" not in str(refused.value)


def test_a_class_for_no_object_is_not_read() -> None:
    with pytest.raises(ModelError, match="has 2 classes, but there are 1 names; DETR and YOLOS"):
        ModelSpec.from_metadata({}, image(), LOGITS, SpecOverrides(names=("car",)))


@pytest.mark.parametrize(
    ("metadata", "inputs", "outputs"),
    [
        pytest.param({"task": "segment"}, image(), CLASSIC, id="segmentation"),
        pytest.param({"task": "pose"}, image(), CLASSIC, id="pose"),
        pytest.param({"task": "classify"}, image(), output(1, 1000), id="classification"),
        pytest.param({}, image(), [*CLASSIC, *CLASSIC], id="two outputs"),
        pytest.param({}, image(), output(1, 85, 22, 22), id="a grid of another size"),
        pytest.param({}, image(), output(1, 25200, 85), id="YOLOv5 of another size"),
        pytest.param({}, image(), output(1, 300, 6, dtype="int64"), id="integers out"),
        pytest.param({}, [*image(), *image()], END2END, id="two inputs"),
        pytest.param({}, image((1, 128)), END2END, id="text in"),
        pytest.param({}, image((1, 1, 256, 320)), END2END, id="gray in"),
        pytest.param({}, image(dtype="int64"), END2END, id="integers in"),
        pytest.param({}, [], [], id="nothing in or out"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    metadata: dict[str, str], inputs: list[TensorInfo], outputs: list[TensorInfo]
) -> None:
    with pytest.raises(ModelError, match=r"^a model of another kind: .*expected"):
        ModelSpec.from_metadata(metadata, inputs, outputs, TWO)


@pytest.mark.parametrize(
    ("metadata", "inputs", "outputs", "said", "message"),
    [
        pytest.param(
            ULTRALYTICS,
            image((4, 3, 256, 320)),
            CLASSIC,
            SpecOverrides(),
            "batch of 1",
            id="batch of four in",
        ),
        pytest.param(
            ULTRALYTICS, image(), output(4, 6, 1680), SpecOverrides(), "batch of 1", id="batch of four out"
        ),
        pytest.param(
            ULTRALYTICS, image((1, 3, 8, 8)), CLASSIC, SpecOverrides(), "16 to 8192 pixels", id="a tiny input"
        ),
        pytest.param(
            ULTRALYTICS, image((1, 3, 9000, 64)), CLASSIC, SpecOverrides(), "16 to 8192", id="a giant input"
        ),
        pytest.param(
            ULTRALYTICS,
            image(),
            CLASSIC,
            SpecOverrides(input_size=(640, 640)),
            r"input_size: the graph takes \(320, 256\), but \(640, 640\) was stated",
            id="another size",
        ),
        pytest.param(
            {**ULTRALYTICS, "names": "['car']"},
            image(),
            CLASSIC,
            SpecOverrides(),
            "has 2 classes, but there are 1 names",
            id="too few names",
        ),
        pytest.param(
            {},
            image(),
            CLASSIC,
            SpecOverrides(head="yolox").with_defaults(TWO),
            "taken for 'yolox'",
            id="another head",
        ),
        pytest.param(
            {},
            image(),
            NANODET[:3],
            SpecOverrides(head="nanodet").with_defaults(TWO),
            "taken for 'nanodet'",
            id="half",
        ),
        pytest.param(
            {}, image(), NANODET, SpecOverrides(names=("car",)), "has 2 classes, but there are 1", id="names"
        ),
        pytest.param(
            {},
            image(),
            END2END,
            SpecOverrides(head="classic").with_defaults(TWO),
            "has 296 classes",
            id="yet another",
        ),
        pytest.param(
            ULTRALYTICS,
            image((1, 3, None, None)),
            output(1, 6, None),
            SpecOverrides(input_size=(300, 300)),
            "multiples of the stride, 32",
            id="not a multiple of the stride",
        ),
    ],
)
def test_facts_that_contradict_the_graph_are_refused(
    metadata: dict[str, str],
    inputs: list[TensorInfo],
    outputs: list[TensorInfo],
    said: SpecOverrides,
    message: str,
) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_metadata(metadata, inputs, outputs, said)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("imgsz", "[1000000, 320]", id="a giant input"),
        pytest.param("imgsz", "[0, 320]", id="an empty input"),
        pytest.param("imgsz", "[320.5, 320]", id="half a pixel"),
        pytest.param("imgsz", "'320'", id="text for a size"),
        pytest.param("imgsz", "[1, 2, 3]", id="three sides"),
        pytest.param("stride", "0", id="no stride"),
        pytest.param("stride", "1e9", id="a giant stride"),
        pytest.param("stride", "[8]", id="a list of strides"),
        pytest.param("names", "{0: 'car', 5: 'tram'}", id="names with gaps"),
        pytest.param("names", "open('/etc/passwd')", id="code"),
        pytest.param("names", f"{{'{'9' * 5000}': 'car'}}", id="an endless number"),
        pytest.param("args", "{" * 1000, id="a tower"),
        pytest.param("end2end", "maybe", id="no truth value"),
    ],
)
def test_absurd_metadata_is_refused(key: str, value: str) -> None:
    with pytest.raises(ModelError, match=f"^metadata '({key}|input_size)") as refused:
        ModelSpec.from_metadata({**ULTRALYTICS, key: value}, image((1, 3, None, None)), output(1, 6, None))
    assert "\n" not in str(refused.value)


def test_a_bundle_says_all() -> None:
    record = Record(
        created="2026-01-31T12:00:00+00:00",
        precision="fp32",
        dataset_sha256="a" * 64,
        measured=Measured(map50=0.9, map50_95=0.6, parity=1.0, latency_ms=7.5),
        golden=Golden(input_sha256="b" * 64, output_sha256="c" * 64),
    )
    metadata = bundle().to_metadata(record)
    assert ModelSpec.from_metadata(metadata, image(), CLASSIC) == bundle()
    document = read_document(metadata)
    assert document is not None
    assert document.record == record


def test_a_bundle_carries_what_ultralytics_reads() -> None:
    metadata = bundle().to_metadata()
    without_ours = {key: value for key, value in metadata.items() if key != BUNDLE_KEY}
    spec = ModelSpec.from_metadata(without_ours, image(), CLASSIC)
    assert (spec.head, spec.input_size, spec.names) == ("classic", (320, 256), ("car", "tram"))
    assert metadata["task"] == "detect"
    assert metadata["imgsz"] == "[256, 320]"


def test_a_bundle_with_bytes_in_says_its_color() -> None:
    inputs = image((1, 256, 320, 3), "uint8")
    spec = ModelSpec.from_metadata(ULTRALYTICS, inputs, CLASSIC, SpecOverrides(color="BGR"))
    assert ModelSpec.from_metadata(spec.to_metadata(), inputs, CLASSIC) == spec


def test_a_yolox_bundle_does_not_claim_that_ultralytics_can_run_it() -> None:
    spec = ModelSpec.from_metadata({}, image(), YOLOX, SpecOverrides(head="yolox").with_defaults(TWO))
    metadata = spec.to_metadata()
    assert list(metadata) == [BUNDLE_KEY]
    assert ModelSpec.from_metadata(metadata, image(), YOLOX) == spec


def test_no_document_where_there_is_no_bundle() -> None:
    assert read_document(ULTRALYTICS) is None


def changed(**change: Any) -> str:
    document = json.loads(bundle().to_metadata()[BUNDLE_KEY])
    for path, value in change.items():
        *parents, key = path.split("__")
        target = document
        for parent in parents:
            target = target[parent]
        target[key] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no model"),
        pytest.param("[" * 100_000, id="a tower"),
        pytest.param(" " * ((1 << 20) + 1), id="too long"),
        pytest.param(changed(schema_version=4), id="a later schema"),
        pytest.param(changed(model__input_size=[10**9, 320]), id="a giant input"),
        pytest.param(changed(model__confidence=1.5), id="confidence above one"),
        pytest.param(changed(model__scale=0), id="division by zero"),
        pytest.param(changed(model__scale=float("nan")), id="no number"),
        pytest.param(changed(model__max_detections=10**12), id="endless detections"),
        pytest.param(changed(model__names=["a\x1b[2J", "b"]), id="terminal control in a name"),
        pytest.param(changed(model__head="centernet"), id="another head"),
        pytest.param(changed(model__color="GRB"), id="another color"),
        pytest.param(changed(model__secret=1), id="an unknown fact"),
        pytest.param(changed(record__dataset_sha256="abc"), id="a short digest"),
        pytest.param(changed(record__created="\x1b[2J"), id="terminal control in the date"),
    ],
)
def test_an_absurd_bundle_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=f"^metadata '{BUNDLE_KEY}'") as refused:
        ModelSpec.from_metadata({**ULTRALYTICS, BUNDLE_KEY: text}, image(), CLASSIC)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError):
        bundle().confidence = 0.1


SEGMENTS = [
    TensorInfo("output0", (1, 38, 1680), "float32"),
    TensorInfo("output1", (1, 32, 64, 80), "float32"),
]


@pytest.mark.parametrize(
    ("metadata", "outputs"),
    [
        pytest.param(
            {**ULTRALYTICS, "task": "segment", "head": "Segment"}, SEGMENTS, id="said by Ultralytics"
        ),
        pytest.param({"names": "{0: 'car', 1: 'tram'}"}, SEGMENTS, id="told by the shapes"),
        pytest.param(
            {**ULTRALYTICS, "task": "segment"},
            [
                TensorInfo("output0", (1, None, None), "float16"),
                TensorInfo("output1", (1, None, None, None), "float16"),
            ],
            id="open axes",
        ),
    ],
)
def test_a_segmentation_model_is_run_as_ultralytics_runs_it(
    metadata: dict[str, str], outputs: list[TensorInfo]
) -> None:
    spec = ModelSpec.from_metadata(metadata, image(), outputs)
    assert (spec.head, spec.stride, spec.color, spec.centered, spec.iou) == ("segment", 32, "RGB", True, 0.7)
    again = spec.to_metadata(Record(measured=Measured(map50=0.5, mask_map50=0.4)))
    assert (again["task"], again["end2end"]) == ("segment", "False")
    assert ModelSpec.from_metadata(again, image(), outputs) == spec
    document = read_document(again)
    assert document is not None
    assert document.record.measured.mask_map50 == 0.4


def test_a_detectors_record_says_nothing_of_masks() -> None:
    detector = ModelSpec.from_metadata(ULTRALYTICS, image(), CLASSIC)
    text = detector.to_metadata(Record(measured=Measured(map50=0.5)))[BUNDLE_KEY]
    assert "mask" not in text


@pytest.mark.parametrize(
    ("metadata", "outputs", "message"),
    [
        pytest.param({"end2end": "True"}, SEGMENTS, "NMS in its graph", id="end to end"),
        pytest.param(
            {"args": "{'batch': 1, 'nms': True}", "end2end": "False"},
            SEGMENTS,
            "NMS in its graph",
            id="NMS within",
        ),
        pytest.param(
            {"names": "{0: 'car'}"}, SEGMENTS, "has 2 classes, but there are 1 names", id="other names"
        ),
        pytest.param({}, [SEGMENTS[0], TensorInfo("b", (1, 32, 32, 40), "float32")], "taken for", id="half"),
        pytest.param({}, SEGMENTS[::-1], "taken for", id="prototypes first"),
    ],
)
def test_a_segmentation_model_that_is_not_read(
    metadata: dict[str, str], outputs: list[TensorInfo], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_metadata({**ULTRALYTICS, "task": "segment", **metadata}, image(), outputs)
