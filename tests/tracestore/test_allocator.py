"""Freed memory goes back to the system, and so does code that is not used."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

from tests.live import ROOT
from tracestore.clickhouse.client import Store

# A block of 30 MiB teaches glibc to take smaller ones from its heap, where one small block at the top keeps all below it.
PROGRAM = """
import sys
from pathlib import Path
from tracestore.process.allocator import return_freed_memory

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


PINNED = """
from pathlib import Path
from tracestore.process.allocator import return_freed_memory, return_what_is_free

return_freed_memory()

def rss_mib():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024

before, blocks, pins = rss_mib(), [], []
for _ in range(100):
    blocks.append(b"x" * 2**20)
    pins.append(bytearray(2000))
blocks.clear()
kept = rss_mib() - before
return_what_is_free()
print(kept, rss_mib() - before)
"""


def test_free_blocks_below_used_ones_are_returned_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", PINNED], cwd=ROOT, capture_output=True, text=True, check=True, timeout=150)
    kept_mib, left_mib = map(int, done.stdout.split())

    assert kept_mib > 50
    assert left_mib < 10


def run_through_code() -> None:
    """Touch each page of the first 128 MiB of the embedded engine's code."""
    mappings = Path("/proc/self/maps").read_text().splitlines()
    code = next(line for line in mappings if line.endswith("/_chdb.abi3.so") and " r-xp " in line)
    (ctypes.c_char * (128 * 2**20)).from_address(int(code.partition("-")[0], 16))[::4096]


def code_kib() -> int:
    """Return how much of the embedded engine's own file this process holds."""
    held, is_engine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            is_engine = line.endswith("/_chdb.abi3.so")
        elif name == "Rss:" and is_engine:
            held += int(rest[0])
    return held


def test_code_that_only_the_start_needed_leaves_the_process(store: Store) -> None:
    store.query_rows("SELECT 1")
    run_through_code()
    before = code_kib()
    store.release_memory()
    after = code_kib()
    answer = store.query_rows("SELECT sum(length(toString(number))) FROM numbers(1000)")

    assert (after < before / 2, answer) == (True, [(2890,)])
