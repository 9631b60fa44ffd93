"""Facts beside a model file: of this file, of this engine, undamaged, or refused in one line."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, read_facts, write_facts
from edgeloop.models.errors import EdgeloopError, ModelError, NoInputError, UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.weights.digest import file_sha256


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of the engine `other`, with its facts."""
    path = tmp_path / "parts.other"
    path.write_bytes(b"layers and weights")
    tensor = TensorFacts(name="in0", shape=(1, 3, 64, 96), dtype="uint8")
    facts = EngineFacts(
        engine="other", sha256=file_sha256(path), metadata={"names": "{0: 'Schräubchen'}"},
        inputs=(tensor,), outputs=(tensor,), options={"chip": "x1"}, versions={"maker": "2.0"},
    )  # fmt: skip
    write_facts(path, facts)
    return path


def change(model: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = facts_path(model)
    document = json.loads(path.read_text("utf-8"))
    edit(document)
    path.write_text(json.dumps(document), "utf-8")


def test_facts_are_replaced_in_one_step(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = read_facts(model, "other")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UnavailableError, match=r"cannot be written \(No space left on device\); make room"):
        write_facts(model, facts)
    assert read_facts(model, "other") == facts
    assert sorted(each.name for each in model.parent.iterdir()) == ["parts.other", "parts.other.json"]


def test_facts_come_back_as_they_were_written(model: Path) -> None:
    facts = read_facts(model, "other")
    assert facts_path(model).name == "parts.other.json"
    assert facts.metadata == {"names": "{0: 'Schräubchen'}"}
    assert (facts.options, facts.versions) == ({"chip": "x1"}, {"maker": "2.0"})
    assert facts.inputs[0].info.shape == (1, 3, 64, 96)
    assert facts == facts.sealed()


def test_the_layout_of_the_document_is_free(model: Path) -> None:
    before = read_facts(model, "other")
    path = facts_path(model)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=7, sort_keys=True), "utf-8")
    assert read_facts(model, "other") == before


def test_facts_of_another_file(model: Path) -> None:
    model.write_bytes(b"layers and heights")
    with pytest.raises(ModelError, match=r"is not the file that parts\.other\.json was written for"):
        read_facts(model, "other")


def test_facts_of_another_engine(model: Path) -> None:
    with pytest.raises(ModelError, match="is for the engine 'other', expected 'ncnn'"):
        read_facts(model, "ncnn")


def test_missing_facts_name_both_files(model: Path) -> None:
    facts_path(model).unlink()
    with pytest.raises(ModelError, match=r"parts\.other: its facts are missing, expected parts\.other\.json"):
        read_facts(model, "other")


def test_a_missing_model(model: Path) -> None:
    model.unlink()
    with pytest.raises(NoInputError, match="there is no such model file"):
        read_facts(model, "other")


def test_a_folder_in_place_of_the_facts(model: Path) -> None:
    facts_path(model).unlink()
    facts_path(model).mkdir()
    with pytest.raises(NoInputError, match="cannot be read"):
        read_facts(model, "other")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda document: document["metadata"].update(names="{0: 'nut'}"), id="a class name"),
        pytest.param(lambda document: document["options"].update(chip="x2"), id="the chip"),
        pytest.param(lambda document: document["outputs"][0].update(name="out"), id="an output"),
        pytest.param(lambda document: document.update(seal=None), id="no seal"),
        pytest.param(lambda document: document.pop("versions"), id="no versions"),
    ],
)
def test_changed_facts_are_refused(model: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    change(model, edit)
    with pytest.raises(ModelError, match="was changed after the export"):
        read_facts(model, "other")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda document: document.update(schema_version=2), "schema_version"),
        (lambda document: document.update(more=1), "more"),
        (lambda document: document.update(inputs=[]), "inputs"),
        (lambda document: document["inputs"][0].update(shape=[1, 0]), "shape"),
        (lambda document: document["inputs"][0].update(dtype="int64"), "dtype"),
    ],
)
def test_malformed_facts_name_the_place(
    model: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(model, edit)
    with pytest.raises(ModelError, match=said):
        read_facts(model, "other")


def test_huge_facts_are_not_read(model: Path) -> None:
    with facts_path(model).open("ab") as file:
        file.truncate(1 << 23)
    with pytest.raises(ModelError, match="8388608 bytes, expected at most"):
        read_facts(model, "other")


def test_any_content_is_parsed_or_refused_in_one_line(model: Path) -> None:
    path, sound = facts_path(model), facts_path(model).read_bytes()
    places = st.integers(0, len(sound))
    damaged = st.tuples(places, places, st.binary(max_size=8)).map(
        lambda cut: sound[: min(cut[:2])] + cut[2] + sound[max(cut[:2]) :]
    )

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=40) | damaged | st.just(b"[" * 100_000))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        said = ""
        try:
            facts = read_facts(model, "other")
        except EdgeloopError as error:
            said = str(error)
        else:
            assert facts.model_dump_json(indent=1).encode().split() == sound.split()
        assert said == "" or said.startswith((str(path), str(model)))
        assert "\n" not in said

    check()
