"""`export`: a trained detector in, one ONNX bundle out, checked against torch before it leaves."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import onnxslim
import torch
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import DetectionModel

from edge.detector import Detector
from edge.verify import make_golden
from export.dataset import Dataset, open_dataset
from export.detectors import load_detector
from export.measure import LOWEST_CONFIDENCE, Measurement, measure
from export.options import ExportOptions
from export.parity import TorchDetector
from export.record import RunRecord, read_record
from export.targets import next_step, warn_about_activation
from models.bundle import Golden, Measured, Record
from models.errors import DataError, ModelError, NoInputError, UsageError
from models.onnx_bytes import seal
from models.spec import ModelSpec

__all__ = ["ExportReport", "export"]

_MIN_PARITY = 0.99
_LICENSE = "AGPL-3.0 (https://ultralytics.com/license)"


@dataclass(frozen=True)
class ExportReport:
    """What is known about a bundle that left.

    Attributes:
        bundle: The .onnx file.
        spec: How it is run.
        record: What it says about itself.
        measurement: How it did on the held-out frames.
        target: Runtime that it is meant for; None for any.
    """

    bundle: Path
    spec: ModelSpec
    record: Record
    measurement: Measurement
    target: str | None = None

    @property
    def next_step(self) -> str | None:
        """Command that the user runs next; None where no target was named."""
        return None if self.target is None else next_step(self.target, self.bundle)

    def document(self) -> dict[str, Any]:
        """The report as it is written beside the bundle."""
        parity, scores = self.measurement.parity, self.measurement.scores
        return {
            "bundle": self.bundle.name,
            "sha256": hashlib.sha256(self.bundle.read_bytes()).hexdigest(),
            "bytes": self.bundle.stat().st_size,
            "created": self.record.created,
            "precision": self.record.precision,
            "dataset_sha256": self.record.dataset_sha256,
            "names": list(self.spec.names),
            "input_size": list(self.spec.input_size),
            "parity": {"matched": parity.matched, **asdict(parity)},
            "map50": scores.map50,
            "map50_95": scores.map50_95,
            "per_class": {name: asdict(score) for name, score in scores.per_class.items()},
            "latency_ms": self.measurement.latency_ms,
            "target": self.target,
            "next_step": self.target and next_step(self.target, Path(self.bundle.name)),
        }


def export(run: Path, dataset: Path, out: Path, options: ExportOptions | None = None) -> ExportReport:
    """Export a trained detector as one ONNX bundle.

    Args:
        run: Folder that `edgeloop train` made.
        dataset: Dataset whose validation part the bundle is checked on.
        out: The .onnx file to write; a report goes beside it, with the suffix .json.
        options: How the bundle is to be.

    Returns:
        The report.

    Raises:
        NoInputError: The run, its checkpoint or the dataset is not there.
        DataError: The dataset has other classes or nothing to check on, or a file exists.
        ModelError: The checkpoint cannot be read, or the bundle does not do what torch does.
        UsageError: An argument makes no sense.
    """
    options = options or ExportOptions()
    if options.precision != "fp32" or options.input != "tensor" or options.dynamic_batch:
        raise UsageError("only --precision fp32 --input tensor --batch 1 so far")
    _check_output(out, overwrite=options.overwrite)
    record, model = _read_run(run)
    if options.target is not None:
        warn_about_activation(options.target, model)
    side = options.imgsz or record.imgsz
    size = (side, side)
    data = open_dataset(dataset)
    _check_dataset(data, record)
    if options.end2end is not None:
        model.end2end = options.end2end
    model = _prepared(model)
    spec = _spec(model, record.names, size)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as folder:
        bundle = Path(folder) / out.name
        graph = _to_onnx(model, spec, bundle, options.opset)
        _save(graph, spec.to_metadata(), bundle)
        detector = Detector(bundle, provider="cpu", confidence=LOWEST_CONFIDENCE)
        measurement = measure(TorchDetector(model, spec), detector, data.val)
        _check_parity(measurement, out)
        written = _record(record, measurement, make_golden(detector))
        _save(graph, spec.to_metadata(written) | _about(record), bundle)
        report = ExportReport(bundle, spec, written, measurement, options.target)
        sidecar = bundle.with_suffix(".json")
        sidecar.write_text(json.dumps(report.document(), indent=2) + "\n", encoding="utf-8")
        sidecar.replace(out.with_suffix(".json"))
        bundle.replace(out)
    return ExportReport(out, spec, written, measurement, options.target)


def _check_output(out: Path, *, overwrite: bool) -> None:
    if out.suffix != ".onnx":
        raise UsageError(f"-o {out}: expected a file that ends in .onnx")
    for path in (out, out.with_suffix(".json")):
        if path.exists() and not (overwrite and path.is_file()):
            raise DataError(f"{path}: exists; name another file, or replace it with --overwrite")


def _read_run(run: Path) -> tuple[RunRecord, DetectionModel]:
    if not run.is_dir():
        raise NoInputError(f"{run}: no such folder; expected one that `edgeloop train` made")
    record = read_record(run)
    model = load_detector(run / "best.pt")
    if len(record.names) != model.model[-1].nc:
        raise DataError(
            f"{run}: run.json names {len(record.names)} classes, best.pt has {model.model[-1].nc}"
        )
    return record, model


def _check_dataset(data: Dataset, record: RunRecord) -> None:
    if data.names != record.names:
        raise DataError(
            f"{data.root}: its classes are {', '.join(data.names)}; the run learned {', '.join(record.names)}"
        )
    if not any(len(image.class_id) for image in data.val):
        raise DataError(f"{data.root}: no object in its validation part; nothing to check the bundle on")


def _prepared(model: DetectionModel) -> DetectionModel:
    """The model as it is exported, and as torch runs it for comparison: folded, output and nothing else."""
    model = model.float().eval().fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect):
            module.export, module.format, module.dynamic = True, "onnx", False
    return model.requires_grad_(False)


def _spec(model: DetectionModel, names: tuple[str, ...], size: tuple[int, int]) -> ModelSpec:
    head = model.model[-1]
    return ModelSpec(
        head="end2end" if head.end2end else "classic",
        input_size=size,
        layout="NCHW",
        dtype="float32",
        color="RGB",
        scale=255.0,
        centered=True,
        pad_value=114,
        names=names,
        stride=int(model.stride.max()),
        confidence=0.25,
        iou=0.7,
        max_detections=head.max_det,
    )


def _to_onnx(model: DetectionModel, spec: ModelSpec, path: Path, opset: int) -> onnx.ModelProto:
    width, height = spec.input_size
    image = torch.zeros(1, 3, height, width)
    model(image)  # lays out the grid of cells, which the graph then holds as a constant
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own future
        torch.onnx.export(
            model, (image,), path, opset_version=opset, input_names=["images"], output_names=["output0"],
            dynamo=False,
        )  # fmt: skip
    return onnxslim.slim(onnx.load(path))


def _save(graph: onnx.ModelProto, metadata: Mapping[str, str], path: Path) -> None:
    del graph.metadata_props[:]
    for key, value in metadata.items():
        graph.metadata_props.add(key=key, value=value)
    path.write_bytes(seal(graph.SerializeToString()))


def _check_parity(measurement: Measurement, out: Path) -> None:
    parity = measurement.parity
    if not parity.boxes:
        raise ModelError(
            f"{out}: not written; the detector finds nothing with a confidence of 0.25 on {parity.frames} "
            "held-out frames, so there is nothing to compare; train it for longer"
        )
    if parity.matched < _MIN_PARITY:
        raise ModelError(
            f"{out}: not written; onnxruntime repeats {parity.repeated} of torch's {parity.boxes} boxes on "
            f"{parity.frames} held-out frames ({parity.matched:.1%}, expected {_MIN_PARITY:.0%} or more)"
        )


def _record(run: RunRecord, measurement: Measurement, golden: Golden) -> Record:
    return Record(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        precision="fp32",
        dataset_sha256=run.dataset_sha256,
        measured=Measured(
            map50=measurement.scores.map50,
            map50_95=measurement.scores.map50_95,
            parity=measurement.parity.matched,
            latency_ms=measurement.latency_ms,
        ),
        golden=golden,
    )


def _about(run: RunRecord) -> dict[str, str]:
    """Ultralytics' keys for a reader."""
    return {
        "description": f"{run.model} trained by edgeloop on {run.images} images",
        "author": "edgeloop",
        "version": run.versions["ultralytics"],
        "license": _LICENSE,
    }
