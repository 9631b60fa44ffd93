"""Five frames of boxes to a detector, on a real street: `python benchmarks/street.py ../shared/data/street`.

Which frames are drawn on, labeled and kept back is in street_truth.py. `edgeloop label` labels the frames up
to 324 from the boxes of five; `edgeloop train` and `edgeloop export` make a detector of these labels, and
another one of the human boxes of the same frames; both are scored through their bundles on frames that
neither has seen. How good the labels themselves are, benchmarks/labels.py shows prompter by prompter.

No truck shows itself in the frames that are drawn on, so nothing can be labeled as one: figures are printed
for the classes that were drawn, and for car, truck and tram together, where the truck counts as missed.
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
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_results
from edgeloop.labeling.dataset.split import split_by_time
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.ledger import FrameResult, Label
from scoring import Coco, class_names, groups_of, labels_of, number_of, part, print_scores, scores
from street_truth import DRAWN, SCORED, UNSEEN_FROM, copy_frames, read_truth, write_exemplars

VAL_SHARE = 0.2
DETECTOR_CONFIDENCE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("street", type=Path, help="folder with images/ and instances.json")
    parser.add_argument("--out", type=Path, default=Path("street-out"), help="new folder for everything made")
    parser.add_argument("--sam", default="nano", help="as in `edgeloop label`")
    parser.add_argument("--prompts", default="similar", help="as in `edgeloop label`")
    parser.add_argument("--imgsz", type=int, default=512, help="of the detector, px")
    parser.add_argument("--time-limit", type=float, default=600, help="of each training, seconds")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True)
    truth = read_truth(arguments.street)
    frames = copy_frames(arguments.street, out / "frames")
    exemplars = write_exemplars(truth, out / "exemplars.json")

    options = ("--sam", arguments.sam, "--prompts", arguments.prompts)
    split = ("--val-share", VAL_SHARE, "--gap-share", 0)  # frames in a gap would be missing from the score
    call_verb("label", frames, "-e", exemplars, "-o", out / "dataset", *options, *split)
    names = class_names(out / "dataset")
    _write_human_dataset(out / "human", frames, truth, names)
    indices, labels = labels_of(out / "dataset", DRAWN)
    expected = part(truth, indices, SCORED)
    report = {"labels": scores(expected, labels, groups_of(expected, names))}
    for name in ("dataset", "human"):
        report[f"detector from {name}"] = _train_and_score(name, truth, arguments)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print_scores(report)


def _write_human_dataset(folder: Path, frames: Path, truth: Coco, names: Sequence[str]) -> None:
    """The same frames with the same split, under the person's boxes."""
    entries = read_frames(frames)
    splits = split_by_time(entries, val_share=VAL_SHARE, gap_share=0)
    results = (_human_result(entry, truth, names) for entry in entries)
    labeled = (LabeledFrame(*parts) for parts in zip(entries, splits, results, strict=True))
    write_dataset(folder, names, labeled, frames, {"description": "boxes of the ground truth"})


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
