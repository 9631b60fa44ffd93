"""Model card: the report of an export in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnxruntime

from edgeloop.export.candidates import Candidate
from edgeloop.export.report.export_report import LICENSE, ExportReport

__all__ = ["write_card"]

_LAYERS_SHOWN = 8

Row = Sequence[object]


def write_card(report: ExportReport, picture: str, path: Path) -> None:
    """Write the model card.

    Args:
        report: The report.
        picture: File name of the picture of the worst frames, beside the card.
        path: Markdown file to write.
    """
    parts = [_head(report), _precisions(report), _classes(report)]
    parts += [_layers(candidate) for candidate in report.candidates if candidate.layers]
    parts += [_picture(picture), _origin(report)]
    path.write_text("\n".join(line for part in parts for line in part), encoding="utf-8")


def _head(report: ExportReport) -> Iterator[str]:
    run, spec, options = report.provenance.run, report.spec, report.provenance.options
    width, height = spec.input_size
    batch = "any number of images" if options.dynamic_batch else "one image"
    yield f"# {report.bundle.name}"
    yield ""
    if report.sha256 is None:
        yield "**Refused: no bundle was written.**"
        yield ""
        yield from (f"- {reason}" for reason in report.chosen.reasons)
        yield ""
    yield (
        f"{run.model}, a detector of {len(spec.names)} classes ({', '.join(spec.names)}), trained by "
        f"edgeloop on {run.images} images; {report.chosen.precision}, opset {options.opset}, {batch} of "
        f"{width}x{height} px at once, {spec.dtype} {spec.layout} {spec.color}, head '{spec.head}'."
    )
    yield ""


def _precisions(report: ExportReport) -> Iterator[str]:
    frames, options = report.measurement.parity.frames, report.provenance.options
    machine = report.provenance.machine
    yield "## Precisions"
    yield ""
    header, *rows = report.precision_rows()
    yield from _table(header, rows)
    yield ""
    yield (
        f"On {frames} held-out frames. A box of torch with a confidence of 0.25 or more is repeated where "
        "the bundle has one of its class at IoU 0.95, for int8 at 0.75. Allowed to lose: "
        f"{options.tolerance_map:g} mAP50-95 and {options.tolerance_boxes:.1%} of boxes. Time is the median "
        f"of the bare inference, timed round robin, on {machine.processor}, {machine.cores} cores, "
        f"onnxruntime {onnxruntime.__version__}."
    )
    yield ""
    for candidate in report.candidates:
        if candidate is not report.chosen:
            yield from (f"- {reason}" for reason in candidate.reasons)
    yield ""


def _classes(report: ExportReport) -> Iterator[str]:
    measurement, torch = report.measurement, report.reference.scores
    yield f"## Classes, {measurement.precision}"
    yield ""
    rows: list[Row] = [
        (
            name,
            score.truths,
            f"{score.map50:.3f}",
            f"{score.map50_95:.3f}",
            f"{torch.per_class[name].map50_95:.3f}",
            f"{measurement.per_class[name].repeated} of {measurement.per_class[name].boxes}",
        )
        for name, score in measurement.scores.per_class.items()
    ]
    total = measurement.scores
    rows.append(("all", "", f"{total.map50:.3f}", f"{total.map50_95:.3f}", f"{torch.map50_95:.3f}", ""))
    yield from _table(("class", "objects", "mAP50", "mAP50-95", "torch's mAP50-95", "boxes repeated"), rows)
    yield ""


def _layers(candidate: Candidate) -> Iterator[str]:
    yield f"## Layers, {candidate.precision}"
    yield ""
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
        yield ""
    worst = sorted(candidate.layers, key=lambda stage: -candidate.layers[stage])[:_LAYERS_SHOWN]
    yield "Relative error of each stage's output against fp32, the largest first:"
    yield ""
    yield from _table(("stage", "error"), [(stage, f"{candidate.layers[stage]:.4f}") for stage in worst])
    yield ""


def _picture(picture: str) -> Iterator[str]:
    yield "## Worst disagreements"
    yield ""
    yield f"![torch on the left, the bundle on the right]({picture})"
    yield ""


def _origin(report: ExportReport) -> Iterator[str]:
    source, golden = report.provenance, report.record.golden
    yield "## Origin"
    yield ""
    yield from _table(
        ("what", "sha256"),
        [
            ("bundle", report.sha256 or "not written"),
            ("trained weights (best.pt)", source.weights_sha256),
            ("dataset trained on", source.run.dataset_sha256),
            ("dataset checked on", source.checked_on),
            ("golden input", golden.input_sha256 if golden else "none"),
            ("golden output", golden.output_sha256 if golden else "none"),
        ],
    )
    yield ""
    yield f"Made {report.record.created}. License: {LICENSE}."
    yield ""


def _table(header: Row, rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(map(str, header))} |"
    yield "|---" * len(header) + "|"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
