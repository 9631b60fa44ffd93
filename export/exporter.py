"""Export a trained detector; torch is imported when an export starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.export.export_options import ExportOptions

if TYPE_CHECKING:
    from edgeloop.export.report.export_report import ExportReport

__all__ = ["export_bundle"]


def export_bundle(
    run: str | Path, dataset: str | Path, out: str | Path, options: ExportOptions | None = None
) -> ExportReport:
    """Export a trained detector as one bundle.

    The report goes beside a bundle x.onnx: x.json, x.md and x.worst.jpg. If the bundle is refused, they
    are x.refused.json and so on, and replace those of an earlier refusal. Those of the file of another engine
    are x.ncnn.report.json, x.ncnn.md and so on.

    Args:
        run: Folder that `edgeloop train` made.
        dataset: Dataset whose validation part the bundle is checked on; int8 is calibrated on its training
            part.
        out: The file to write: .onnx, or with the suffix of the target's files, whose facts go beside it.
        options: Options of the export.

    Returns:
        The report.

    Raises:
        NoInputError: The run, its checkpoint or the dataset does not exist.
        DataError: The dataset has other classes or nothing to check on, or a file exists.
        ModelError: The checkpoint cannot be read, or the bundle drifted from torch.
        UsageError: `out` is not named as the target's files are, or the detector has no head as asked for.
        UnavailableError: The run's trainer is not installed.
    """
    # Imported here because it imports torch and onnx, which `--help` does without.
    from edgeloop.export.export_run import export_run

    return export_run(Path(run), Path(dataset), Path(out), options or ExportOptions())
