"""Outlines from five boxed images: `python benchmarks/segmentation.py ../shared/data -o OUT`.

`edgeloop label --task segment` labels images of a scene from boxes on five of them; `edgeloop train` learns
outlines and boxes from these labels, in as many passes and with the same seeds, and `edgeloop export` makes
bundles, which detect objects on images that nothing was learned from. Labels and detections are scored
against true masks and boxes: of photos every third image is held back, of the built-in conveyor another one
of a different seed is drawn.

Labels are scored as boxes; as the extents of SAM's masks, which is what outlines whose ends are not moved
to the boxes would teach; as SAM's masks; and as the outlines in the text files. Exemplar images are left out.

OUT is reused: what is labeled, trained or exported is not made again, so an interrupted call continues. The
tables show every result in OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from pycocotools import mask as rle

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_mask_results, coco_results, evaluate_boxes, evaluate_masks
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.yolo_dataset import open_dataset
from masked_scenes import SCENES, masked_scenes
from report import Table, add_write_option, publish
from scoring import Coco
from taught_scenes import TaughtScene

TASKS = ("segment", "detect")
_CONFIDENCE, _MAX_BOXES = 0.01, 300
_LABELS, _BUNDLE = "labels.json", "score.json"


@dataclass(frozen=True)
class LabelScores:
    """Labels of a scene, scored on the images that nobody drew on; average precision in [0, 1].

    Attributes:
        labels: Number of labels.
        without_mask: Labels without a mask.
        boxes, extents, masks, outlines: mAP50 and mAP50-95 of the labels' boxes, of the extents of SAM's
            masks, of these masks, and of the polygons.
    """

    labels: int
    without_mask: int
    boxes: tuple[float, float]
    extents: tuple[float, float]
    masks: tuple[float, float]
    outlines: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with segments2/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1], help="Random seeds of the trainings.")
    parser.add_argument("--epochs", type=int, default=20, help="Passes of each training.")
    parser.add_argument("--imgsz", type=int, help="Input side, px. Default: that of `edgeloop train`.")
    parser.add_argument("--sam", default="nano", help="Segmenter that labels.")
    add_write_option(parser, "segmentation")
    arguments = parser.parse_args()
    for scene in masked_scenes(arguments.data, arguments.out / "drawn", arguments.scenes):
        folder = arguments.out / scene.name
        dataset = scene.label(folder, "--task", "segment", "--sam", arguments.sam)
        if not (folder / _LABELS).is_file():
            (folder / _LABELS).write_text(json.dumps(asdict(score_labels(scene, dataset))) + "\n")
        for seed in arguments.seeds:
            for task in TASKS:
                own = folder / f"{task}-{seed}"
                if not (own / _BUNDLE).is_file():
                    bundle = _train_and_export(dataset, own, task, seed, arguments)
                    (own / _BUNDLE).write_text(json.dumps(score_bundle(scene, bundle)) + "\n")
    tables = [labels_table(arguments.out)]
    note = "Labels: of `edgeloop label` from five images, at its default threshold. Last rows: medians."
    bundles = bundles_table(arguments.out)
    if bundles.groups:
        tables.append(bundles)
        note += (
            f" Bundles: means over the seeds, of trainings of {arguments.epochs} passes; detections from a "
            f"score of {_CONFIDENCE} on."
        )
    publish(arguments.write, *tables, note=note, timed=False)


def score_labels(scene: TaughtScene, dataset: Path) -> LabelScores:
    """Score the labels of a scene in instances.json and in the text files."""
    drawn = {image["id"] for image in scene.drawn["images"]}
    expected = {
        **scene.taught,
        "images": [each for each in scene.taught["images"] if each["id"] not in drawn],
        "annotations": [each for each in scene.taught["annotations"] if each["image_id"] not in drawn],
    }
    id_of = {Path(image["file_name"]).name: image["id"] for image in expected["images"]}
    category_of = {each["name"]: each["id"] for each in expected["categories"]}
    coco = json.loads((dataset / "instances.json").read_text())
    image_of = {image["id"]: id_of.get(Path(image["file_name"]).name) for image in coco["images"]}
    names = {each["id"]: each["name"] for each in coco["categories"]}
    rows = [
        {
            **each,
            "image_id": image_of[each["image_id"]],
            "category_id": category_of[names[each["category_id"]]],
        }
        for each in coco["annotations"]
        if image_of[each["image_id"]] is not None
    ]
    polygons = _outlines(dataset, id_of)
    outlined = [{**row, "segmentation": own} for row, own in zip(rows, polygons, strict=True)]
    extents = [{**row, "bbox": rle.toBbox(row["segmentation"]).tolist()} for row in rows]
    return LabelScores(
        labels=len(rows),
        without_mask=sum(row["mask_from"] == "box" for row in rows),
        boxes=_boxes(expected, rows),
        extents=_boxes(expected, extents),
        masks=_masks(expected, rows),
        outlines=_masks(expected, outlined),
    )


def _outlines(dataset: Path, id_of: Mapping[str, int]) -> list[Coco]:
    """Masks of the text files, as run lengths, in the order of instances.json."""
    data = open_dataset(dataset, task="segment")
    sizes = {
        Path(image["file_name"]).name: (image["width"], image["height"])
        for image in json.loads((dataset / "instances.json").read_text())["images"]
    }
    order = {name: number for number, name in enumerate(sizes)}
    images = sorted((*data.train, *data.val), key=lambda image: order[image.path.name])
    images = [image for image in images if image.path.name in id_of]
    truth = coco_truth(images, [sizes[image.path.name] for image in images], data.names)
    found = []
    for annotation in truth["annotations"]:
        width, height = sizes[images[annotation["image_id"]].path.name]
        (runs,) = rle.frPyObjects(annotation["segmentation"], height, width)
        found.append({"size": runs["size"], "counts": runs["counts"].decode("ascii")})
    return found


def _train_and_export(
    dataset: Path, folder: Path, task: str, seed: int, arguments: argparse.Namespace
) -> Path:
    run, bundle, checked = folder / "run", folder / "model.onnx", folder / "checked"
    # All images of the dataset are learned from. The export compares the bundle with torch, on the same ones:
    # that is no score of the model.
    checked.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((dataset / "data.yaml").read_text())
    images = str((dataset / "images" / "train").resolve())
    (checked / "data.yaml").write_text(yaml.safe_dump({**config, "train": images, "val": images}))
    side = [] if arguments.imgsz is None else ["--imgsz", str(arguments.imgsz)]
    passes = ["--epochs", str(arguments.epochs), "--seed", str(seed)]
    if not run.is_dir():
        _edgeloop("train", str(dataset), "-o", str(run), "--task", task, *passes, *side)
    if not bundle.is_file():
        _edgeloop("export", str(run), "-d", str(checked), "-o", str(bundle))
    return bundle


def _edgeloop(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "edgeloop", *words], check=True)


def score_bundle(scene: TaughtScene, bundle: Path) -> dict[str, tuple[float, float]]:
    """Score a bundle on the images that nothing was learned from; `masks` if it gives masks."""
    detector = Detector(bundle, confidence=_CONFIDENCE)
    category_of = {each["name"]: each["id"] for each in scene.expected["categories"]}
    rows = []
    has_masks = False
    for image in progress(scene.expected["images"], f"Scoring {bundle.parent.name}"):
        found = detector.detect(require_image(scene.images / Path(image["file_name"]).name))
        has_masks = found.masks is not None
        own = coco_mask_results(image["id"], found) if has_masks else coco_results(image["id"], found)
        rows += [{**row, "category_id": category_of[detector.names[row["category_id"]]]} for row in own]
    scores = {"boxes": _boxes(scene.expected, rows)}
    return scores | {"masks": _masks(scene.expected, rows)} if has_masks else scores


def _boxes(expected: Coco, rows: Sequence[Coco]) -> tuple[float, float]:
    scores = evaluate_boxes(expected, rows, max_boxes=_MAX_BOXES)
    return round(scores.map50, 4), round(scores.map50_95, 4)


def _masks(expected: Coco, rows: Sequence[Coco]) -> tuple[float, float]:
    scores = evaluate_masks(expected, rows, max_boxes=_MAX_BOXES)
    return round(scores.map50, 4), round(scores.map50_95, 4)


def labels_table(out: Path) -> Table:
    """Build the table of the labels: a row per scene, and their medians."""
    kinds = ("boxes", "extents", "masks", "outlines")
    rows, figures = [], []
    for scene in SCENES:
        if (out / scene / _LABELS).is_file():
            told = json.loads((out / scene / _LABELS).read_text())
            own = [value for kind in kinds for value in told[kind]]
            figures.append(own)
            rows.append((scene, str(told["labels"]), str(told["without_mask"]), *_cells(own)))
    header = (
        "labels of", "labels", "without mask",
        *(f"{kind}, {name}" for kind in ("boxes", "SAM's extents", "SAM's masks", "outlines")
          for name in ("mAP50", "mAP50-95")),
    )  # fmt: skip
    return Table("<" + ">" * (len(header) - 1), header, [rows, _medians(figures, ("", ""))])


def bundles_table(out: Path) -> Table:
    """Build the table of the bundles: a row per scene and task, and their medians."""
    groups, figures = [], {task: list[list[float]]() for task in TASKS}
    for scene in SCENES:
        rows = []
        for task in TASKS:
            scores = [
                json.loads(path.read_text()) for path in sorted(out.glob(f"{scene}/{task}-*/{_BUNDLE}"))
            ]
            if scores:
                own = [*_means(scores, "boxes"), *(_means(scores, "masks") if task == "segment" else ())]
                figures[task].append(own)
                rows.append((scene, task, str(len(scores)), *_cells(own)))
        if rows:
            groups.append([(*row, *[""] * (7 - len(row))) for row in rows])
    last = [
        (median[0], task, *median[1:], *[""] * (6 - len(median)))
        for task, own in figures.items()
        for median in _medians(own, ("",))
    ]
    header = ("bundle of", "task", "seeds", "boxes, mAP50", "mAP50-95", "masks, mAP50", "mAP50-95")
    return Table("<<>>>>>", header, [*groups, last] if last else [])


def _means(scores: Sequence[Mapping[str, Sequence[float]]], kind: str) -> Iterator[float]:
    return (statistics.mean(own) for own in zip(*(each[kind] for each in scores), strict=True))


def _medians(figures: Sequence[Sequence[float]], empty: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not figures:
        return []
    middle = [statistics.median(column) for column in zip(*figures, strict=True)]
    return [(f"median of {len(figures)}", *empty, *_cells(middle))]


def _cells(figures: Sequence[float]) -> list[str]:
    return [f"{figure:.3f}" for figure in figures]


if __name__ == "__main__":
    main()
