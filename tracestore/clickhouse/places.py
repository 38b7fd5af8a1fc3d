"""Places for reads: how many run at a time, of all projects together and of each."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Iterator

from tracestore.clickhouse.errors import StoreUnavailable

# More at a time would only share the same cores and multiply what they may hold in memory.
_READS = 16
# With half of the places for one project the next one's page competes with eight reads, and has a place to begin at once.
_READS_OF_PROJECT = 8


class Places:
    """A read of a project waits for one of its places and for one of all."""

    def __init__(self, reads: int = _READS, reads_of_project: int = _READS_OF_PROJECT) -> None:
        """`reads` at a time altogether, `reads_of_project` of one project."""
        self._reads, self._reads_of_project = reads, reads_of_project
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
