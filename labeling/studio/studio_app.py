"""The studio of one project: its tabs and their server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from edgeloop.edge.web.access import Access, KeyAccess, new_key
from edgeloop.edge.web.server import LOOPBACK, Server, is_loopback, open_port
from edgeloop.labeling.audit.audit_api import audit_api
from edgeloop.labeling.audit.audit_session import AuditSession
from edgeloop.labeling.sam import load
from edgeloop.labeling.studio.finished_dataset import FinishedDataset
from edgeloop.labeling.studio.frames_api import frames_api
from edgeloop.labeling.studio.jobs.jobs_api import jobs_api
from edgeloop.labeling.studio.page_app import PageInfo, build_app, page_api
from edgeloop.labeling.studio.preview.try_api import try_api
from edgeloop.labeling.studio.project import Project, open_project, work_folder
from edgeloop.labeling.studio.proposals.proposals_api import proposals_api
from edgeloop.labeling.studio.proposals.proposer import Proposer
from edgeloop.labeling.studio.review.review_api import review_api
from edgeloop.labeling.studio.review.review_session import ReviewSession
from edgeloop.labeling.studio.segmenting.segment_api import segment_api
from edgeloop.labeling.studio.zones.zones_api import zones_api

__all__ = ["serve_studio", "studio_app"]

_TABS = ("draw", "label", "review", "audit", "zones", "train", "try")


def serve_studio(
    frames: Path,
    out: Path | None,
    exemplars: Path | None,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    key: str | None = None,
    tell: Callable[[str], None],
) -> bool:
    """Serve the studio until a signal ends it; True if one did.

    Args:
        frames: Folder of frames.
        out: Folder of the project; None for the one beside the frames.
        exemplars: Boxes to begin with.
        host: Address to listen on.
        port: Port; None for any that is free.
        key: Secret of the address; None for a random one.
        tell: Takes lines for the person at the terminal, such as the address.

    Raises:
        EdgeloopError: See `open_project` and `open_port`.
    """
    work = work_folder(frames) if out is None else out
    with open_project(frames, work, exemplars) as project, closing(Proposer(project)) as proposer:
        server = Server(open_port(host, port), partial(KeyAccess, key=key or new_key()))
        lines = [f"{len(project.entries)} frames. Open {server.access.url}"]
        if not is_loopback(server.access.host):
            lines.append(
                f"Open to every machine that reaches {host} and knows the key; nothing is encrypted."
            )
        app = studio_app(project, proposer, server.access)
        tell("\n".join([*lines, "Ctrl-C ends it; everything drawn is saved."]))
        proposer.start()
        return server.serve_until_signal(app, project.events.close)


def studio_app(project: Project, proposer: Proposer, access: Access) -> ASGIApp:
    """Build the application of a project."""
    review, dataset = ReviewSession(project), FinishedDataset(project.dataset)

    def rename(name: str, to: str) -> None:
        proposer.rename(name, to)
        review.rename(name, to)

    info = PageInfo(frames=str(project.frames), work=str(project.work), tabs=_TABS)
    routers = (
        page_api(info),
        frames_api(project, on_rename=rename),
        segment_api(project, partial(load, "nano")),
        proposals_api(project, proposer),
        jobs_api(project, proposer, dataset, before_dataset_is_read=review.flush),
        zones_api(project),
        review_api(project, review),
        audit_api(AuditSession(project.dataset), on_answer=lambda: project.events.send("audit", {})),
        try_api(project, dataset),
    )
    return build_app("edgeloop studio", access, project.events, routers)
