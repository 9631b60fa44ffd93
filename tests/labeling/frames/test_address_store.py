"""Frames read from an address."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from edgeloop.edge.frames.folder import read_frames
from edgeloop.labeling.frames.address_store import AddressStore
from edgeloop.labeling.frames.fetched_frames import FetchedFrames
from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError
from tests.calls import Outcome
from tests.labeling.object_storage import ObjectStorage

ODD = ("10.jpg", "2.jpg", "a b.jpg", "a%20b.jpg", "é.jpg", "a#1.jpg", "c&d+e.jpg", "[x]*.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with odd names, each with its name as content, and others."""
    frames = tmp_path / "line 3%20#é"
    frames.mkdir()
    for name in (*ODD, "notes.txt", "clip.mp4"):
        (frames / name).write_bytes(name.encode())
    (frames / "more").mkdir()
    return frames


def check_frames(store: AddressStore, folder: Path) -> None:
    """The same frames as of the folder, and each name leads to its own content."""
    expected = read_frames(folder)
    entries = store.entries()
    assert [(own.file, own.index) for own in entries] == [(own.file, own.index) for own in expected]
    assert {own.source for own in entries} == {str(store)}
    assert [store.read(own.file).decode() for own in entries] == [own.file for own in expected]


def test_names_are_those_of_the_folder(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_frames(AddressStore(f"file://{folder}"), folder)
    assert [line.partition("not read: ")[2] for line in caplog.messages] == ["1 .mp4, 1 subfolder"] * 2


def test_list_decides_as_in_a_folder(folder: Path) -> None:
    lines = [f'{{"file": "{name}", "source": "cam", "index": {row}}}\n' for row, name in enumerate(ODD[:3])]
    (folder / "frames.jsonl").write_text("".join(lines) + '{"file": "cut')
    entries = AddressStore(f"file://{folder}").entries()
    assert entries == read_frames(folder)
    assert [own.file for own in entries] == [*ODD[:3]]
    (folder / "frames.jsonl").write_text("nothing\n")
    with pytest.raises(DataError, match=r"frames\.jsonl:1:2: no JSON"):
        AddressStore(f"file://{folder}").entries()


def test_stamp_changes_with_the_image(folder: Path) -> None:
    before = AddressStore(f"file://{folder}")
    stamps = {name: before.stamp(name) for name in ODD}
    (folder / ODD[0]).write_bytes(b"another")
    after = AddressStore(f"file://{folder}")
    assert [name for name in ODD if after.stamp(name) != stamps[name]] == [ODD[0]]
    assert after.stamp("nothing.jpg") == ""


def test_missing_image_is_no_fault_of_the_place(folder: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        AddressStore(f"file://{folder}").read("nothing.jpg")


def test_exemplar_images_are_fetched_and_no_others(folder: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    frames = FetchedFrames(AddressStore(f"file://{folder}"), copies)
    finder = ImageFinder(tmp_path / "e.json", frames)
    for spelling in ("a%20b.jpg", "12345678-A_b.jpg", "2_jpg.rf.0123456789abcdef.jpg"):
        found = finder.find(spelling)
        assert found == copies / ImageFinder(tmp_path / "e.json", folder).find(spelling).name
        assert found.read_text() == found.name
    assert sorted(path.name for path in copies.iterdir()) == ["2.jpg", "a b.jpg", "a%20b.jpg"]
    with pytest.raises(DataError, match="is neither in file://"):
        finder.find("../notes.jpg")


def test_copies_stay_until_the_image_changes(folder: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    first = FetchedFrames(AddressStore(f"file://{folder}"), copies)
    fetched = [first.path(name) for name in ODD]
    kept = {path.name: path.stat().st_mtime_ns for path in fetched}
    (folder / ODD[0]).write_bytes(b"another")
    (folder / ODD[1]).unlink()
    second = FetchedFrames(AddressStore(f"file://{folder}"), copies)
    assert second.path(ODD[0]).read_bytes() == b"another"
    assert not second.path(ODD[1]).exists()
    assert {name: second.path(name).stat().st_mtime_ns for name in ODD[2:]} == {
        name: kept[name] for name in ODD[2:]
    }


@pytest.mark.parametrize(
    ("address", "error", "told"),
    [
        ("s3://key:s3cr3t@bucket/frames", UsageError, "a password in the address is not used"),
        ("sftp://user:s3cr3t@host/frames", UsageError, "a password in the address is not used"),
        ("az://box/frames?sig=s3cr3t", UsageError, "expected a folder"),
        ("https://host/s3cr3t", UsageError, "such as s3://bucket/folder"),
        ("zip://a::s3://bucket/s3cr3t?", UsageError, "expected a folder"),
        ("rtsp://host/s3cr3t", UsageError, "frames are not read from rtsp://"),
        ("s3://", NoInputError, "names no bucket"),
        ("gs://bucket/frames", UnavailableError, "the package gcsfs is not installed; pip install gcsfs"),
        ("az://box/frames", UnavailableError, "the package adlfs is not installed; pip install adlfs"),
    ],
)
def test_what_is_no_readable_address(address: str, error: type[EdgeloopError], told: str) -> None:
    with pytest.raises(error, match=told) as raised:
        AddressStore(address).entries()
    assert "s3cr3t" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("missing", "address"), [("fsspec", "file:///frames"), ("s3fs", "s3://bucket/frames")]
)
def test_package_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str, address: str) -> None:
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    told = rf"{missing} is not installed; pip install 'edgeloop\[storage\]'"
    with pytest.raises(UnavailableError, match=told):
        AddressStore(address).entries()


def test_folder_is_missing_empty_or_a_file(folder: Path) -> None:
    with pytest.raises(NoInputError, match="no such bucket or folder"):
        AddressStore(f"file://{folder}/nothing").entries()
    with pytest.raises(NoInputError, match="there is no frame in it"):
        AddressStore(f"file://{folder}/more").entries()
    with pytest.raises(NoInputError, match="is a file"):
        AddressStore(f"file://{folder}/2.jpg").entries()


def test_bucket_has_the_frames_of_the_folder(folder: Path, storage: ObjectStorage) -> None:
    for path in folder.iterdir():
        if path.is_file():
            storage.put(f"line 3%20#é/{path.name}", path.read_bytes())
    storage.put("line 3%20#é/", b"")  # as consoles mark folders
    storage.put("line 3%20#é/more/5.jpg", b"")
    store = AddressStore("s3://footage/line 3%20#é")
    check_frames(store, folder)
    assert storage.listings == 2  # one to see that it is there
    stamps = {name: store.stamp(name) for name in ODD}
    assert all(stamps.values())
    assert storage.listings == 2
    assert len(storage.read) == len(ODD)
    storage.put(f"line 3%20#é/{ODD[0]}", b"another")
    after = AddressStore("s3://footage/line 3%20#é")
    assert [name for name in ODD if after.stamp(name) != stamps[name]] == [ODD[0]]


def test_credentials_are_those_of_the_machine_that_reads(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    storage.put("frames/1.jpg", b"1")
    store = AddressStore("s3://footage/frames")
    assert store.read("1.jpg") == b"1"
    sent = pickle.dumps(store)
    assert b"s3cr3t" not in sent
    assert pickle.loads(sent).read("1.jpg") == b"1"
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UnavailableError, match=r"access is refused .*set credentials"):
        pickle.loads(sent).read("1.jpg")


@pytest.mark.usefixtures("storage")
def test_bucket_is_missing() -> None:
    for address in ("s3://nothing/frames", "s3://footage/nothing", "s3://nothing"):
        with pytest.raises(NoInputError, match=f"{address}: no such bucket or folder"):
            AddressStore(address).entries()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Port at which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Port at which connections are taken, and nothing is said."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(64)
        yield bound.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_endpoint_does_not_answer(
    port: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while frames are read: then it is not the frame that is at fault."""
    monkeypatch.setattr("edgeloop.labeling.frames.address_store._CHECK_S", 0.5)
    monkeypatch.setattr("edgeloop.labeling.frames.address_store._READ_S", 0.5)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{request.getfixturevalue(port)}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    for action in (AddressStore.entries, lambda store: store.read("1.jpg")):
        with pytest.raises(UnavailableError, match="s3://footage/frames: cannot be read") as raised:
            action(AddressStore("s3://footage/frames"))
        assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize("option", ["-e", "--corrected", "--decisions", "-o"])
def test_other_paths_are_of_this_machine(
    option: str, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    words = {"-e": tmp_path / "e.json", "-o": tmp_path / "out", option: "s3://bucket/x"}
    done = edgeloop("label", "s3://footage/frames", *(part for pair in words.items() for part in pair))
    assert done.code == 2
    assert "s3://bucket/x is an address; expected a path of this machine" in done.err
    assert not any(tmp_path.iterdir())
