"""The thread that writes to the relational database what ingest has counted in memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections

log = logging.getLogger(__name__)

_EVERY_S = 2.0


class Flusher:
    """Calls each of `flushes` every two seconds, and once more when it is stopped."""

    def __init__(self, *flushes: Callable[[], None]) -> None:
        self._flushes = flushes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Have it flush what is left and end; does not wait for that."""
        self._stopping.set()

    def stop(self, timeout_s: float) -> None:
        """Flush what is left and end, within `timeout_s`: a database that is away or locked may take longer."""
        self.finish()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            stopping = self._stopping.wait(_EVERY_S)
            for flush in self._flushes:
                try:
                    flush()
                except Exception:  # the thread must outlive a bug: what is counted would fill up and be lost
                    log.exception("flusher: counts could not be written")
            close_old_connections()
            if stopping:
                return
