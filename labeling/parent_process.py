"""Process that started this one: commands from it on the standard input, messages to it on the output."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from pydantic import BaseModel

__all__ = ["say", "take_commands"]


def take_commands(take: Callable[[str], object]) -> None:
    """Hand each command, a line, to a function, in a thread; this process ends with its standard input."""

    def follow() -> None:
        for line in sys.stdin:
            take(line.strip())
        os._exit(0)  # threads of torch and of onnxruntime may be at work

    threading.Thread(target=follow, daemon=True).start()


def say(message: BaseModel) -> None:
    """Send a message, a line of JSON."""
    sys.stdout.write(message.model_dump_json() + "\n")
    sys.stdout.flush()
