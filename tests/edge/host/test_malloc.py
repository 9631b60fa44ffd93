"""Large arrays that come and go cost no fresh pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from edgeloop.edge.host.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def use_some():
    arrays = [np.ones(4 << 20, np.float32) for _ in range(5)]
use_some()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use_some()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has a heap of its own")
def test_pages_of_large_arrays_are_used_again() -> None:
    given_back, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, choice], capture_output=True, text=True, check=True
            ).stdout
        )
        for choice in ("leave", "keep")
    )
    assert kept < given_back / 10


ENDED_THREAD = """
import threading, psutil
from edgeloop.edge.host.malloc import return_freed_memory
last = []
def use_much():
    parts = [bytearray(b"x") * 100_000 for _ in range(1000)]
    last.append(parts.pop())
thread = threading.Thread(target=use_much)
thread.start()
thread.join()
before = psutil.Process().memory_info().rss
return_freed_memory()
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has a heap of its own")
def test_memory_of_a_thread_that_ended_is_returned() -> None:
    returned = subprocess.run(
        [sys.executable, "-c", ENDED_THREAD], capture_output=True, text=True, check=True
    )
    assert int(returned.stdout) > 50e6
