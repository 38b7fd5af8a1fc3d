"""How this process returns memory: glibc keeps what threads freed, in an arena for each thread, up to hundreds of MiB, and
libraries keep the code that they ran once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# malloc.h of glibc; mallopt(3) says what each does.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Batches and the largest request bodies are larger than this: each is mapped by itself, and gone when freed. A request of 512
# spans (0.9 MB) is not: mapping and unmapping its copies took a seventh of the time from its arrival to its answer. Setting it
# also stops glibc from raising the threshold to the largest block that was ever freed.
_MAPPED_BYTES = 1536 * 2**10
_TRIM_BYTES = 8 * 2**20
_ARENAS = 2
_MADV_DONTNEED = 4  # madvise(2)
_LARGE_LIBRARY_BYTES = 64 * 2**20


def return_freed_memory() -> None:
    """Set the allocator's limits for this process, before it starts threads. Does nothing where the C library has none."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has no such function
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, _ARENAS)
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # its own allocator keeps what was freed; read on its import


def return_what_is_free() -> None:
    """Return free pages amid what is used, of all arenas: of itself glibc returns the end of one alone (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has no such function
    if trim is not None:
        trim(0)


def drop_unused_code() -> None:
    """Take the code of large libraries out of this process's memory. What runs again comes back from the system's cache of files.

    The embedded engine runs 150 MiB of its code and constants once, most of it while it starts. Nothing is taken but what
    no process can have written to: executable pages, and those of the beginning of a file, before what is relocated.
    """
    try:
        mappings = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # not Linux
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for mapping in mappings:
        addresses, rights, offset, _, _, *path = mapping.split(maxsplit=5)
        start, end = (int(address, 16) for address in addresses.split("-"))
        is_constant = rights == "r-xp" or (rights == "r--p" and int(offset, 16) == 0)
        if is_constant and path and path[0].startswith("/") and end - start >= _LARGE_LIBRARY_BYTES:
            madvise(start, end - start, _MADV_DONTNEED)
