"""When each key was used last, right to the minute: noted in memory, written to the relational database now and then.

A crash costs what was noted since; a database that is away costs nothing and holds up no request.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, transaction

from tracestore.models import IngestKey
from tracestore.timerange import moment_of

log = logging.getLogger(__name__)

_WRITE_S = 60.0  # how far apart the writes of one key are


class KeyUses:
    """The uses of one process until they are written. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used_ns: dict[int, int] = {}
        self._next_s: dict[int, float] = {}

    def note(self, key_id: int) -> None:
        """The key was used now."""
        with self._lock:
            self._used_ns[key_id] = time.time_ns()

    def flush(self) -> None:
        """Write what is noted of keys of which nothing was written for a minute; keep it when the database is away."""
        now_s = time.monotonic()
        with self._lock:
            due = {key_id: used_ns for key_id, used_ns in self._used_ns.items() if self._next_s.get(key_id, 0.0) <= now_s}
            for key_id in due:
                del self._used_ns[key_id]
            self._next_s = {key_id: next_s for key_id, next_s in self._next_s.items() if next_s > now_s}
        if not due:
            return
        try:
            with transaction.atomic():
                for key_id, used_at in ((key_id, moment_of(used_ns)) for key_id, used_ns in due.items()):
                    IngestKey.objects.filter(pk=key_id).exclude(last_used_at__gte=used_at).update(last_used_at=used_at)
        except DatabaseError as error:
            log.warning("keys: the database is away, when they were used is written later: %s", error)
            with self._lock:
                self._used_ns = due | self._used_ns
            return
        with self._lock:
            self._next_s |= dict.fromkeys(due, now_s + _WRITE_S)


key_uses = KeyUses()
