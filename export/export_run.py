"""Export a trained detector as one ONNX bundle and check it against torch."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime

from edgeloop.edge.doctor.examine import machine
from edgeloop.edge.engines.accelerators.qnn_plugin import is_emulated
from edgeloop.edge.engines.facts_file import write_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.export.candidates import (
    Bundle,
    Candidate,
    best_refused,
    fastest,
    make_bundles,
    measure_bundles,
    time_bundles,
    try_further_int8,
)
from edgeloop.export.check.measure import Measurement, Reference, measure_torch
from edgeloop.export.check.parity import SURE, TorchDetector
from edgeloop.export.convert.converter import FailedAttempt
from edgeloop.export.convert_bundles import (
    calibration_frames,
    check_tools,
    convert_bundles,
    facts_of,
    is_onnx,
)
from edgeloop.export.data.training_frames import describe_dataset
from edgeloop.export.data.yolo_dataset import Dataset, LabeledImage, open_dataset
from edgeloop.export.export_model import ExportModel
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.export.graph.graph_io import save_graph
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.report.export_report import ExportReport, Provenance, is_report, write_json
from edgeloop.export.report.model_card import write_card
from edgeloop.export.report.report_files import ReportFiles, report_files
from edgeloop.export.report.worst_frames import draw_worst
from edgeloop.export.targets import TARGETS, check_masks
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.models.bundle.document import BundleParents, Golden, Measured, Record
from edgeloop.models.bundle.frame_statistics import FrameStatistics
from edgeloop.models.errors import DataError, ModelError, NoInputError, UsageError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256

__all__ = ["export_run", "warn_about_activation"]

_log = logging.getLogger(__name__)


def export_run(run: Path, dataset: Path, out: Path, options: ExportOptions) -> ExportReport:
    """Do the work of `export_bundle`, with the same arguments, result and errors."""
    _check_output(out, options.target, overwrite=options.overwrite)
    record, model = _read_run(run, options)
    data = open_dataset(dataset, task=record.task)
    _check_dataset(data, record)
    side = options.imgsz or record.imgsz
    if options.target is not None:
        check_tools(options.target)
        warn_about_activation(options.target, model)
    spec = model_spec(model, record.names, (side, side))
    settings = options.settings or SpecOverrides()
    spec.updated(settings)  # refuses what cannot be meant before the work
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as name:
        folder = Path(name)
        held_out = _held_out(data, options.target)
        reference = measure_torch(TorchDetector(model.module, spec), held_out, spec.names)
        if any((each.confidence >= SURE).sum() >= spec.max_detections for each in reference.found):
            _log.warning(
                "%s: a held-out image has %d detections, the maximum; --max-detections sets another limit",
                run,
                spec.max_detections,
            )
        graph = to_onnx(model, (side, side), options)
        bundles, candidates, failed = _make(graph, spec, reference, data, options, folder)
        asked_for = [each for each in candidates if options.precision in ("auto", each.precision)]
        # If torch finds nothing there is float32 alone, whatever was asked for, and it is refused.
        chosen = fastest(asked_for) or best_refused(asked_for or candidates)
        kept = bundles[candidates.index(chosen)]
        converted = kept.converted
        versions = {"onnxruntime": onnxruntime.__version__} if converted is None else converted.versions
        provenance = Provenance(
            record,
            file_sha256(run / record.weights_file),
            data.digest,
            options,
            machine(),
            datetime.now(UTC),
            versions,
        )
        golden = kept.golden
        if golden is None and not chosen.reasons:
            golden = make_golden(Detector(kept.path, provider=_provider(options)))
        written = _record(provenance, chosen.measurement, golden, describe_dataset(data))
        shipped = kept.spec.updated(settings)
        report = ExportReport(
            out,
            None,
            shipped,
            written,
            chosen,
            candidates,
            reference,
            len(data.val),
            provenance,
            failed,
        )
        if chosen.reasons:
            card = _write_beside(report, folder, refused=True).card
            raise ModelError(f"{out}: not written; {_refusal(report)}; see {card}")
        if _has_raw_head(options.target):
            np.save(_frames_path(out), calibration_frames(data, spec))
        return _write_bundle(report, kept, folder)


def warn_about_activation(name: str, model: ExportModel) -> None:
    """Warn if a detector's activation is known to be a poor choice on a target."""
    against = TARGETS[name].silu
    if against and model.has_silu:
        _log.warning("--target %s: %s; train one with --activation relu", name, against)


def _held_out(data: Dataset, target: str | None) -> tuple[LabeledImage, ...]:
    """Frames to check on: the validation part, or as many of those with objects as an emulator is given."""
    most = TARGETS[target].emulated_frames if target is not None and is_emulated() else 0
    if not 0 < most < len(data.val):
        return data.val
    shown = [image for image in data.val if len(image.class_id)]
    rows = np.linspace(0, len(shown) - 1, min(most, len(shown))).round().astype(int)
    return tuple(shown[row] for row in rows)


def _make(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    reference: Reference,
    data: Dataset,
    options: ExportOptions,
    folder: Path,
) -> tuple[list[Bundle], tuple[Candidate, ...], tuple[FailedAttempt, ...]]:
    """Build the candidates with the target's converter, or for onnxruntime, and measure them."""
    if options.target is not None and TARGETS[options.target].converter:
        return convert_bundles(graph, spec, reference, data, options, folder)
    if _has_raw_head(options.target):
        graph, spec = cut_head(graph, spec)
    bundles = make_bundles(graph, spec, reference, data, options, folder)
    candidates = measure_bundles(bundles, reference, options)
    possible = options.target is not None and TARGETS[options.target].further_int8
    if possible and any(each.precision == "int8" and each.reasons for each in candidates):
        further = list(try_further_int8(graph, spec, reference, data, options, folder))
        bundles += [bundle for bundle, _ in further]
        candidates = (*candidates, *(candidate for _, candidate in further))
        candidates = time_bundles(bundles, candidates, reference, options)
    return bundles, candidates, ()


def _refusal(report: ExportReport) -> str:
    """Reasons in one line; of several attempts those of the best one, after a line for each."""
    reasons = "; ".join(report.chosen.reasons)
    attempts = [*(each for each in report.candidates if each.reasons), *report.failed]
    if len(attempts) == 1:
        return reasons
    for each in attempts:
        _log.warning("%s", each)
    return f"the best of {len(attempts)} attempts is '{report.chosen.name}': {reasons}"


def _check_output(out: Path, target: str | None, *, overwrite: bool) -> None:
    suffix = ".onnx" if target is None else TARGETS[target].suffix
    if out.suffix != suffix:
        made = "" if target is None else f", which --target {target} makes"
        raise UsageError(f"-o {out}: expected a file that ends in {suffix}{made}")
    frames = [_frames_path(out)] if _has_raw_head(target) else []
    report = report_files(out).document
    if report.exists() and not is_report(report):  # such as exemplars of the same name
        raise DataError(f"{report}: is no report of an export, and stays; name another file with -o")
    for path in (out, facts_path(out), *report_files(out), *frames):
        if path.exists() and not (overwrite and path.is_file()):
            raise DataError(f"{path}: exists; name another file, or replace it with --overwrite")


def _has_raw_head(target: str | None) -> bool:
    return target is not None and TARGETS[target].raw_head


def _frames_path(out: Path) -> Path:
    """Frames to calibrate on, for a maker's tools."""
    return out.with_suffix(".npy")


def _read_run(run: Path, options: ExportOptions) -> tuple[RunRecord, ExportModel]:
    if not run.is_dir():
        raise NoInputError(f"{run}: no such folder; expected one that `edgeloop train` made")
    record = read_record(run)
    if record.task == "segment" and options.target is not None:
        check_masks(options.target)
    return record, load_trained(run, record, end2end=options.end2end, max_detections=options.max_detections)


def _check_dataset(data: Dataset, record: RunRecord) -> None:
    if data.names != record.names:
        raise DataError(
            f"{data.root}: its classes are {', '.join(data.names)}; the run learned {', '.join(record.names)}"
        )
    if not any(len(image.class_id) for image in data.val):
        raise DataError(f"{data.root}: no object in its validation part; nothing to check the bundle on")


def _provider(options: ExportOptions) -> str:
    """Provider that an ONNX bundle is checked on."""
    return "cpu" if options.target is None else TARGETS[options.target].provider


def _write_bundle(report: ExportReport, kept: Bundle, folder: Path) -> ExportReport:
    """Write the bundle and its report; all are complete when the first is renamed, the bundle last."""
    out, bundle = report.bundle, folder / report.bundle.name
    metadata = report.spec.to_metadata(report.record) | _ultralytics_metadata(report.provenance.run)
    if kept.converted is None or is_onnx(kept.path):
        save_graph(kept.graph, metadata, bundle)
    else:
        kept.path.replace(bundle)
        write_facts(bundle, facts_of(replace(kept.converted, path=bundle), metadata))
    report = replace(report, sha256=file_sha256(bundle))
    _write_beside(report, folder, refused=False)
    if facts_path(bundle).exists():
        facts_path(bundle).replace(facts_path(out))
    bundle.replace(out)
    for path in report_files(out, refused=True):
        path.unlink(missing_ok=True)
    return report


def _write_beside(report: ExportReport, folder: Path, *, refused: bool) -> ReportFiles:
    """Write the report into a folder, then all of it beside the bundle."""
    final = report_files(report.bundle, refused=refused)
    ready = report_files(folder / report.bundle.name, refused=refused)
    write_json(report, ready.document)
    write_card(report, final.picture.name, ready.card)
    draw_worst(report.reference, report.measurement, report.spec.names, ready.picture)
    for written, path in zip(ready, final, strict=True):
        written.replace(path)
    return final


def _record(
    provenance: Provenance, measurement: Measurement, golden: Golden | None, frames: FrameStatistics | None
) -> Record:
    masks = measurement.mask_scores
    return Record(
        created=provenance.created.isoformat(timespec="seconds"),
        precision=measurement.precision,
        dataset_sha256=provenance.run.dataset_sha256,
        measured=Measured(
            map50=measurement.scores.map50,
            map50_95=measurement.scores.map50_95,
            mask_map50=masks.map50 if masks else None,
            mask_map50_95=masks.map50_95 if masks else None,
            parity=measurement.parity.matched,
            latency_ms=measurement.latency_ms or None,  # a simulator has none
        ),
        golden=golden,
        frames=frames,
        parents=BundleParents(
            weights_sha256=provenance.weights_sha256,
            start_weights_sha256=provenance.run.start_weights_sha256,
            bundle_sha256=provenance.options.parent_sha256,
        ),
    )


def _ultralytics_metadata(run: RunRecord) -> dict[str, str]:
    """Metadata keys that `yolo predict` shows."""
    return {
        "description": f"{run.model} trained by edgeloop on {run.images} images",
        "author": "edgeloop",
        "version": run.versions[run.trainer],
        "license": run.license,
    }
