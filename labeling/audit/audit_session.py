"""All steps of an audit: draw a sample, ask on the page or write a sheet, estimate."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from edgeloop.edge.cli.signals import ending_signals
from edgeloop.labeling.audit.answers import AnswerBook, open_answers
from edgeloop.labeling.audit.estimate import estimate
from edgeloop.labeling.audit.page import Page
from edgeloop.labeling.audit.report import report_json, report_lines
from edgeloop.labeling.audit.sample import Sample, draw_sample
from edgeloop.labeling.audit.sheet import check_sheet, write_sheet

__all__ = ["AuditReport", "audit_sample", "check_sheet", "draw_sample", "write_sheet"]


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


def audit_sample(sample: Sample, *, port: int, tell: Callable[[str], None]) -> AuditReport:
    """Ask for the answers that are missing, and estimate precision and recall.

    Args:
        sample: The sample; answers are kept in its dataset's audit.json.
        port: Port of the page on 127.0.0.1; 0 for any that is free.
        tell: Takes lines for the person at the terminal, such as the address of the page.

    Raises:
        EdgeloopError: See `open_answers` and `Page`.
    """
    with open_answers(sample) as book:
        interrupted = not book.complete and _serve(sample, book, port, tell)
        found = estimate(sample, book.answers)
    return AuditReport(report_lines(sample, found), report_json(sample, found), interrupted)


def _serve(sample: Sample, book: AnswerBook, port: int, tell: Callable[[str], None]) -> bool:
    """Serve the page until everything is answered, Done is pressed, or a signal arrives; True if one did."""
    page = Page(sample, book, lambda: report_lines(sample, estimate(sample, book.answers)), port)
    done = len(book.answers.boxes) + len(book.answers.frames)
    tell(f"{done} of {len(sample.boxes) + len(sample.frames)} answered. Open {page.url}")
    tell("Ctrl-C ends it and keeps the answers.")
    # A shell makes background processes ignore SIGINT, so it is enabled here.
    previous = {number: signal.signal(number, signal.default_int_handler) for number in ending_signals()}
    try:
        page.serve()
    except KeyboardInterrupt:
        return True
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return False
