"""Statistics of the training frames in a bundle: written, read, shown, used in a run, refused if broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeloop.edge.drift.learn_statistics import learn_statistics
from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, read_facts, write_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.models.bundle.document import BUNDLE_KEY, Record, read_document
from edgeloop.models.bundle.frame_statistics import FrameStatistics, pack
from edgeloop.models.errors import ModelError
from edgeloop.models.weights.digest import file_sha256
from tests.calls import Outcome
from tests.meter import ModelWriter

BELT = "synth:conveyor?seed=3&size=320x240"


@pytest.fixture(scope="module")
def known() -> FrameStatistics:
    with open_source(f"{BELT}&step=60&frames=40", LivePolicy()) as source:
        frames = [frame.image for frame in source]
    found = learn_statistics(frames[:32], frames[32:])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def bundle(block_model: Path, known: FrameStatistics, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finder of blocks, as if it had been trained on the conveyor."""
    path = tmp_path_factory.mktemp("drift") / "block.onnx"
    model = onnx.load(str(block_model))
    onnx.helper.set_model_props(model, Detector(block_model).spec.to_metadata(Record(frames=known)))
    onnx.save(model, str(path))
    return path


def test_a_detector_knows_its_training_frames(
    bundle: Path, known: FrameStatistics, write_model: ModelWriter
) -> None:
    assert Detector(bundle).frames == known
    assert Detector(write_model()).frames is None  # Ultralytics' export says nothing of them


def test_a_run_tells_of_drift_once_and_sums_it_up(
    bundle: Path, edgeloop: Callable[..., Outcome], tmp_path: Path
) -> None:
    figures = tmp_path / "run.json"
    same = edgeloop("run", bundle, f"{BELT}&start=9000&step=90&frames=10", "--summary", figures)
    assert same.code == 0, same.err
    assert "drift," not in same.err
    assert "  drift     10 looks: 100% ok" in same.err
    assert json.loads(figures.read_text())["drift"] == {
        "looks": 10, "ok": 1.0, "blind": 0.0, "moved": 0.0, "unfamiliar": 0.0
    }  # fmt: skip
    other = edgeloop("run", bundle, "synth:conveyor?seed=5&size=320x240&step=90&frames=10")
    assert other.err.count("drift, moved: the camera was moved") == 1
    assert "  drift     10 looks: 100% moved" in other.err


def test_nothing_is_said_of_a_model_without_statistics(
    block_model: Path, edgeloop: Callable[..., Outcome], tmp_path: Path
) -> None:
    figures = tmp_path / "run.json"
    done = edgeloop("run", block_model, f"{BELT}&step=90&frames=10", "--summary", figures)
    assert done.code == 0, done.err
    assert "drift" not in done.err
    assert "drift" not in json.loads(figures.read_text())


def test_inspect_shows_one_line(bundle: Path, edgeloop: Callable[..., Outcome]) -> None:
    lines = [line for line in edgeloop("inspect", bundle).out.splitlines() if line.startswith("drift")]
    assert len(lines) == 1
    assert "known by 32 training frames, of one view, brightness" in lines[0]
    shown = json.loads(edgeloop("inspect", bundle, "--json").out)["record"]["frames"]
    assert shown["frames"] == 32
    assert not {"mean", "axes", "edges"} & shown.keys()


def test_the_facts_of_another_engine_hold_them_too(
    bundle: Path, known: FrameStatistics, tmp_path: Path
) -> None:
    model = tmp_path / "parts.other"
    model.write_bytes(b"layers and weights")
    tensor = TensorFacts(name="in0", shape=(1, 3, 64, 96), dtype="uint8")
    metadata = Detector(bundle).spec.to_metadata(Record(frames=known))
    write_facts(
        model,
        EngineFacts(
            engine="other", sha256=file_sha256(model), metadata=metadata, inputs=(tensor,), outputs=(tensor,)
        ),
    )
    document = read_document(read_facts(model, "other").metadata)
    assert document is not None
    assert document.record.frames == known


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        pytest.param("mean", "AAAA", "mean: 3 bytes, expected 264", id="too short"),
        pytest.param("axes", "*", "pattern", id="no base64"),
        pytest.param("mean", pack(np.full(132, np.nan, np.float16)), "finite", id="no numbers"),
        pytest.param("scale", pack(np.zeros(132, np.float16)), "positive", id="division by zero"),
        pytest.param("edges", "A" * 40_004, "characters", id="too long"),
        pytest.param("limit", 0, "greater than 0", id="no limit"),
        pytest.param("descriptor", 2, "1", id="another description"),
        pytest.param("secret", 1, "secret", id="an unknown field"),
    ],
)
def test_broken_statistics_are_refused_in_one_line(bundle: Path, key: str, value: Any, said: str) -> None:
    metadata = dict(Detector(bundle).metadata)
    document = json.loads(metadata[BUNDLE_KEY])
    document["record"]["frames"][key] = value
    with pytest.raises(ModelError, match=f"^metadata '{BUNDLE_KEY}', .*frames.*{said}") as refused:
        read_document({BUNDLE_KEY: json.dumps(document)})
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("version", [1, 2])
def test_documents_of_earlier_schemas_are_read(bundle: Path, version: int) -> None:
    document = json.loads(Detector(bundle).metadata[BUNDLE_KEY])
    document["schema_version"] = version
    del document["record"]["frames"]
    found = read_document({BUNDLE_KEY: json.dumps(document)})
    assert found is not None
    assert found.record.frames is None
