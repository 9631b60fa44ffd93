"""data.yaml as Roboflow, CVAT and Ultralytics write it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.export.data.data_yaml import read_data_yaml
from edgeloop.export.data.yolo_dataset import Dataset, open_dataset
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError

ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['bolt']\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images for training and one for validation, in folders as Roboflow names them."""
    image = np.full((40, 60, 3), 90, np.uint8)
    for name in ("train/images/a", "train/images/b", "valid/images/c"):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
        label = tmp_path / f"{name.replace('images', 'labels')}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 .5 .5 .2 .2\n")
    return tmp_path


def read(folder: Path, text: str, **files: str) -> Dataset:
    (folder / "data.yaml").write_text(text)
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content)
    return open_dataset(folder)


LISTS = {"train": "./train/images/a.jpg\n\ntrain/images/b.jpg\n", "val": "data/valid/images/c.jpg\n"}


@pytest.mark.parametrize(
    ("text", "files"),
    [
        pytest.param(ROBOFLOW, {}, id="Roboflow"),
        pytest.param("path: ../datasets/x\ntrain: train\nval: valid\nnames: {0: bolt}", {}, id="Ultralytics"),
        pytest.param("path: ./\ntrain: train.txt\nval: val.txt\nnames:\n  0: bolt\n", LISTS, id="CVAT"),
        pytest.param("train: [train/images]\nvalidation: valid\nnames: [bolt]", {}, id="validation"),
        pytest.param(
            "train: [train/images/a.jpg, train/images/b.jpg]\nval: valid\nnames: [bolt]", {}, id="files"
        ),
        pytest.param(
            "train: /content/x-1/train/images\nval: D:\\x\\valid\nnames: [bolt]", {}, id="elsewhere"
        ),
        pytest.param(
            "\ufeffpath:\ntrain: train\nval: ~\nvalid: valid\nnames: {'0': bolt}\nnc:", {}, id="nulls"
        ),
    ],
)
def test_images_are_found(folder: Path, text: str, files: dict[str, str]) -> None:
    data = read(folder, text, **files)
    assert data.names == ("bolt",)
    assert [image.path.name for image in (*data.train, *data.val)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert all(len(image.class_id) == 1 for image in (*data.train, *data.val))


def test_the_yaml_itself_or_one_of_another_name(folder: Path) -> None:
    digest = read(folder, ROBOFLOW).digest
    assert open_dataset(folder / "data.yaml").digest == digest
    (folder / "data.yaml").rename(folder / "bolts.yml")
    assert open_dataset(folder).digest == digest
    (folder / "other.yaml").write_text("names: [nut]")
    with pytest.raises(NoInputError):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param("[0, 1]", ("0", "1"), id="numbers"),
        pytest.param(
            "[yes, no, on, null, ~, 007, 1e3]", ("yes", "no", "on", "null", "~", "007", "1e3"), id="words"
        ),
        pytest.param("{1: b, '0': a}", ("a", "b"), id="keys in any order and as text"),
        pytest.param("['no', \"螺栓\"]", ("no", "螺栓"), id="quoted"),
    ],
)
def test_names_are_text_as_written(folder: Path, names: str, expected: tuple[str, ...]) -> None:
    assert read(folder, f"train: train\nnames: {names}\n").names == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "names: [bolt, nut, bolt]", "classes 0 and 2 are both 'bolt'; write `2: ", id="name twice"
        ),
        pytest.param("names: {0: a, 0: b}", "'0' is given twice, line 1", id="number twice"),
        pytest.param("names: [a]\nnames: [b]", "'names' is given twice", id="names twice"),
        pytest.param("names: {0: a, 2: b}", "names must list the classes", id="gap"),
        pytest.param("names: {a: 0}", "names must list the classes", id="turned around"),
        pytest.param("names: [a, '']", "class 1 has no name; write `1: 'a name'`", id="empty name"),
        pytest.param("names: [[a]]", "names must list", id="nested"),
        pytest.param("nc: 2\nnames: [a]", "nc says 2, but names has 1", id="count"),
        pytest.param("train: {a: b}\nnames: [a]", "train must name a folder", id="map"),
        pytest.param("train: nowhere\nnames: [a]", "train must name a folder", id="no folder"),
        pytest.param(
            "train: list.txt\nnames: [a]", r"list.txt:2: there is no image 'gone.jpg'", id="no image"
        ),
        pytest.param("[" * 5000, "not readable as YAML", id="deep"),
        pytest.param("a: &a [*a]", "not readable as YAML", id="in itself"),
        pytest.param("names: !!python/object/new:os.system [a", "not readable as YAML", id="code"),
    ],
)
def test_what_is_refused(folder: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as refused:
        read(folder, text, list="train/images/a.jpg\ngone.jpg\n")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "train", [pytest.param("images", id="the same folder"), pytest.param("images/train", id="a folder in it")]
)
def test_a_missing_val_is_not_what_train_names(tmp_path: Path, train: str) -> None:
    (tmp_path / train).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / train / "a.png"), np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(DataError, match=r"val: there is no '\.\./valid/images'"):
        read(tmp_path, f"train: {train}\nval: ../valid/images\nnames: [bolt]")
    for same in (train, f"./{train}", f"../{train}"):  # on purpose
        assert len(read(tmp_path, f"train: {train}\nval: {same}\nnames: [bolt]").val) == 1


def test_another_encoding_is_refused(folder: Path) -> None:
    (folder / "data.yaml").write_bytes("names: [é]".encode("latin-1"))
    with pytest.raises(DataError, match=r"data\.yaml: not UTF-8 text"):
        open_dataset(folder)


def link(folder: Path) -> None:
    (folder / "train/images/d.jpg").symlink_to("gone.jpg")


def litter(folder: Path) -> None:
    for name in ("train/images/._a.jpg", "train/images/.cache/x.jpg", "train/__MACOSX/images/a.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\x05\x16\x07")


def twice(folder: Path) -> None:
    (folder / "train/labels/a.txt").write_text("0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(link, "1 images are links to nothing and are left out (first: ", id="link to nothing"),
        pytest.param(litter, "", id="litter"),
        pytest.param(twice, "1 labels are given twice and count once (first: ", id="label twice"),
    ],
)
def test_what_is_said_once(
    folder: Path, change: Callable[[Path], None], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "train/labels/a.txt").write_text("0 .5 .5 .2 .2\n")
    change(folder)
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        data = read(folder, ROBOFLOW)
    assert [image.path.name for image in data.train] == ["a.jpg", "b.jpg"]
    assert [len(image.class_id) for image in data.train] == [1, 1]
    assert (told in caplog.text) if told else not caplog.text


def test_labels_that_are_a_link_to_nothing_are_refused(folder: Path) -> None:
    label = folder / "train/labels/a.txt"
    label.unlink()
    label.symlink_to("gone.txt")
    with pytest.raises(DataError, match=r"a\.txt: a link to nothing"):
        read(folder, ROBOFLOW)


def test_labels_beside_images_below_a_folder_named_images(folder: Path) -> None:
    place = folder / "images" / "set"
    shutil.copytree(folder / "train" / "images", place)
    for label in (folder / "train" / "labels").iterdir():
        shutil.copy(label, place)
    data = read(place, "train: .\nnames: [bolt]")
    assert [len(image.class_id) for image in data.train] == [1, 1]


WORDS = st.sampled_from(
    ["train", "val", "names", "path", "nc", "0", "1", "../x", "[", "{", "- ", ": ", "\n", "&a", "*a", "'"]
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(WORDS | st.text(max_size=3), max_size=20).map("".join))
def test_any_yaml_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(EdgeloopError):
        assert all(isinstance(name, str) for name in read_data_yaml(path).names)
