"""All steps of `edgeloop audit`: draw a sample, ask on the audit tab or write a sheet, estimate."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from starlette.types import ASGIApp

from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.labeling.audit.answers import AnswerBook, open_answers
from edgeloop.labeling.audit.audit_api import audit_api
from edgeloop.labeling.audit.audit_session import AuditSession
from edgeloop.labeling.audit.estimate import estimate
from edgeloop.labeling.audit.report import report_json, report_lines
from edgeloop.labeling.audit.sample import Sample, draw_sample
from edgeloop.labeling.audit.sheet import check_sheet, write_sheet
from edgeloop.labeling.studio.page_app import PageInfo, build_app, page_api

__all__ = ["AuditReport", "audit_app", "audit_sample", "check_sheet", "draw_sample", "write_sheet"]


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


def audit_sample(sample: Sample, *, port: int | None, tell: Callable[[str], None]) -> AuditReport:
    """Ask for the answers that are missing, and estimate precision and recall.

    Args:
        sample: The sample; answers are kept in its dataset's audit.json.
        port: Port of the page on 127.0.0.1; None for any that is free.
        tell: Takes lines for the person at the terminal, such as the address of the page.

    Raises:
        EdgeloopError: See `open_answers` and `open_port`.
    """
    with open_answers(sample) as book:
        interrupted = not book.complete and _serve(sample, book, port, tell)
        found = estimate(sample, book.answers)
    return AuditReport(report_lines(sample, found), report_json(sample, found), interrupted)


def audit_app(sample: Sample, book: AnswerBook, server: Server, events: Events) -> ASGIApp:
    """Build the application: the audit tab alone, which stops the server once all is answered or Done."""
    session = AuditSession(sample.dataset, sample=sample, open_book=lambda _: nullcontext(book))
    info = PageInfo(frames=str(sample.dataset), work=str(sample.dataset), tabs=("audit",))
    audit = audit_api(session, on_answer=lambda: events.send("audit", {}), on_done=server.stop)
    return build_app("edgeloop audit", server.access, events, (page_api(info), audit))


def _serve(sample: Sample, book: AnswerBook, port: int | None, tell: Callable[[str], None]) -> bool:
    """Serve the page until everything is answered, Done is pressed, or a signal arrives; True if one did."""
    server, events = Server(open_port(LOOPBACK, port)), Events()
    app = audit_app(sample, book, server, events)
    done = len(book.answers.boxes) + len(book.answers.frames)
    asked = len(sample.boxes) + len(sample.frames)
    tell(f"{done} of {asked} answered. Open {server.access.url}\nCtrl-C ends it and keeps the answers.")
    return server.serve_until_signal(app, events.close)
