"""`edgeloop label` on frames in object storage."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.labeling.dataset.corrected import read_corrected
from edgeloop.labeling.frames.address_store import AddressStore
from edgeloop.labeling.frames.fetched_frames import FetchedFrames
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.models.errors import UnavailableError
from tests.calls import Outcome
from tests.labeling.footage import DRAWN, Footage, Learned, break_off, tree
from tests.labeling.object_storage import ObjectStorage


@pytest.fixture(scope="module")
def listed(footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exemplar frames, three others and one that is cut off, with a list: sources are the same then."""
    folder = tmp_path_factory.mktemp("listed")
    lines = []
    for row, index in enumerate((*DRAWN, 660, 1080, 1200, 1320)):
        name = f"frame_{index:04d}.jpg"
        (folder / name).write_bytes((footage.frames / name).read_bytes())
        lines.append(json.dumps({"file": name, "source": "cam", "index": row}) + "\n")
    (folder / "frames.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def expected(
    footage: Footage, listed: Path, learned: Learned, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Dataset of the folder."""
    out = tmp_path_factory.mktemp("expected") / "dataset"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)
        label_frames(learned.go_on(LabelPlan(listed, footage.exemplars, out, task="segment")))
    return out


@pytest.mark.usefixtures("quick")
def test_dataset_is_that_of_the_folder_for_any_workers_and_after_an_interruption(
    footage: Footage,
    listed: Path,
    expected: Path,
    learned: Learned,
    storage: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Resuming, nothing is read again that was copied or labeled. Another task labels nothing."""
    frames = storage.upload(listed, "line3/frames")
    plan = learned.go_on(LabelPlan(frames, footage.exemplars, tmp_path / "out", task="segment"))
    break_off(plan, monkeypatch, after=6)
    copies = sorted(path.name for path in (tmp_path / "out.unfinished" / "frames").iterdir())
    assert copies == [f"frame_{index:04d}.jpg" for index in DRAWN]
    first, storage.read[:] = Counter(storage.read), []
    images = sorted(path.name for path in listed.glob("*.jpg"))
    assert first == Counter([f"line3/frames/{name}" for name in ("frames.jsonl", *copies, *images[:7])])
    assert label_frames(replace(plan, workers=2)).resumed == 6
    assert tree(plan.out) == tree(expected)
    copied = [path.name for path in plan.out.rglob("*.jpg")]
    again = Counter(f"line3/frames/{name}" for name in ("frames.jsonl", *images[6:], *copied))
    assert Counter(storage.read) == again
    for other in (replace(plan, task="detect"), plan):
        assert label_frames(other).resumed == len(images)
        assert (tree(plan.out) == tree(expected)) is (other is plan)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_corrected_frames_are_those_of_the_folder(listed: Path, expected: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected"
    copytree(expected, corrected)
    edited = sorted((corrected / "labels").rglob("*.txt"))[0]
    edited.write_text("0 0.5 0.5 0.25 0.25\n")
    fetched = FetchedFrames(AddressStore(f"file://{listed}"), tmp_path / "copies")
    names, frames = read_corrected(corrected, listed)
    assert edited.stem in [frame.path.stem for frame in frames]
    fetched_names, fetched_frames = read_corrected(corrected, fetched)
    assert fetched_names == names
    assert [own.path for own in fetched_frames] == [tmp_path / "copies" / own.path.name for own in frames]
    for own, other in zip(fetched_frames, frames, strict=True):
        assert (own.xyxy.tolist(), own.class_id.tolist()) == (other.xyxy.tolist(), other.class_id.tolist())


def test_storage_that_stops_answering_ends_the_job_which_can_go_on(
    listed: Path, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frame is set aside for it. The copy of the frames in a folder is as good to go on with."""
    plan = LabelPlan(storage.upload(listed, "frames"), None, tmp_path / "out")
    label_frames(replace(plan, frames=listed, out=tmp_path / "whole"))
    frames_left = iter(range(5))

    def decode_and_stop(data: bytes, name: str) -> object:
        if next(frames_left, None) is None:
            storage.stop()
            for name in ("_CHECK_S", "_READ_S"):
                monkeypatch.setattr(f"edgeloop.labeling.frames.address_store.{name}", 0.5)
        return decode_image(data, name)

    with monkeypatch.context() as patched:
        patched.setattr("edgeloop.labeling.label_job.decode_image", decode_and_stop)
        with pytest.raises(UnavailableError, match="s3://footage/frames: cannot be read"):
            label_frames(replace(plan, workers=1))
    assert not plan.out.exists()
    assert label_frames(replace(plan, frames=listed)).resumed == 6
    assert tree(plan.out) == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("s3://nothing/frames", 66, "no such bucket or folder"),
        ("s3://footage/nothing", 66, "no such bucket or folder"),
        ("gs://bucket/frames", 69, "pip install gcsfs"),
        ("rtsp://user:s3cr3t@host/1", 2, "a password in the address"),
    ],
)
@pytest.mark.usefixtures("storage")
def test_wrong_address_ends_in_one_line(
    footage: Footage,
    tmp_path: Path,
    edgeloop: Callable[..., Outcome],
    address: str,
    code: int,
    told: str,
) -> None:
    done = edgeloop("label", address, "-e", footage.exemplars, "-o", tmp_path / "out")
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert told in done.err
    assert "s3cr3t" not in done.err
    assert not (tmp_path / "out.unfinished").exists()
