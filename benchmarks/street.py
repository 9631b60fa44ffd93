"""Five frames of boxes to a detector, on a real street: `python benchmarks/street.py ../shared/data/street`.

The person draws the boxes of frames 0, 50, 100, 150 and 199: a fixed rule, spread over the first 200 frames,
chosen without a look at what is on them. Pedestrians are not drawn and not scored. `edgeloop label` labels
the frames up to 324; its labels are scored on all of those but the five. `edgeloop train` and `edgeloop
export` then make a detector of these labels, and another one of the human boxes of the same frames; both are
scored through their bundles on the frames from 345 on.

No truck shows itself in the first 200 frames, so nothing can be labelled as one: figures are printed for the
classes that were drawn, and for car, truck and tram together, where the truck counts as missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from edge.demo.verbs import call_verb
from edge.detector import Detector
from edge.evaluate import coco_results, evaluate_boxes, precision_recall
from edge.progress import progress
from labeling.dataset import LabelledFrame, write_dataset
from labeling.frames import FrameEntry, read_frames
from labeling.ledger import FrameResult, Label
from labeling.split import split_by_time

DRAWN = (0, 50, 100, 150, 199)
LABELLED = range(325)
UNSEEN_FROM = 345
SCORED = ("car", "truck", "tram")
VAL_SHARE = 0.2
DETECTOR_CONFIDENCE = 0.25

Coco = dict[str, Any]


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
    parser.add_argument("--labels-only", action="store_true", help="score the labels and stop")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True)
    truth = json.loads((arguments.street / "instances.json").read_text())
    frames = _copy_frames(arguments.street, out / "frames")
    (out / "exemplars.json").write_text(json.dumps(_part(truth, DRAWN, SCORED)))

    options = ("--sam", arguments.sam, "--prompts", arguments.prompts)
    split = ("--val-share", VAL_SHARE, "--gap-share", 0)  # frames in a gap would be missing from the score
    call_verb("label", frames, "-e", out / "exemplars.json", "-o", out / "dataset", *options, *split)
    report: dict[str, Any] = {"drawn": DRAWN, "labels": _score_labels(out / "dataset", truth)}
    if not arguments.labels_only:
        _write_human_dataset(out / "human", frames, truth, _names(out / "dataset"))
        for name in ("dataset", "human"):
            report[f"detector_from_{name}"] = _train_and_score(name, truth, arguments)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _print(report)


def _copy_frames(street: Path, folder: Path) -> Path:
    folder.mkdir()
    for index in LABELLED:
        shutil.copyfile(street / "images" / f"{index:06d}.jpg", folder / f"{index:06d}.jpg")
    return folder


def _index(image: Coco) -> int:
    return int(Path(image["file_name"]).stem)


def _part(truth: Coco, indices: Iterable[int], names: Sequence[str]) -> Coco:
    """The ground truth of some frames and classes; every frame's number becomes its id."""
    wanted = set(indices)
    number = {image["id"]: _index(image) for image in truth["images"]}
    categories = [category for category in truth["categories"] if category["name"] in names]
    kept = {category["id"] for category in categories}
    return {
        "images": [{**i, "id": _index(i)} for i in truth["images"] if _index(i) in wanted],
        "categories": categories,
        "annotations": [
            {**a, "image_id": number[a["image_id"]]}
            for a in truth["annotations"]
            if a["category_id"] in kept and number[a["image_id"]] in wanted
        ],
    }


def _names(dataset: Path) -> list[str]:
    coco = json.loads((dataset / "instances.json").read_text())
    return [category["name"] for category in coco["categories"]]


def _score_labels(dataset: Path, truth: Coco) -> dict[str, Any]:
    """Score the labels as they are, all of them, on the frames that nobody drew on."""
    coco = json.loads((dataset / "instances.json").read_text())
    number = {image["id"]: _index(image) for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    labels = [
        {**label, "image_id": number[label["image_id"]], "category": names[label["category_id"]]}
        for label in coco["annotations"]
        if number[label["image_id"]] not in DRAWN
    ]
    return _scores(truth, set(number.values()) - set(DRAWN), labels, list(names.values()), confidence=0.0)


def _write_human_dataset(folder: Path, frames: Path, truth: Coco, names: Sequence[str]) -> None:
    """The same frames with the same split, under the person's boxes."""
    entries = read_frames(frames)
    splits = split_by_time(entries, val_share=VAL_SHARE, gap_share=0)
    results = (_human_result(entry, truth, names) for entry in entries)
    labelled = (LabelledFrame(*parts) for parts in zip(entries, splits, results, strict=True))
    write_dataset(folder, names, labelled, frames, {"description": "boxes of the ground truth"})


def _human_result(entry: FrameEntry, truth: Coco, names: Sequence[str]) -> FrameResult:
    part = _part(truth, [entry.index], names)
    class_ids = {category["id"]: names.index(category["name"]) for category in part["categories"]}
    (image,) = part["images"]
    labels = []
    for annotation in part["annotations"]:
        x, y, w, h = annotation["bbox"]
        box = (max(x, 0), max(y, 0), min(x + w, image["width"]), min(y + h, image["height"]))
        class_id = class_ids[annotation["category_id"]]
        labels.append(Label(xyxy=box, class_id=class_id, score=1, prompt="human", sam_score=0))
    return FrameResult(file=entry.file, width=image["width"], height=image["height"], labels=tuple(labels))


def _train_and_score(name: str, truth: Coco, arguments: argparse.Namespace) -> dict[str, Any]:
    out: Path = arguments.out
    dataset, run, bundle = out / name, out / f"run-{name}", out / f"{name}.onnx"
    limits = ("--imgsz", arguments.imgsz, "--time-limit", arguments.time_limit)
    call_verb("train", dataset, "-o", run, *limits)
    call_verb("export", run, "-d", dataset, "-o", bundle)
    unseen = [image for image in truth["images"] if _index(image) >= UNSEEN_FROM]
    found = list(_detect(bundle, arguments.street / "images", unseen))
    indices = {_index(image) for image in unseen}
    return _scores(truth, indices, found, _names(dataset), confidence=DETECTOR_CONFIDENCE)


def _detect(bundle: Path, folder: Path, images: Sequence[Coco]) -> Iterator[Coco]:
    detector = Detector(bundle, confidence=0.001)
    for image in progress(images, "Scoring"):
        detections = detector.detect(cv2.imread(str(folder / Path(image["file_name"]).name)))
        for result in coco_results(_index(image), detections):
            yield {**result, "category": detector.names[result["category_id"]]}


def _scores(
    truth: Coco, indices: set[int], found: list[Coco], drawn: Sequence[str], *, confidence: float
) -> dict[str, Any]:
    """Figures for the classes that were drawn, for all that are scored, and for each."""
    expected = _part(truth, indices, SCORED)
    ids = {category["name"]: category["id"] for category in expected["categories"]}
    present = {annotation["category_id"] for annotation in expected["annotations"]}
    results = [
        {
            "image_id": f["image_id"],
            "category_id": ids[f["category"]],
            "bbox": f["bbox"],
            "score": f["score"],
        }
        for f in found
    ]
    named = [name for name in SCORED if ids[name] in present]
    groups = {"drawn": [name for name in named if name in drawn], "all": named}
    groups |= {name: [name] for name in named}
    scores = {}
    for group, categories in groups.items():
        average = evaluate_boxes(expected, results, categories=categories)
        working = precision_recall(expected, results, confidence=confidence, categories=categories)
        scores[group] = {
            "map50": round(average.map50, 4),
            "map50_95": round(average.map50_95, 4),
            "precision": round(working.precision, 4),
            "recall": round(working.recall, 4),
            **{key: value for key, value in asdict(working).items() if key != "matched"},
        }
    return {"frames": len(indices), "classes": list(drawn), "scores": scores}


def _print(report: dict[str, Any]) -> None:
    columns = ("map50", "map50_95", "precision", "recall", "predicted", "truths")
    table = Table("what", "classes", *columns)
    for what, part in report.items():
        if what == "drawn":
            continue
        for group, scores in part["scores"].items():
            cells = (scores[column] for column in columns)
            table.add_row(
                what, group, *(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
            )
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
