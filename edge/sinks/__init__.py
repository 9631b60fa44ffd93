"""Where results go: JSON lines, an annotated video, a window, a status line."""

from edgeloop.edge.result import Sink
from edgeloop.edge.sinks.jsonl import JsonLines
from edgeloop.edge.sinks.status import StatusLine
from edgeloop.edge.sinks.video import VideoFile
from edgeloop.edge.sinks.window import Window

__all__ = ["JsonLines", "Sink", "StatusLine", "VideoFile", "Window"]
