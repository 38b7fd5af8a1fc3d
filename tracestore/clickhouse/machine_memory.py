"""How much memory this process may have, and how reads share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Where the memory controller stands and what its limit is called, in version 2 of control groups and in version 1
# (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html).
_LIMIT_FILES = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# The other half is for ingest, merges, the engine's caches and the pages themselves.
_READS_SHARE = 2
# So that several reads go on at a time on a small machine as well.
_READ_SHARE = 8


def find_memory_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Return the memory of the machine, or less where a control group (a container, a systemd unit) limits this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(limit for limit in _find_limits(proc, cgroups) if limit > 0)])


def _find_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups and of those around them; nothing where the system has none."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        for controller, (folder, name) in _LIMIT_FILES.items():
            if controller not in controllers.split(","):
                continue
            path = PurePosixPath(group.lstrip("/"))
            # In a container the path may be that of the host, where nothing stands; its own group is the topmost.
            for around in (path, *path.parents):
                try:
                    yield int((cgroups / folder / around / name).read_text())
                except (OSError, ValueError):  # there is none, or it is "max"
                    continue


def share_memory(memory_bytes: int, most_bytes: int) -> tuple[int, int]:
    """Return how many bytes a read may take and for how many reads at a time there is room, at least one.

    A read gets an eighth of the memory, at most `most_bytes`, and all of them together half.
    """
    read_bytes = min(most_bytes, memory_bytes // _READ_SHARE)
    return read_bytes, memory_bytes // _READS_SHARE // read_bytes
