"""What ingest did not store, counted by hour, reason, key and SDK: refused data is gone, so this is all that tells of it.

Noted in memory, at the cost of a dictionary entry, and written to the relational database every two seconds; a crash costs
the counts of that time. Bounded against hostile senders: so many rows an hour, the rest is counted as "other".
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import F

from tracestore.models import Refusal
from tracestore.timerange import TimeRange, moment_of, ns_of

log = logging.getLogger(__name__)

KEPT = timedelta(days=31)
_MOST_IN_MEMORY = 500
_MOST_ROWS_AN_HOUR = 200
_MOST_READ, _MOST_SHOWN = 20_000, 200
_OTHER = "other"
_NAME_CHARACTERS, _SAMPLE_CHARACTERS = 100, 300


@dataclass
class _Count:
    requests: int
    spans: int
    first_ns: int
    last_ns: int
    sample: str


# project id, reason, key, SDK
_Key = tuple[int, str, str, str]


class Refusals:
    """Counts of one process until they are written. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_Key, _Count] = {}
        self._prune_at_s = 0.0

    def note(self, reason: str, *, project_id: int, ingest_key: str, sdk: str, spans: int = 0, sample: str = "") -> None:
        """Count a request that was refused (`spans` is 0) or of which it rejected `spans` spans or log records."""
        now_ns = time.time_ns()
        key = (project_id, reason, _printable(ingest_key[:_NAME_CHARACTERS]), _printable(sdk[:_NAME_CHARACTERS]))
        with self._lock:
            if key not in self._counts and len(self._counts) >= _MOST_IN_MEMORY:
                key = (project_id, reason, _OTHER, _OTHER)
            count = self._counts.setdefault(key, _Count(0, 0, now_ns, now_ns, ""))
            count.requests += 1
            count.spans += spans
            count.last_ns = now_ns
            count.sample = _printable(sample[:_SAMPLE_CHARACTERS]) or count.sample

    def flush(self) -> None:
        """Add what is noted to the database; keep it when that is away."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            with transaction.atomic():
                for key, count in counts.items():
                    _add(key, count)
        except DatabaseError as error:
            log.warning("refusals: the database is away, trying again: %s", error)
            with self._lock:
                for key, count in counts.items():
                    newer = self._counts.get(key)
                    if newer:
                        count.requests, count.spans = count.requests + newer.requests, count.spans + newer.spans
                        count.last_ns, count.sample = newer.last_ns, newer.sample or count.sample
                    self._counts[key] = count
            return
        if time.monotonic() >= self._prune_at_s:
            self._prune_at_s = time.monotonic() + 3600
            Refusal.objects.filter(hour__lt=datetime.now(UTC) - KEPT).delete()


def _printable(text: str) -> str:
    # Texts of a sender: Postgres refuses a NUL.
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _add(key: _Key, count: _Count) -> None:
    project_id, reason, ingest_key, sdk = key
    first, last = moment_of(count.first_ns), moment_of(count.last_ns)
    hour = last.replace(minute=0, second=0, microsecond=0)
    where = {"project_id": project_id, "hour": hour, "reason": reason, "ingest_key": ingest_key, "sdk": sdk}
    if not Refusal.objects.filter(**where).exists() and Refusal.objects.filter(hour=hour).count() >= _MOST_ROWS_AN_HOUR:
        where["ingest_key"] = where["sdk"] = _OTHER
    row, _ = Refusal.objects.get_or_create(**where, defaults={"first_seen": first, "last_seen": last})
    Refusal.objects.filter(pk=row.pk).update(
        requests=F("requests") + count.requests,
        spans=F("spans") + count.spans,
        last_seen=last,
        sample=count.sample or row.sample,
    )


refusals = Refusals()


@dataclass(frozen=True)
class RefusalSum:
    """What was not stored for one reason, from one SDK under one key. `spans` is 0 for whole requests; times in ns."""

    reason: str
    ingest_key: str
    sdk: str
    requests: int
    spans: int
    first_ns: int
    last_ns: int
    sample: str


def find_refusals(*, project_id: int, time_range: TimeRange) -> list[RefusalSum]:
    """Return what was refused in the hours that the range touches, the latest first, at most 200 rows."""
    start, end = moment_of(time_range.start_ns), moment_of(time_range.end_ns)
    within = Refusal.objects.filter(project_id=project_id, hour__gt=start - timedelta(hours=1), hour__lt=end)
    found: dict[tuple[str, str, str], RefusalSum] = {}
    for row in within.filter(last_seen__gte=start, first_seen__lt=end).order_by("-last_seen")[:_MOST_READ]:
        key = (row.reason, row.ingest_key, row.sdk)
        newer = found.get(key)
        found[key] = RefusalSum(
            *key,
            requests=row.requests + (newer.requests if newer else 0),
            spans=row.spans + (newer.spans if newer else 0),
            first_ns=min(ns_of(row.first_seen), newer.first_ns if newer else ns_of(row.first_seen)),
            last_ns=newer.last_ns if newer else ns_of(row.last_seen),
            sample=newer.sample if newer and newer.sample else row.sample,
        )
    return list(found.values())[:_MOST_SHOWN]
