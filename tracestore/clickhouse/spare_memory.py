"""The job that returns what a load, a merge or the start left behind in the memory of a process with the embedded engine."""

from __future__ import annotations

import os
from pathlib import Path

from tracestore.clickhouse.client import Store

# Returning costs page faults for what is needed again: not for less than so much more than the last time left.
_GROWTH_BYTES = 64 * 2**20
_MERGES = "SELECT count() FROM system.merges"


def resident_bytes() -> int:
    """Return how much memory this process holds, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


class SpareMemory:
    """One call of `tend` is one look. What is written or merged between two looks uses memory: it is left until nothing is."""

    def __init__(self) -> None:
        self._inserts: int | None = None
        self._left_bytes = 0

    def tend(self, store: Store) -> bool:
        """Return memory to the system if the engine rests and holds more than the last time; returns whether it did.

        A server sees to its own memory. Raises StoreError.
        """
        inserts, before = store.insert_count, self._inserts
        self._inserts = inserts
        if inserts is None or inserts != before or resident_bytes() < self._left_bytes + _GROWTH_BYTES:
            return False
        if store.query_rows(_MERGES) != [(0,)]:
            return False
        store.release_memory()
        self._left_bytes = resident_bytes()
        return True
