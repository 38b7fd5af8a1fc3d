"""Places for reads: how many run at a time, of all projects together and of each."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Iterator

from tracestore.clickhouse.errors import StoreUnavailable

# More at a time would only share the same cores.
_READS = 16


class Places:
    """A read of a project waits for one of its places and for one of all."""

    def __init__(self, reads: int = _READS) -> None:
        """For so many `reads` at a time altogether, at most 16.

        One project has half of them: the next one's page competes with no more, and has a place to begin at once.
        """
        self._reads = min(reads, _READS)
        self._reads_of_project = (self._reads + 1) // 2
        self._taken: Counter[int] = Counter()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, project_id: int, wait_s: float = math.inf) -> Iterator[None]:
        """Hold a place until the end of the block. Raises StoreUnavailable when none is free within `wait_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(project_id), min(wait_s, threading.TIMEOUT_MAX)):
                raise StoreUnavailable("Too many queries run at the moment. Try again in a few seconds.")
            self._taken[project_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[project_id] -= 1
                self._taken += Counter()  # forget projects that hold none
                self._changed.notify_all()

    def _is_free(self, project_id: int) -> bool:
        return self._taken[project_id] < self._reads_of_project and self._taken.total() < self._reads
