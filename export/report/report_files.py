"""Files of the report of an export, beside its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["ReportFiles", "report_files"]


class ReportFiles(NamedTuple):
    """Files of a report.

    Attributes:
        document: Figures for programs, JSON.
        card: Figures for people, Markdown.
        picture: Frames of the largest disagreement with torch, JPEG.
    """

    document: Path
    card: Path
    picture: Path


def report_files(bundle: Path, *, refused: bool = False) -> ReportFiles:
    """Name the files of the report of a bundle, each bundle its own.

    Those of x.onnx are x.json, x.md and x.worst.jpg; those of the file of another engine keep its suffix:
    x.ncnn.report.json, as its facts are in x.ncnn.json, x.ncnn.md and x.ncnn.worst.jpg.

    Args:
        bundle: The bundle.
        refused: Name those of a refusal instead: x.refused.json and so on.
    """
    is_onnx = bundle.suffix == ".onnx"
    stem = (bundle.stem if is_onnx else bundle.name) + (".refused" if refused else "")
    document = f"{stem}.json" if is_onnx or refused else f"{stem}.report.json"
    return ReportFiles(*(bundle.with_name(name) for name in (document, f"{stem}.md", f"{stem}.worst.jpg")))
