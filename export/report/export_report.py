"""Report of an export, whether its bundle was written or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edgeloop.edge.doctor.examine import Machine
from edgeloop.export.candidates import Candidate
from edgeloop.export.check.measure import Measurement, Reference
from edgeloop.export.check.parity import Parity
from edgeloop.export.convert.converter import FailedAttempt
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.targets import next_step
from edgeloop.export.train.run_record import RunRecord
from edgeloop.models.bundle.document import Record
from edgeloop.models.spec import ModelSpec

__all__ = ["ExportReport", "Provenance", "is_report", "write_json"]


@dataclass(frozen=True)
class Provenance:
    """Inputs of an export.

    Attributes:
        run: Record of the training.
        weights_sha256: Digest of the trained checkpoint.
        checked_on: Digest of the dataset whose validation part the bundles were checked on.
        options: Options of the export.
        machine: The machine that exported and measured.
        created: Time of the export.
        versions: Versions of the engine and of the tools that made the file, by name.
    """

    run: RunRecord
    weights_sha256: str
    checked_on: str
    options: ExportOptions
    machine: Machine
    created: datetime
    versions: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class ExportReport:
    """Report of an export.

    Attributes:
        bundle: The file; if it was refused, the one that was asked for.
        sha256: Its digest; None if it was refused.
        spec: Spec of the bundle.
        record: Record in the bundle's metadata.
        chosen: The candidate that was written, or the one that was refused.
        candidates: All candidates, the chosen one among them.
        reference: Torch on the same frames.
        held_out: Number of held-out frames; an emulator is given some of them.
        provenance: Inputs of the export.
        failed: Attempts of which the maker's tool or engine failed.
    """

    bundle: Path
    sha256: str | None
    spec: ModelSpec
    record: Record
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    reference: Reference
    held_out: int
    provenance: Provenance
    failed: tuple[FailedAttempt, ...] = ()

    @property
    def measurement(self) -> Measurement:
        """Results of the chosen candidate."""
        return self.chosen.measurement

    @property
    def frames(self) -> str:
        """Number of held-out frames that were checked on, in words."""
        checked = len(self.reference.images)
        return f"{checked}" if checked == self.held_out else f"{checked} of {self.held_out}, evenly spread"

    @property
    def next_step(self) -> str | None:
        """Command to run next; None without a target."""
        options = self.provenance.options
        return None if options.target is None else next_step(options.target, self.bundle, options.chip)

    @property
    def _score_names(self) -> tuple[str, ...]:
        return ("mAP50-95",) if self.reference.mask_scores is None else ("mAP50-95", "mask mAP50-95")

    def precision_rows(self) -> list[tuple[str, ...]]:
        """Tabulate the attempts: a header, torch, and a row for each, those that failed last."""
        rows: list[tuple[str, ...]] = [
            ("precision", "ms", "MB", *self._score_names, "boxes repeated", "score drift", ""),
            ("torch", "", "", *_score_texts(self.reference), "", "", "what was trained"),
        ]
        for candidate in self.candidates:
            one = candidate.measurement
            shipped = self.sha256 is not None and candidate is self.chosen
            rows.append(
                (
                    candidate.name,
                    f"{one.latency_ms:.1f}" if one.latency_ms else "",
                    f"{one.bytes / 1e6:.1f}",
                    *_score_texts(one),
                    f"{one.parity.repeated} of {one.parity.boxes}",
                    f"{one.parity.confidence_drift:.3f}",
                    "refused" if candidate.reasons else "this bundle" if shipped else "passes",
                )
            )
        nothing = [""] * (len(rows[0]) - 2)
        rows += [
            (f"{each.attempt.precision}, {each.attempt.name}", *nothing, "failed") for each in self.failed
        ]
        return rows

    def document(self) -> dict[str, Any]:
        """Convert the report to JSON values: figures unrounded, times in ms, digests in hexadecimal."""
        source, options = self.provenance, self.provenance.options
        return {
            "bundle": self.bundle.name,
            "refused": list(self.chosen.reasons),
            "sha256": self.sha256,
            "created": self.record.created,
            "names": list(self.spec.names),
            "input_size": list(self.spec.input_size),
            "input": options.input,
            "dynamic_batch": options.dynamic_batch,
            "opset": options.opset,
            "target": options.target,
            "chip": options.chip,
            "next_step": options.target and next_step(options.target, Path(self.bundle.name), options.chip),
            "model": source.run.model,
            "model_sha256": source.weights_sha256,
            "license": source.run.license,
            "dataset_sha256": source.run.dataset_sha256,
            "checked_on_sha256": source.checked_on,
            "golden": self.record.golden.model_dump() if self.record.golden else None,
            **_figures(self.chosen),
            "torch": _scores(self.reference),
            "held_out_frames": self.held_out,
            "tolerance": {"map50_95": options.tolerance_map, "boxes": options.tolerance_boxes},
            "precisions": [
                _figures(each)
                | {"attempt": each.attempt, "refused": list(each.reasons), "layers": dict(each.layers)}
                for each in self.candidates
            ],
            "failed": [
                {"precision": each.attempt.precision, "attempt": each.attempt.name, "reason": each.reason}
                for each in self.failed
            ],
            "quantization": next(
                (asdict(each.quantization) for each in self.candidates if each.quantization), None
            ),
            "machine": asdict(source.machine) | dict(source.versions),
        }


def write_json(report: ExportReport, path: Path) -> None:
    """Write a report as JSON."""
    path.write_text(json.dumps(report.document(), indent=2) + "\n", encoding="utf-8")


def is_report(path: Path) -> bool:
    """True if a file is a report as `write_json` writes it."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and {"bundle", "sha256", "precisions"} <= document.keys()


def _figures(candidate: Candidate) -> dict[str, Any]:
    measurement = candidate.measurement
    return {
        "precision": measurement.precision,
        "bytes": measurement.bytes,
        "latency_ms": measurement.latency_ms,
        "parity": _parity(measurement.parity),
        "parity_per_class": {name: _parity(each) for name, each in measurement.per_class.items()},
        **_scores(measurement),
    }


def _scores(one: Reference | Measurement) -> dict[str, Any]:
    masks = {} if one.mask_scores is None else {"masks": asdict(one.mask_scores)}
    return asdict(one.scores) | masks


def _score_texts(one: Reference | Measurement) -> list[str]:
    """mAP50-95 of the boxes, and of the masks if there are any."""
    return [f"{scores.map50_95:.3f}" for scores in (one.scores, one.mask_scores) if scores is not None]


def _parity(parity: Parity) -> dict[str, Any]:
    figures = asdict(parity)
    if parity.other_masks is None:
        del figures["other_masks"]
    return {"matched": parity.matched, **figures}
