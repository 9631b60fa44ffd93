"""`edgeloop audit`: a fair sample, answers that survive, and figures that can be worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeloop.labeling.audit.answers import Answers, open_answers
from edgeloop.labeling.audit.estimate import estimate
from edgeloop.labeling.commands.audit import audit
from edgeloop.models.errors import DataError, NoInputError
from tests.labeling.audits import PER_FRAME, drawn, write_audited

MISSED = ((5.0, 5.0),)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_audited(tmp_path / "dataset")


def test_the_draw_is_seeded_and_leaves_persons_labels_out(dataset: Path) -> None:
    first, again, other = drawn(dataset), drawn(dataset), drawn(dataset, seed=1)
    ids = [box.id for box in first.boxes]
    assert ids == [box.id for box in again.boxes]
    assert ids != [box.id for box in other.boxes]
    assert [frame.id for frame in first.frames] == [frame.id for frame in again.frames]
    assert len(set(ids)) == 20
    everything = drawn(dataset, boxes=1000, frames=1000)
    assert {box.id for box in everything.boxes} == set(range(PER_FRAME + 1, 12 * PER_FRAME + 1))
    assert {frame.id for frame in everything.frames} == set(range(1, 13))


@pytest.mark.slow
def test_every_label_is_as_likely_as_any_other_and_so_is_its_place(tmp_path: Path) -> None:
    dataset = write_audited(tmp_path / "dataset", frames=3, human=1)
    draws = 400
    samples = [drawn(dataset, boxes=4, frames=1, seed=seed) for seed in range(draws)]
    boxes = Counter(box.id for sample in samples for box in sample.boxes)
    first = Counter(sample.boxes[0].id for sample in samples)
    frames = Counter(sample.frames[0].id for sample in samples)
    for found, choices, expected in ((boxes, 10, 160.0), (first, 10, 40.0), (frames, 3, 400 / 3)):
        assert len(found) == choices
        # Five standard deviations of a binomial count: a fair draw of these fixed seeds stays well within.
        assert max(abs(count - expected) for count in found.values()) < 5 * expected**0.5


def test_more_boxes_do_not_change_the_frames(dataset: Path) -> None:
    few, many = drawn(dataset, boxes=5), drawn(dataset, boxes=30)
    assert [frame.id for frame in few.frames] == [frame.id for frame in many.frames]


def test_answers_are_kept_changed_and_taken_up_again(dataset: Path) -> None:
    sample = drawn(dataset, boxes=3, frames=2)
    with open_answers(sample) as book:
        book.answer_box(0, True)
        book.answer_box(1, True)
        book.answer_box(0, False)
        with pytest.raises(IndexError, match="place 3"):
            book.answer_box(3, True)
        with pytest.raises(IndexError, match="place 1"):
            book.answer_frame(1, ())
    with open_answers(sample) as book:
        assert book.answers.boxes == (False, True)
        assert not book.complete
        book.answer_box(2, True)
        book.answer_frame(0, MISSED)
        book.answer_frame(1, ())
        assert book.complete
    assert [path.name for path in dataset.glob("audit*")] == ["audit.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from edgeloop.labeling.audit.answers import open_answers
from edgeloop.labeling.audit.sample import draw_sample
sample = draw_sample(Path(sys.argv[1]), boxes=20, frames=10, seed=0)
with open_answers(sample) as book:
    for index in range(7):
        book.answer_box(index, index != 3)
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    book.answer_box(7, True)
"""


@pytest.mark.slow
def test_kill_9_within_an_answer_loses_that_one_only(dataset: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(dataset)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with open_answers(drawn(dataset)) as book:
        assert book.answers.boxes == (True, True, True, False, True, True, True)
        book.answer_box(7, False)
        assert len(book.answers.boxes) == 8


def test_one_audit_at_a_time(dataset: Path) -> None:
    sample = drawn(dataset)
    with open_answers(sample), pytest.raises(DataError, match="another audit"), open_answers(sample):
        pass


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"seed": 1}, "--seed 0, not 1", id="seed"),
        pytest.param({"boxes": 19}, "--boxes 20 --frames 10", id="boxes"),
        pytest.param({"frames": 9}, "--boxes 20 --frames 10", id="frames"),
    ],
)
def test_answers_to_another_sample_are_refused_and_kept(
    dataset: Path, change: dict[str, int], reason: str
) -> None:
    with open_answers(drawn(dataset)) as book:
        book.answer_box(0, True)
    before = (dataset / "audit.json").read_bytes()
    with pytest.raises(DataError, match=reason), open_answers(drawn(dataset, **change)):
        pass
    assert (dataset / "audit.json").read_bytes() == before


def test_answers_about_other_labels_are_refused(dataset: Path) -> None:
    with open_answers(drawn(dataset)) as book:
        book.answer_box(0, True)
    path = dataset / "instances.json"
    path.write_text(path.read_text().replace('"score": 0.5', '"score": 0.6', 1))
    with pytest.raises(DataError, match="other labels"), open_answers(drawn(dataset)):
        pass


@pytest.mark.parametrize("content", ["{", "{}", '{"version": 1, "answers": {"boxes": [1]}}'])
def test_a_file_that_is_no_audit_is_refused(dataset: Path, content: str) -> None:
    (dataset / "audit.json").write_text(content)
    with pytest.raises(DataError, match=r"audit\.json:.*; not answers"), open_answers(drawn(dataset)):
        pass
    assert (dataset / "audit.json").read_text() == content


@pytest.mark.parametrize(
    ("old", "new", "error", "reason"),
    [
        pytest.param('"images": [', '"pictures": [', DataError, "images: Field required", id="no images"),
        pytest.param('"id": 2, "image_id"', '"id": 1, "image_id"', DataError, "only once", id="id twice"),
        pytest.param('"image_id": 3', '"image_id": 99', DataError, "is not there", id="unknown image"),
        pytest.param('20, 20], "score"', '0, 20], "score"', DataError, "greater than 0", id="empty box"),
        pytest.param('"similar"', '"human"', DataError, "nothing to audit", id="only a person's"),
        pytest.param("train/002.png", "../../../002.png", DataError, "outside", id="outside"),
        pytest.param("train/002.png", "train/none.png", NoInputError, "no such file", id="missing"),
        pytest.param('"width": 160', '"width": 161', DataError, "expected 161x120", id="other size"),
    ],
)
def test_bad_datasets_are_refused(
    dataset: Path, old: str, new: str, error: type[Exception], reason: str
) -> None:
    path = dataset / "instances.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=reason):
        drawn(dataset, boxes=1000, frames=1000)


def test_precision_with_wilsons_interval(dataset: Path) -> None:
    sample = drawn(dataset)
    found = estimate(sample, Answers(boxes=(False, False, *[True] * 18)))
    # By hand, n = 20, p = 0.9, z = 1.959964: center (p + z^2/2n) / (1 + z^2/n) = 0.835547,
    # half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n) = 0.136584.
    assert found.precision.value == 0.9
    assert found.precision.low == pytest.approx(0.698963, abs=1e-5)
    assert found.precision.high == pytest.approx(0.972131, abs=1e-5)
    assert sum(figure.answers for figure in found.by_class.values()) == 20
    counts = Counter(sample.names[box.class_id] for box in sample.boxes)
    assert {name: figure.answers for name, figure in found.by_class.items()} == counts


def test_recall_by_hand(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset", human=0))  # ten frames of five labels
    answers = Answers(boxes=(True, False) * 10, frames=(MISSED,) * 10)
    found = estimate(sample, answers)
    assert found.missed == 10
    assert found.recall.value == pytest.approx(25 / 35)
    # All frames are alike, so only the precision varies: binomial(20, 0.5) lies between 6 and 14.
    assert found.recall.low == pytest.approx(15 / 25)
    assert found.recall.high == pytest.approx(35 / 45)
    assert estimate(sample, answers) == found


def test_labels_of_persons_count_as_right_on_frames(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset", frames=11, human=4), frames=11)
    found = estimate(sample, Answers(boxes=(True, False) * 10, frames=(MISSED,) * 11))
    hits = 4 * PER_FRAME + 0.5 * 7 * PER_FRAME
    assert found.recall.value == pytest.approx(hits / (hits + 11))


def test_bootstrap_over_frames_by_hand(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset", human=0))
    answers = Answers(boxes=(True,) * 20, frames=(MISSED,) * 5 + ((),) * 5)
    found = estimate(sample, answers)
    # Precision 1 does not vary; missed frames among ten drawn anew are binomial(10, 0.5), within 2 and 8.
    assert found.recall.value == pytest.approx(50 / 55)
    assert found.recall.low == pytest.approx(50 / 58)
    assert found.recall.high == pytest.approx(50 / 52)


def test_nothing_missed_is_not_certainty(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset", human=0))
    recall = estimate(sample, Answers(boxes=(True,) * 20, frames=((),) * 10)).recall
    # Wilson's upper bound for 0 of 10 is z^2 / (n + z^2) = 0.27753.
    assert (recall.value, recall.high) == (1.0, 1.0)
    assert recall.low == pytest.approx(50 / (50 + 10 * 0.27753), abs=1e-4)


def test_too_few_answers_give_no_figure(dataset: Path) -> None:
    found = estimate(drawn(dataset), Answers(boxes=(True,) * 9, frames=((),) * 9))
    assert found.precision.value is None
    assert found.recall.value is None
    enough_boxes = estimate(drawn(dataset), Answers(boxes=(True,) * 10, frames=((),) * 9))
    assert enough_boxes.precision.value == 1.0
    assert enough_boxes.recall.value is None


def test_a_complete_audit_is_printed_again(dataset: Path) -> None:
    with open_answers(drawn(dataset)) as book:
        for index in range(20):
            book.answer_box(index, index > 1)
        for index in range(10):
            book.answer_frame(index, ())
    arguments = [str(dataset), "--boxes", "20", "--frames", "10"]
    text = CliRunner().invoke(audit, arguments, catch_exceptions=False)
    assert text.exit_code == 0
    assert "0.900  [0.699, 0.972]  20 boxes" in text.stdout
    assert "upper estimate" in text.stdout
    figures = json.loads(CliRunner().invoke(audit, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert figures["precision"]["value"] == 0.9
    assert set(figures["by_class"]) == {"a", "b"}
    assert np.isclose(figures["recall"]["high"], 1.0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--boxes", "0"], "--boxes", id="no boxes"),
        pytest.param(["--sheet", "sheet.jpg"], "ends in .png", id="not a png"),
        pytest.param(["--sheet", "sheet.png", "--json"], "asks nothing", id="sheet and json"),
        pytest.param(["--port", "70000"], "--port", id="port"),
    ],
)
def test_bad_arguments_are_refused(dataset: Path, arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(audit, [str(dataset), *arguments])
    assert result.exit_code == 2
    assert reason in result.output


def test_a_sheet_that_is_there_is_refused_before_the_dataset_is_read(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.touch()
    result = CliRunner().invoke(audit, [str(tmp_path / "no dataset"), "--sheet", str(sheet)])
    assert isinstance(result.exception, DataError)
    assert "sheet.png: exists already" in str(result.exception)
