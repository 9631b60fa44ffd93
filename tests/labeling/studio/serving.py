"""A studio in a thread of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edgeloop.edge.web.access import KeyAccess, new_key
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.labeling.studio.project import Project, open_project, work_folder
from edgeloop.labeling.studio.proposals.proposer import Proposer
from edgeloop.labeling.studio.studio_app import studio_app
from tests.served import Served, serve_app


@dataclass(frozen=True)
class Serving(Served):
    """A studio that is being served.

    Attributes:
        project: Its project.
        proposer: Its proposals; not started.
    """

    project: Project
    proposer: Proposer


def write_gray_frames(folder: Path, count: int = 3) -> Path:
    """Frames without anything on them, 320x240."""
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((240, 320, 3), 90, np.uint8))
    return folder


@contextmanager
def serve(
    frames: Path, exemplars: Path | None = None, *, port: int | None = None, key: str | None = None
) -> Iterator[Serving]:
    """Serve the studio of a folder of frames."""
    with (
        open_project(frames, work_folder(frames), exemplars) as project,
        closing(Proposer(project)) as proposer,
    ):
        server = Server(open_port(LOOPBACK, port), partial(KeyAccess, key=key or new_key()))
        app = studio_app(project, proposer, server.access)
        with serve_app(server, app, project.events):
            yield Serving(server.access.url, project, proposer)
