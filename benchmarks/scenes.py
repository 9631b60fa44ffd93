"""Labels from five boxed frames on real scenes: `python benchmarks/scenes.py ../shared/data --out OUT`.

The engine of `edgeloop label` learns from five frames of each scene of DATA/scenes and of the street, and all
others are scored against ground truth: average precision, precision and recall at the default threshold, how
far scores are from the share of right labels (expected calibration error, ten bins), and whether mAP50 is
within the interval that was promised before. Variants take a part away: `no-paste` the copy-paste
augmentation, `one-member` the ensemble.

`--workers N` shares the detection out; what is found is the same. Frames/s is timed around each detection: it
is the rate of one worker on its share of the cores. Learning and the rate with masks have all cores.

OUT is reused: OUT/VARIANT/SCENE-SEED.json is not measured again, so an interrupted call continues. The tables
show every result in OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from detect_job import ONE_MEMBER, DetectJob
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes, precision_recall
from edgeloop.labeling.engine.calibration import HeldOut, match
from edgeloop.labeling.engine.engine import learn_engine
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, read_exemplars
from edgeloop.labeling.labeler import DetectorLabeler
from edgeloop.labeling.sam import load
from edgeloop.labeling.workers.frame_job import FrameFile
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.boxes import xywh_to_xyxy
from edgeloop.models.detections import Detections
from few_shot_scenes import Scene, few_shot_scenes
from report import Table, add_write_option, publish
from scoring import Coco

VARIANTS = ("engine", "no-paste", ONE_MEMBER)
_CONFIDENCE = 0.5
_MAX_BOXES = 500
_BINS, _MIN_BINNED = 10, 0.05
_TIMED = 20  # frames labeled with masks, for the rate


@dataclass(frozen=True)
class Result:
    """Labels of one scene with one seed.

    Attributes:
        map50, map50_95: Average precision of all that was found.
        precision, recall: At the default threshold.
        calibration_error: Expected calibration error of scores from 0.05 on.
        promised, low, high: Promised mAP50 and its interval; None without a promise.
        learn_s: Duration of learning, s.
        frames_s: Frames per second of one worker, without masks.
        masked_frames_s: Frames per second of this process, with masks.
        workers: Number of workers that shared the cores for `frames_s`.
    """

    map50: float
    map50_95: float
    precision: float
    recall: float
    calibration_error: float
    promised: float | None
    low: float | None
    high: float | None
    learn_s: float
    frames_s: float
    masked_frames_s: float
    workers: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS[:1])
    parser.add_argument("--scenes", nargs="+", metavar="NAME", help="Scenes to label. Default: all.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Random seeds.")
    parser.add_argument("--weights", help="Start weights, as of `edgeloop label`.")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="Processes that detect.")
    add_write_option(parser, "scenes")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for scene in few_shot_scenes(arguments.data):
            for variant in arguments.variants:
                path = arguments.out / variant / f"{scene.name}-{seed}.json"
                wanted = arguments.scenes is None or scene.name in arguments.scenes
                if wanted and not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    result = measure(scene, variant, seed, arguments.weights, arguments.workers)
                    path.write_text(json.dumps(asdict(result)) + "\n")
    note = (
        "Five boxed frames. mAP over all that was found, precision and recall at "
        f"{_CONFIDENCE}; ECE: expected calibration error; promised: mAP50 as promised before labeling, with "
        "its 90 % interval, and in how many seeds mAP50 was within it; frames/s: of one worker. Means over "
        "the seeds; last rows: medians over the scenes without the street."
    )
    publish(arguments.write, scenes_table(arguments.out), note=note)


def measure(scene: Scene, variant: str, seed: int, weights: str | None, workers: int) -> Result:
    """Learn from the exemplar frames of a scene and score what is found on all others."""
    segmenter = load("nano")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exemplars.json"
        path.write_text(json.dumps(scene.exemplars))
        exemplars = read_exemplars(path, scene.images)
        began = time.monotonic()
        learned = learn_engine(
            exemplars, segmenter, Path(folder) / "engine", confidence=_CONFIDENCE, weights=weights,
            device="cpu", seed=seed, progress=progress_bar, pasted=0 if variant == "no-paste" else 60,
        )  # fmt: skip
        learn_s = time.monotonic() - began
        found, spent = _detect_all(scene, DetectJob(FolderStore(scene.images), learned, variant), workers)
        engine = learned.open("cpu")
    categories = [scene.classes[name] for name in exemplars.names]
    expected = scene.expected
    rows = [
        {**row, "category_id": categories[row["category_id"]]}
        for image_id, own in found.items()
        for row in coco_results(image_id, own)
    ]
    average = evaluate_boxes(expected, rows, max_boxes=_MAX_BOXES)
    working = precision_recall(expected, rows, confidence=_CONFIDENCE)
    promise = engine.promise
    return Result(
        map50=round(average.map50, 4),
        map50_95=round(average.map50_95, 4),
        precision=round(working.precision, 4),
        recall=round(working.recall, 4),
        calibration_error=round(_calibration_error(expected, found, categories), 4),
        promised=None if promise is None else promise.map50.value,
        low=None if promise is None else promise.map50.low,
        high=None if promise is None else promise.map50.high,
        learn_s=round(learn_s, 1),
        frames_s=round(len(found) / spent, 2),
        masked_frames_s=round(_masked_rate(scene, DetectorLabeler(engine, segmenter, _CONFIDENCE)), 2),
        workers=workers,
    )


def _detect_all(scene: Scene, job: DetectJob, workers: int) -> tuple[dict[int, Detections], float]:
    """Detect in all scored frames; what was found by image id, and the seconds of all detections."""
    images = scene.expected["images"]
    items = [FrameFile(Path(image["file_name"]).name) for image in images]
    rows = {}
    with progress_bar(len(items), "Detecting") as advance:
        for place, row in run_job(job, items, Workers(workers)):
            rows[place] = row
            advance(1)
    found = {image["id"]: rows[place][0] for place, image in enumerate(images)}
    return found, sum(seconds for _, seconds in rows.values())


def _masked_rate(scene: Scene, labeler: DetectorLabeler) -> float:
    images = scene.expected["images"][:: max(1, len(scene.expected["images"]) // _TIMED)]
    pixels = [require_image(scene.images / Path(image["file_name"]).name) for image in images]
    began = time.monotonic()
    for each in pixels:
        labeler.label([each])
    return len(pixels) / (time.monotonic() - began)


def _calibration_error(expected: Coco, found: dict[int, Detections], categories: Sequence[int]) -> float:
    """Mean distance between score and share of right labels, weighted by the labels of each bin."""
    scores, right = [], []
    for image_id, own in found.items():
        truth = [
            a for a in expected["annotations"] if a["image_id"] == image_id and a["category_id"] in categories
        ]
        frame = ExemplarFrame(
            Path(),
            xywh_to_xyxy(np.array([a["bbox"] for a in truth], np.float32).reshape(-1, 4)),
            np.array([categories.index(a["category_id"]) for a in truth], np.int64),
        )
        scores.append(own.confidence)
        right.append(match(HeldOut(frame, own)) >= 0)
    score, hit = np.concatenate(scores), np.concatenate(right)
    kept = score >= _MIN_BINNED
    score, hit = score[kept], hit[kept]
    bins = np.minimum((score * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((score[bins == b] - hit[bins == b]).sum())) for b in range(_BINS)]
    return sum(gaps) / max(len(score), 1)


def scenes_table(out: Path) -> Table:
    """Build the table of all results: a group per scene, a row per variant, and the medians at the end."""
    results: dict[str, dict[str, list[Result]]] = {}
    for path in sorted(out.glob("*/*.json")):
        scene = path.stem.rpartition("-")[0]
        results.setdefault(scene, {}).setdefault(path.parent.name, []).append(
            Result(**json.loads(path.read_text()))
        )
    columns = ("map50", "map50_95", "precision", "recall", "calibration_error", "learn_s", "frames_s",
               "masked_frames_s")  # fmt: skip
    digits = (3, 3, 3, 3, 3, 0, 1, 1)
    groups, means = [], dict[str, list[list[float]]]()
    for scene, variants in results.items():
        rows = []
        for variant, own in variants.items():
            figures = [statistics.mean(getattr(result, name) for result in own) for name in columns]
            if scene != "street":
                means.setdefault(variant, []).append(figures)
            shared = max(result.workers for result in own)
            told = variant if shared == 1 else f"{variant}, up to {shared} workers"
            rows.append((scene, told, str(len(own)), *_cells(figures, digits), _promised(own)))
        groups.append(rows)
    medians = [
        (
            f"median of {len(rows)}", variant, "",
            *_cells([statistics.median(column) for column in zip(*rows, strict=True)], digits), "",
        )
        for variant, rows in means.items()
    ]  # fmt: skip
    header = (
        "scene", "variant", "seeds", "mAP50", "mAP50-95", "precision", "recall", "ECE", "learning s",
        "frames/s", "with masks", "promised mAP50",
    )  # fmt: skip
    return Table("<<" + ">" * (len(header) - 2), header, [*groups, medians])


def _cells(figures: Sequence[float], digits: Sequence[int]) -> list[str]:
    return [f"{figure:.{places}f}" for figure, places in zip(figures, digits, strict=True)]


def _promised(results: Sequence[Result]) -> str:
    told = [each for each in results if each.promised is not None]
    if not told:
        return "none"
    means = [statistics.mean(getattr(each, name) for each in told) for name in ("promised", "low", "high")]
    within = sum(each.low <= each.map50 <= each.high for each in told)  # type: ignore[operator]
    return f"{means[0]:.2f} ({means[1]:.2f} to {means[2]:.2f}), {within} of {len(told)}"


if __name__ == "__main__":
    main()
