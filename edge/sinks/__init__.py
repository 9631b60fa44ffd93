"""Where results go: JSON lines, an annotated video, a window, a status line."""

from edge.sinks.jsonl import JsonLines
from edge.sinks.sink import Sink
from edge.sinks.status import StatusLine
from edge.sinks.video import VideoFile
from edge.sinks.window import Window

__all__ = ["JsonLines", "Sink", "StatusLine", "VideoFile", "Window"]
