"""Large arrays that come and go cost no fresh pages."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

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


MANY_THREADS = """
import ctypes, sys, threading
from edgeloop.edge.host.malloc import share_heaps
if sys.argv[1] == "share":
    share_heaps()
libc, barrier = ctypes.CDLL(None), threading.Barrier(9)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
def allocate():
    libc.malloc(100_000)
    barrier.wait()
for _ in range(8):
    threading.Thread(target=allocate).start()
barrier.wait()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has a heap of its own")
def test_threads_share_two_heaps(tmp_path: Path) -> None:
    heaps = {}
    for choice in ("leave", "share"):
        report = tmp_path / f"{choice}.xml"
        subprocess.run([sys.executable, "-c", MANY_THREADS, choice, str(report)], check=True)
        heaps[choice] = report.read_text().count("<heap nr=")
    assert heaps["share"] == 2 < heaps["leave"]
