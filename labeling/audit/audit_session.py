"""One audit of a dataset: draw a sample, let a person answer on the page, estimate."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeloop.labeling.audit.answers import AnswerBook, open_answers
from edgeloop.labeling.audit.estimate import estimate
from edgeloop.labeling.audit.page import Page
from edgeloop.labeling.audit.report import report_json, report_lines
from edgeloop.labeling.audit.sample import Sample, draw_sample
from edgeloop.labeling.audit.sheet import check_sheet, write_sheet
from edgeloop.labeling.step_progress import Progress, no_progress

__all__ = ["AuditReport", "AuditSize", "audit_dataset", "draw_audit_sheet"]


@dataclass(frozen=True, slots=True)
class AuditSize:
    """Size of a sample.

    Attributes:
        boxes: Labels, for precision.
        frames: Frames, for recall.
        seed: Random seed.
    """

    boxes: int
    frames: int
    seed: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Figures of an audit.

    Attributes:
        lines: As text.
        json: As a JSON object.
        interrupted: True if a signal ended the page before all was answered.
    """

    lines: list[str]
    json: dict[str, object]
    interrupted: bool


def audit_dataset(
    dataset: Path,
    size: AuditSize,
    *,
    port: int,
    tell: Callable[[str], None],
    progress: Progress = no_progress,
) -> AuditReport:
    """Ask for the answers that are missing, and estimate precision and recall.

    Args:
        dataset: Folder that `edgeloop label` wrote; answers are kept in its audit.json.
        size: Size of the sample.
        port: Port of the page on 127.0.0.1; 0 for any that is free.
        tell: Takes the lines for the person at the terminal, such as the address of the page.
        progress: Shows the images that are checked.

    Returns:
        The figures.

    Raises:
        EdgeloopError: See `draw_sample`, `open_answers` and `Page`.
    """
    sample = _draw(dataset, size, progress)
    with open_answers(sample) as book:
        interrupted = not book.complete and _serve(sample, book, port, tell)
        found = estimate(sample, book.answers)
    return AuditReport(report_lines(sample, found), report_json(sample, found), interrupted)


def draw_audit_sheet(
    dataset: Path, size: AuditSize, sheet: Path, *, progress: Progress = no_progress
) -> Sample:
    """Write the sample as one picture, for machines without a browser.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        size: Size of the sample.
        sheet: The picture, a new PNG file.
        progress: Shows the images that are checked.

    Returns:
        The sample.

    Raises:
        EdgeloopError: See `draw_sample` and `write_sheet`.
    """
    check_sheet(sheet)
    sample = _draw(dataset, size, progress)
    write_sheet(sample, sheet)
    return sample


def _draw(dataset: Path, size: AuditSize, progress: Progress) -> Sample:
    with progress(None, "Drawing") as advance:
        return draw_sample(dataset, boxes=size.boxes, frames=size.frames, seed=size.seed, advance=advance)


def _serve(sample: Sample, book: AnswerBook, port: int, tell: Callable[[str], None]) -> bool:
    """Serve the page until everything is answered, Done is pressed, or a signal arrives; True if one did."""
    page = Page(sample, book, lambda: report_lines(sample, estimate(sample, book.answers)), port)
    done = len(book.answers.boxes) + len(book.answers.frames)
    tell(f"{done} of {len(sample.boxes) + len(sample.frames)} answered. Open {page.url}")
    tell("Ctrl-C ends it and keeps the answers.")
    # A shell makes background processes ignore SIGINT, so it is enabled here.
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        page.serve()
    except KeyboardInterrupt:
        return True
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return False
