"""Labels and a detector from boxes on five frames of a street: `python benchmarks/street.py STREET`.

`edgeloop label` labels frames 0 to 324 from the boxes of five of them. One detector is trained on these
labels and another on the human boxes of the same frames; both are exported and scored on the frames from 345
on, which neither has seen. street_truth.py says which frames are which; benchmarks/labels.py compares
kinds of exemplars.

No exemplar frame shows a truck, so none can be labeled. "drawn" are the classes of the exemplars, "all" are
car, truck and tram, in which trucks count as missed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_results
from edgeloop.labeling.dataset.split import split_frames
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.frames.recordings import FrameGroups, group_frames
from edgeloop.labeling.ledger import FrameResult, Label
from report import add_write_option, publish
from scoring import Coco, class_names, groups_of, labels_of, number_of, part, score_table, scores
from street_truth import DRAWN, SCORED, UNSEEN_FROM, copy_frames, read_truth, write_exemplars

VAL_SHARE = 0.2
DETECTOR_CONFIDENCE = 0.25
_TITLES = {"dataset": "detector from labels", "human": "detector from human boxes"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("street", type=Path, help="Folder with images/ and instances.json.")
    parser.add_argument("--out", type=Path, default=Path("street-out"), help="New folder for all results.")
    parser.add_argument("--sam", default="nano", help="As of `edgeloop label`.")
    parser.add_argument("--imgsz", type=int, default=512, help="Side of the detector's input, px.")
    parser.add_argument("--time-limit", type=float, default=600, help="Seconds of each training.")
    add_write_option(parser, "street")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True)
    truth = read_truth(arguments.street)
    frames = copy_frames(arguments.street, out / "frames")
    exemplars = write_exemplars(truth, out / "exemplars.json")

    options = ("--sam", arguments.sam)
    split = ("--val-share", VAL_SHARE, "--gap-share", 0)  # frames in a gap would be missing from the score
    call_verb("label", frames, "-e", exemplars, "-o", out / "dataset", *options, *split)
    names = class_names(out / "dataset")
    _write_human_dataset(out / "human", frames, truth, names)
    indices, labels = labels_of(out / "dataset", DRAWN)
    expected = part(truth, indices, SCORED)
    report = {"labels": scores(expected, labels, groups_of(expected, names))}
    for name in _TITLES:
        report[_TITLES[name]] = _train_and_score(name, truth, arguments)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    publish(arguments.write, score_table(report))


def _write_human_dataset(folder: Path, frames: Path, truth: Coco, names: Sequence[str]) -> None:
    """Write a dataset of the same frames and the same split with the human boxes."""
    entries = read_frames(frames)
    splits = split_frames(entries, _groups(entries, frames), val_share=VAL_SHARE, gap_share=0)
    results = (_human_result(entry, truth, names) for entry in entries)
    labeled = (LabeledFrame(*parts) for parts in zip(entries, splits, results, strict=True))
    write_dataset(folder, names, labeled, FolderStore(frames), {"description": "boxes of the ground truth"})


def _groups(entries: Sequence[FrameEntry], frames: Path) -> FrameGroups:
    return group_frames(entries, (FrameLook.of(require_image(frames / entry.file)) for entry in entries))


def _human_result(entry: FrameEntry, truth: Coco, names: Sequence[str]) -> FrameResult:
    own = part(truth, [entry.index], names)
    class_ids = {category["id"]: names.index(category["name"]) for category in own["categories"]}
    (image,) = own["images"]
    labels = []
    for annotation in own["annotations"]:
        x, y, w, h = annotation["bbox"]
        box = (max(x, 0), max(y, 0), min(x + w, image["width"]), min(y + h, image["height"]))
        class_id = class_ids[annotation["category_id"]]
        labels.append(Label(xyxy=box, class_id=class_id, score=1, prompt="human", sam_score=0))
    return FrameResult(file=entry.file, width=image["width"], height=image["height"], labels=tuple(labels))


def _train_and_score(name: str, truth: Coco, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    out: Path = arguments.out
    dataset, run, bundle = out / name, out / f"run-{name}", out / f"{name}.onnx"
    limits = ("--imgsz", arguments.imgsz, "--time-limit", arguments.time_limit)
    call_verb("train", dataset, "-o", run, *limits)
    call_verb("export", run, "-d", dataset, "-o", bundle)
    unseen = [image for image in truth["images"] if number_of(image) >= UNSEEN_FROM]
    found = list(_detect(bundle, arguments.street / "images", unseen))
    expected = part(truth, {number_of(image) for image in unseen}, SCORED)
    groups = groups_of(expected, class_names(dataset))
    return scores(expected, found, groups, confidence=DETECTOR_CONFIDENCE)


def _detect(bundle: Path, folder: Path, images: Sequence[Coco]) -> Iterator[Coco]:
    detector = Detector(bundle, confidence=0.001)
    for image in progress(images, "Scoring"):
        detections = detector.detect(cv2.imread(str(folder / Path(image["file_name"]).name)))
        for result in coco_results(number_of(image), detections):
            yield {**result, "category": detector.names[result["category_id"]]}


if __name__ == "__main__":
    main()
