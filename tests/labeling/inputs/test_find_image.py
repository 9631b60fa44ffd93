"""Images by the names that drawing tools write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.models.errors import DataError


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("f0.jpg", "f1.jpg", "my photo (2).PNG", "._f0.jpg"):
        (folder / name).write_text(name)
    (tmp_path / "e.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("file_name", "found"),
    [
        pytest.param("f0.jpg", "f0.jpg", id="name"),
        pytest.param("cam/f0.jpg", "f0.jpg", id="folder that is not here"),
        pytest.param("..\\..\\media\\upload\\4\\f0.jpg", "f0.jpg", id="Windows"),
        pytest.param("C:\\pictures\\F0.JPG", "f0.jpg", id="drive, and case"),
        pytest.param("/data/upload/4/0a1b2c3d-f0.jpg", "f0.jpg", id="Label Studio"),
        pytest.param("/data/local-files/?d=cam%2Ff1.jpg", "f1.jpg", id="Label Studio's local files"),
        pytest.param("my%20photo%20(2).PNG", "my photo (2).PNG", id="percent"),
        pytest.param("0a1b2c3d-my_photo_2.png", "my photo (2).PNG", id="name after an upload"),
        pytest.param("http://host:8080/data/f1.jpg?token=x", "f1.jpg", id="address"),
        pytest.param("f1_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "f1.jpg", id="Roboflow"),
        pytest.param("0a1b2c3d-5e6f-7a8b-9c0d-0a1b2c3d4e5f_f1.jpg", "f1.jpg", id="UUID"),
    ],
)
def test_one_frame_fits(frames: Path, file_name: str, found: str) -> None:
    assert ImageFinder(frames.parent / "e.json", frames).find(file_name) == (frames / found).resolve()


@pytest.mark.parametrize("file_name", ["f2.jpg", "xf0.jpg", "f0", "._f0.png", "", "..", "a" * 5000, "a\0b"])
def test_no_frame_fits(frames: Path, file_name: str) -> None:
    with pytest.raises(DataError, match=r"e\.json: image .*is neither in"):
        ImageFinder(frames.parent / "e.json", frames).find(file_name)


def test_two_files_of_one_name(frames: Path) -> None:
    finder = ImageFinder(frames.parent / "e.json", frames)
    for name in ("cam2/f0.jpg", "f1.jpg", "images/f1.jpg"):
        path = frames.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("f1.jpg")
    assert finder.find("cam2/f0.jpg") == (frames.parent / "cam2/f0.jpg").resolve()
    assert finder.find("cam2\\f0.jpg") == (frames.parent / "cam2/f0.jpg").resolve()
    assert finder.find("f1.jpg") == (frames / "f1.jpg").resolve()
    (frames.parent / "f1.jpg").write_text("another")
    with pytest.raises(DataError, match="are different files"):
        finder.find("f1.jpg")


def test_two_frames_that_fit(frames: Path) -> None:
    (frames / "F1.jpg").write_text("another")
    finder = ImageFinder(frames.parent / "e.json", frames)
    assert finder.find("F1.jpg").name == "F1.jpg"
    with pytest.raises(DataError, match="are different files"):
        finder.find("0a1b2c3d-f1.jpg")


PARTS = st.sampled_from(["f0.jpg", "..", "/", "\\", "%20", "%00", "?d=", "C:", "://", "0a1b2c3d-", ".rf."])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(file_name=st.lists(PARTS | st.text(max_size=4), max_size=8).map("".join))
def test_any_name_is_found_or_refused(tmp_path_factory: pytest.TempPathFactory, file_name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any" / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "f0.jpg").touch()
    finder = ImageFinder(folder.parent / "e.json", folder)
    try:
        found = finder.find(file_name)
    except DataError:
        return
    assert found.is_file()
