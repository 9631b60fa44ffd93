"""Options of the jobs as the page offers them, and their command lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeloop.edge.source_name import STDIN, is_pipeline, shown_name
from edgeloop.export.export_options import Precision
from edgeloop.export.report.report_files import report_files
from edgeloop.export.targets import TARGETS
from edgeloop.labeling.studio.label_outlines import labels_task
from edgeloop.labeling.studio.project import Project
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.task import Task

__all__ = [
    "ExportSettings",
    "LabelSettings",
    "Settings",
    "TeachSettings",
    "TrainSettings",
    "exported_files",
    "shown_path",
]

_Share = Annotated[float, Field(ge=0, le=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _is_source(text: str) -> str:
    """Refuse what a page cannot give, and secrets, which would be saved with the options."""
    if STDIN.fullmatch(text) or is_pipeline(text) or text.startswith("-") or not text.strip():
        raise ValueError("expected a camera, a file, a folder, an address or a synth: scene")
    if shown_name(text) != text:
        raise ValueError("has a password, which would be saved; use `edgeloop teach` in a terminal")
    return text


def _is_target(name: str) -> str:
    if name not in TARGETS:
        raise ValueError(f"expected one of {', '.join(TARGETS)}")
    return name


def _is_chip(name: str) -> str:
    if name not in (chips := [chip for target in TARGETS.values() for chip in target.chips]):
        raise ValueError(f"expected one of {', '.join(chips)}")
    return name


_Source = Annotated[str, AfterValidator(_is_source)]
_Side = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def arguments(self, project: Project) -> list[str]:
        """Arguments of the command line, the verb first."""
        raise NotImplementedError


class LabelSettings(_Settings):
    """Options of `edgeloop label`; null takes the verb's default.

    Attributes:
        task: Labels to write: boxes, or polygons for masks.
        moving: Label everything that moves in front of a fixed camera, without exemplars.
        confidence: Minimum label score.
        seed: Random seed.
        footage: Kind of the frames.
        val_share: Share of the frames for validation.
        device: Processor that trains the detectors.
    """

    task: Task = "detect"
    moving: bool = False
    confidence: _Share | None = None
    seed: _Seed = 0
    footage: Literal["auto", "film", "photos"] = "auto"
    val_share: Annotated[float, Field(ge=0, le=0.9)] | None = None
    device: Literal["cpu", "cuda"] = "cpu"

    def arguments(self, project: Project) -> list[str]:
        """See the base class."""
        what = ["--classes", "moving"] if self.moving else ["-e", shown_path(project.exemplars)]
        decisions = project.decisions
        return [
            "label",
            shown_path(project.frames),
            *what,
            "-o",
            shown_path(project.dataset),
            *(["--decisions", shown_path(decisions)] if decisions.is_file() else []),
            *_option("--task", None if self.task == "detect" else self.task),
            *_option("--confidence", self.confidence),
            *_option("--seed", self.seed or None),
            *_option("--footage", None if self.footage == "auto" else self.footage),
            *_option("--val-share", self.val_share),
            *_option("--device", None if self.device == "cpu" else self.device),
        ]


class TrainSettings(_Settings):
    """Options of `edgeloop train`; null takes the verb's default.

    Attributes:
        task: Task of the detector; null takes that of the labels.
        time_limit_s: Wall time of the training, s.
        epochs: Passes over the training images.
        imgsz: Image side, px.
        batch: Images per step.
        seed: Random seed.
        device: Processor to train on.
    """

    task: Task | None = None
    time_limit_s: Annotated[float, Field(gt=0, le=1e7)] | None = None
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    imgsz: _Side | None = None
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: _Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def arguments(self, project: Project) -> list[str]:
        """See the base class."""
        task = self.task or labels_task(project.dataset)
        return [
            "train",
            shown_path(project.dataset),
            "-o",
            shown_path(project.run),
            *_option("--task", task if task == "segment" else None),
            *_option("--time-limit", self.time_limit_s),
            *_option("--epochs", self.epochs),
            *_option("--imgsz", self.imgsz),
            *_option("--batch", self.batch),
            *_option("--seed", self.seed or None),
            *_option("--device", None if self.device == "auto" else self.device),
        ]


class ExportSettings(_Settings):
    """Options of `edgeloop export`; null takes the verb's default.

    Attributes:
        precision: Numeric precision; "auto" takes the fastest that passes the checks.
        target: Runtime to export for; null for any that takes ONNX.
        chip: Chip of the runtime; null, or a chip of another runtime, takes its first one.
        imgsz: Input side, px.
        tolerance_map: Maximum loss of mAP50-95 against torch.
        tolerance_boxes: Maximum share of torch's boxes that may be missed.
    """

    precision: Precision | None = None
    target: Annotated[str, AfterValidator(_is_target)] | None = None
    chip: Annotated[str, AfterValidator(_is_chip)] | None = None
    imgsz: _Side | None = None
    tolerance_map: _Share | None = None
    tolerance_boxes: _Share | None = None

    def bundle(self, project: Project) -> Path:
        """File that the command writes, with the suffix of its runtime."""
        suffix = project.bundle.suffix if self.target is None else TARGETS[self.target].suffix
        return project.bundle.with_suffix(suffix)

    def arguments(self, project: Project) -> list[str]:
        """See the base class."""
        chips = () if self.target is None else TARGETS[self.target].chips
        bundle = self.bundle(project)
        return [
            "export",
            shown_path(project.run),
            "-d",
            shown_path(project.dataset),
            "-o",
            shown_path(bundle),
            *_option("--precision", self.precision),
            *_option("--target", self.target),
            *_option("--chip", self.chip if self.chip in chips else None),
            *_option("--imgsz", self.imgsz),
            *_option("--tolerance-map", self.tolerance_map),
            *_option("--tolerance-boxes", self.tolerance_boxes),
            *(["--overwrite"] if any(path.exists() for path in exported_files(bundle)) else []),
        ]


class TeachSettings(_Settings):
    """Options of `edgeloop teach`; null takes the verb's default.

    Attributes:
        source: Source to answer on; null takes the frames of the project.
        task: Task of the student; null takes that of the loop, and of a new one boxes.
        count: Number of frames to keep before the student learns.
        epochs: Passes of the student's training over the frames.
        seed: Random seed.
    """

    source: _Source | None = None
    task: Task | None = None
    count: Annotated[int, Field(ge=10, le=2000)] | None = None
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: _Seed = 0

    def arguments(self, project: Project) -> list[str]:
        """See the base class."""
        frames = shown_path(project.frames)
        return [
            "teach",
            self.source or frames,
            "-e",
            shown_path(project.exemplars),
            "--images",
            frames,
            "-o",
            shown_path(project.loop),
            *_option("--task", self.task),
            *_option("--count", self.count),
            *_option("--epochs", self.epochs),
            *_option("--seed", self.seed or None),
        ]


def exported_files(bundle: Path) -> list[Path]:
    """Name all files that `edgeloop export` may write for a bundle."""
    frames = [bundle.with_suffix(".npy")] if bundle.suffix == ".onnx" else []  # to calibrate on
    return [bundle, facts_path(bundle), *report_files(bundle), *frames]


Settings = LabelSettings | TrainSettings | ExportSettings | TeachSettings


def shown_path(path: Path) -> str:
    """Path below the folder in which the studio was started, or else absolute."""
    absolute = os.path.abspath(path)  # noqa: PTH100  links stay as they were given
    here = str(Path.cwd())
    if absolute.startswith(here + os.sep):
        path_text = absolute[len(here) + 1 :]
        return path_text if not path_text.startswith("-") else absolute
    return absolute


def _option(name: str, value: float | str | None) -> list[str]:
    return [] if value is None else [name, f"{value:.12g}" if isinstance(value, float) else str(value)]
