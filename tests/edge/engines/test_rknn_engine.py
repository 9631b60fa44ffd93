"""RKNN on a board, against a double of rknnlite that records the documented calls."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.engines import open_engine as opening
from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, write_facts
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.errors import ModelError, UnavailableError, UsageError
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256

SIDE, GRID = 64, 8
IMAGE = TensorFacts(name="images", shape=(1, SIDE, SIDE, 3), dtype="uint8")
OUTPUTS = (
    TensorFacts(name="boxes_8", shape=(1, 4, GRID, GRID), dtype="float32"),
    TensorFacts(name="scores_8", shape=(1, 2, GRID, GRID), dtype="float32"),
)


class Lite:
    """One box of 32x32 px in the middle, of the class of the brighter of red and blue."""

    calls: ClassVar[list[tuple[str, Any]]] = []
    codes: ClassVar[dict[str, int]] = {}
    outputs: ClassVar[list[NDArray[np.float32]] | str | None] = "boxes"

    def load_rknn(self, path: str) -> int:
        self.calls.append(("load_rknn", path))
        return self.codes.get("load_rknn", 0)

    def init_runtime(self) -> int:
        self.calls.append(("init_runtime", None))
        return self.codes.get("init_runtime", 0)

    def inference(self, inputs: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]] | None:
        (image,) = inputs
        self.calls.append(("inference", (image.shape, image.dtype, image.flags.c_contiguous)))
        if not isinstance(self.outputs, str):
            return self.outputs
        boxes, scores = (
            np.full((1, 4, GRID, GRID), 2, np.float32),
            np.full((1, 2, GRID, GRID), -9, np.float32),
        )
        red, _, blue = image[0].mean(axis=(0, 1))
        scores[0, int(blue > red), 4, 4] = 3
        return [boxes, scores]

    def release(self) -> None:
        self.calls.append(("release", None))


@pytest.fixture(autouse=True)
def lite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The double, on a board with an RK3588."""
    package, api = ModuleType("rknnlite"), ModuleType("rknnlite.api")
    api.RKNNLite = Lite  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rknnlite", package)
    monkeypatch.setitem(sys.modules, "rknnlite.api", api)
    monkeypatch.setattr(opening, "_is_here", lambda package: package == "rknnlite")
    monkeypatch.setattr(Lite, "calls", [])
    monkeypatch.setattr(Lite, "codes", {})
    board = tmp_path / "compatible"
    board.write_bytes(b"radxa,rock-5b\0rockchip,rk3588\0")
    monkeypatch.setattr("edgeloop.edge.engines.rknn_engine._BOARD", board)
    return monkeypatch


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(folder: Path, chip: str = "rk3588") -> Path:
    path = folder / "parts.rknn"
    path.write_bytes(b"RKNN")
    facts = SpecOverrides(head="raw", names=("disk", "bar"), color="RGB", scale=1.0, stride=8)
    spec = ModelSpec.from_metadata({}, (IMAGE.info,), tuple(each.info for each in OUTPUTS), facts)
    document = EngineFacts(
        engine="rknn",
        sha256=file_sha256(path),
        metadata=spec.to_metadata(),
        inputs=(IMAGE,),
        outputs=OUTPUTS,
        options={"chip": chip},
    )
    write_facts(path, document)
    return path


def test_the_same_loop_runs_it(model: Path) -> None:
    detector = Detector(model)
    assert str(detector.placement) == "rknn on npu, an unknown share of nodes"
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:, :, 0] = 200  # blue, as OpenCV orders colors
    found = detector.detect(image)
    np.testing.assert_allclose(found.xyxy, [[20, 20, 52, 52]])
    assert found.class_id.tolist() == [1]
    assert Lite.calls == [
        ("load_rknn", str(model)),
        ("init_runtime", None),
        ("inference", ((1, SIDE, SIDE, 3), np.uint8, True)),
    ]


def test_closing_releases_it(model: Path) -> None:
    open_engine(model).close()
    assert Lite.calls[-1] == ("release", None)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ("load_rknn", ModelError, "RKNN cannot read it .load_rknn returned -1.; export it again"),
        (
            "init_runtime",
            UnavailableError,
            "did not start .init_runtime returned -1.; the file is for chip 'rk3588'",
        ),
    ],
)
def test_a_code_of_failure_is_an_error(
    lite: pytest.MonkeyPatch, model: Path, call: str, error: type[Exception], says: str
) -> None:
    lite.setattr(Lite, "codes", {call: -1})
    with pytest.raises(error, match=says):
        open_engine(model)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        (None, "parts.rknn: inference failed: RKNN gives no outputs"),
        (
            [np.zeros((1, 4, GRID, GRID), np.float32)],
            r"gives outputs \[\(1, 4, 8, 8\)\], expected \[.* as at export",
        ),
    ],
)
def test_other_outputs_are_an_error(
    lite: pytest.MonkeyPatch, model: Path, outputs: list[NDArray[np.float32]] | None, says: str
) -> None:
    lite.setattr(Lite, "outputs", outputs)
    with pytest.raises(ModelError, match=says):
        open_engine(model).run(np.zeros((1, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize(
    ("board", "chip", "fits"),
    [
        (b"radxa,rock-5a\0rockchip,rk3588s\0", "rk3588", True),
        (b"radxa,zero3\0rockchip,rk3566\0", "rk3568", True),
        (b"radxa,zero3\0rockchip,rk3566\0", "rk3588", False),
        (b"another,board\0", "rk3588", True),
    ],
)
def test_a_file_is_for_a_chip(tmp_path: Path, board: bytes, chip: str, fits: bool) -> None:
    (tmp_path / "compatible").write_bytes(board)
    model = write(tmp_path, chip)
    if fits:
        open_engine(model)
        return
    with pytest.raises(
        ModelError, match="is for the chip 'rk3588', this board has rk3568; export with --chip"
    ):
        open_engine(model)
    assert Lite.calls == []


def test_a_file_that_is_cut_off_is_not_loaded(model: Path) -> None:
    model.write_bytes(b"RKN")
    with pytest.raises(ModelError, match=r"is not the file that parts.rknn.json was written for"):
        open_engine(model)
    assert Lite.calls == []


def test_there_is_no_other_provider(model: Path) -> None:
    with pytest.raises(UsageError, match=r"parts.rknn runs with rknn, expected auto, npu"):
        open_engine(model, provider="cpu")


def test_a_desk_is_told_where_it_ran(lite: pytest.MonkeyPatch, model: Path) -> None:
    lite.setattr(opening, "_is_here", lambda _package: False)
    with pytest.raises(
        UnavailableError, match=r"on the board pip install .*the export ran it in Rockchip's simulator"
    ):
        open_engine(model)
