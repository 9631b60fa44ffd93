"""Model card: the report of an export in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from edgeloop.export.candidates import Candidate
from edgeloop.export.report.export_report import ExportReport

__all__ = ["write_card"]

_LAYERS_SHOWN = 8

Row = Sequence[object]


def write_card(report: ExportReport, picture: str, path: Path) -> None:
    """Write the model card; `picture` is the file name of the worst frames beside it."""
    blocks = chain(
        _head(report),
        _precisions(report),
        _classes(report),
        _masks(report),
        *(_layers(candidate) for candidate in report.candidates if candidate.layers),
        ("## Worst disagreements", f"![torch on the left, the bundle on the right]({picture})"),
        _origin(report),
    )
    path.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")


def _head(report: ExportReport) -> Iterator[str]:
    run, spec, options = report.provenance.run, report.spec, report.provenance.options
    width, height = spec.input_size
    kind = "a segmentation model" if spec.head == "segment" else "a detector"
    batch = "any number of images" if options.dynamic_batch else "one image"
    yield f"# {report.bundle.name}"
    if report.sha256 is None:
        yield "**Refused: no bundle was written.**"
        yield _bullets(report.chosen.reasons)
    yield (
        f"{run.model}, {kind} of {len(spec.names)} classes ({', '.join(spec.names)}), trained by "
        f"edgeloop on {run.images} images; {report.chosen.precision}, opset {options.opset}, {batch} of "
        f"{width}x{height} px at once, {spec.dtype} {spec.layout} {spec.color}, head '{spec.head}'."
    )


def _precisions(report: ExportReport) -> Iterator[str]:
    options = report.provenance.options
    machine = report.provenance.machine
    header, *rows = report.precision_rows()
    masks = "" if report.reference.mask_scores is None else ", and the same IoU of their masks"
    yield "## Precisions"
    yield _table(header, rows)
    yield (
        f"Held-out frames: {report.frames}. A box of torch with a confidence of 0.25 or more is repeated if "
        f"the bundle has one of its class before NMS, at IoU 0.95, for int8 at 0.75{masks}. Allowed to lose: "
        f"{options.tolerance_map:g} mAP50-95 and {options.tolerance_boxes:.1%} of boxes. Time is the median "
        f"of the bare inference, timed round robin, on {machine.processor}, {machine.cores} cores, "
        f"{', '.join(f'{name} {version}' for name, version in report.provenance.versions.items())}."
    )
    yield _bullets(
        [
            *(reason for each in report.candidates if each is not report.chosen for reason in each.reasons),
            *(f"failed: {each}" for each in report.failed),
        ]
    )


def _classes(report: ExportReport) -> Iterator[str]:
    measurement, torch = report.measurement, report.reference.scores
    total = measurement.scores
    rows: list[Row] = [
        (
            name,
            score.truths,
            f"{score.map50:.3f}",
            f"{score.map50_95:.3f}",
            f"{torch.per_class[name].map50_95:.3f}",
            f"{measurement.per_class[name].repeated} of {measurement.per_class[name].boxes}",
        )
        for name, score in total.per_class.items()
    ]
    rows.append(("all", "", f"{total.map50:.3f}", f"{total.map50_95:.3f}", f"{torch.map50_95:.3f}", ""))
    yield f"## Classes, {measurement.precision}"
    yield _table(("class", "objects", "mAP50", "mAP50-95", "torch's mAP50-95", "boxes repeated"), rows)


def _masks(report: ExportReport) -> Iterator[str]:
    found, torch = report.measurement.mask_scores, report.reference.mask_scores
    if found is None or torch is None:
        return
    rows: list[Row] = [
        (name, f"{score.map50:.3f}", f"{score.map50_95:.3f}", f"{torch.per_class[name].map50_95:.3f}")
        for name, score in found.per_class.items()
    ]
    rows.append(("all", f"{found.map50:.3f}", f"{found.map50_95:.3f}", f"{torch.map50_95:.3f}"))
    yield f"## Masks, {report.measurement.precision}"
    yield _table(("class", "mask mAP50", "mask mAP50-95", "torch's mask mAP50-95"), rows)


def _layers(candidate: Candidate) -> Iterator[str]:
    yield f"## Layers, {candidate.name}"
    found = candidate.quantization
    if found is not None:
        others = ", ".join(f"{name} {value:.3f}" for name, value in found.methods.items())
        yield (
            f"Calibrated by {found.method} on {found.calibration_frames} training frames. Disagreement with "
            f"fp32 on {found.tuning_frames} others (0: none, 1: nothing in common): {others}; as built "
            f"{found.disagreement:.3f}. In float: the {found.decoding} nodes of box decoding"
            + "".join(f", {stage} (without it {found.stages[stage]:.3f})" for stage in found.in_float)
            + "".join(f", {stage} (for speed)" for stage in found.first)
            + "."
        )
    worst = sorted(candidate.layers, key=lambda stage: -candidate.layers[stage])[:_LAYERS_SHOWN]
    yield "Relative error of each stage's output against fp32, the largest first:"
    yield _table(("stage", "error"), [(stage, f"{candidate.layers[stage]:.4f}") for stage in worst])


def _origin(report: ExportReport) -> Iterator[str]:
    source, golden = report.provenance, report.record.golden
    rows = [
        ("bundle", report.sha256 or "not written"),
        (f"trained weights ({source.run.weights_file})", source.weights_sha256),
        ("dataset trained on", source.run.dataset_sha256),
        ("dataset checked on", source.checked_on),
        ("golden input", golden.input_sha256 if golden else "none"),
        ("golden output", golden.output_sha256 if golden else "none"),
    ]
    yield "## Origin"
    yield _table(("what", "sha256"), rows)
    yield f"Made {report.record.created}. License: {source.run.license}."


def _bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(header: Row, rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])
