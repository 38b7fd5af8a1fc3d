"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

from tests.live import ROOT

# A block of 30 MiB teaches glibc to take smaller ones from its heap, where one small block at the top keeps all below it.
PROGRAM = """
import sys
from pathlib import Path
from tracestore.allocator import return_freed_memory

if sys.argv[1] == "set":
    return_freed_memory()

def rss_mib():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024

bytearray(30 * 2**20)
before, blocks, pins = rss_mib(), [], []
for _ in range(100):
    blocks.append(b"x" * 2**21)
    pins.append(bytearray(2000))
blocks.clear()
print(rss_mib() - before)
"""


def grown_mib(argument: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument], cwd=ROOT, capture_output=True, text=True, check=True, timeout=150
    )
    return int(done.stdout)


def test_freed_blocks_leave_the_process() -> None:
    assert grown_mib("not set") > 100
    assert grown_mib("set") < 10
