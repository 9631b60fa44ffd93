"""Sinks of results: JSON lines, annotated video, window, status line, uncertain frames."""

from edgeloop.edge.result import Sink
from edgeloop.edge.sinks.jsonl import JsonLines
from edgeloop.edge.sinks.status import StatusLine
from edgeloop.edge.sinks.uncertain import UncertainFrames
from edgeloop.edge.sinks.video import VideoFile
from edgeloop.edge.sinks.window import Window

__all__ = ["JsonLines", "Sink", "StatusLine", "UncertainFrames", "VideoFile", "Window"]
