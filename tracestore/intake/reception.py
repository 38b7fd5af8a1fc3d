"""When spans could be received: noted by every process that takes them, asked for by alert rules.

What nobody could receive must not look like agents that have fallen silent. A process notes every few seconds that it receives,
and until when all that it has received can be queried; what lies between the notes of all processes is a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from tracestore.models import Reception
from tracestore.timerange import TimeRange, moment_of, ns_of

log = logging.getLogger(__name__)

_NOTED_EVERY_S = 5.0
# A busy process or a locked database may be late. What waits for so long is no gap: each insert takes a moment.
_PATIENCE = timedelta(seconds=20)
# Exporters wait ever longer between attempts, up to about a minute in all before they give a batch up
# (https://opentelemetry.io/docs/specs/otlp/#retry): for so long after a gap what comes may still be of the time before.
_RETRIES = timedelta(seconds=60)
_LONGEST = timedelta(minutes=15)
_STARTED = timezone.now()
# What had waited long is summarised some time after it is stored.
_SUMMARIES = timedelta(seconds=60)
# The eight weeks of a baseline, and its window.
_KEPT = timedelta(weeks=9)
_MOST_KEPT = 10_000  # of a process that dies again and again


class Attendance:
    """Notes that this process receives. `find_refusal` returns why it does not at the moment, "" when it does.

    `find_oldest` returns when the oldest of what has been received and cannot be queried yet came, None when nothing waits.
    """

    def __init__(self, find_refusal: Callable[[], str], find_oldest: Callable[[], datetime | None]) -> None:
        self._find_refusal, self._find_oldest = find_refusal, find_oldest
        self._row: Reception | None = None
        self._is_away = False
        self._behind: tuple[datetime, datetime] | None = None  # when much waited last, and since when

    def note(self) -> None:
        """Write it down, unless that was done a moment ago, or the database is away: for longer, that is a gap."""
        try:
            self._note()
            self._is_away = False
        except DatabaseError as error:
            if not self._is_away:
                log.warning("reception: what is received cannot be noted: %s", error)
            self._is_away = True

    def _note(self) -> None:
        now, row = timezone.now(), self._row
        if self._find_refusal():
            return
        if row and abs((now - row.seen_at).total_seconds()) < _NOTED_EVERY_S:
            return
        stored_until = self._find_stored_until(now)
        if row and abs(now - row.seen_at) <= _PATIENCE:
            row.seen_at, row.stored_until = now, stored_until
            if Reception.objects.filter(pk=row.pk).update(seen_at=now, stored_until=stored_until):
                return
        self._row = Reception.objects.create(began_at=now, seen_at=now, stored_until=stored_until)
        _forget_old(now)

    def _find_stored_until(self, now: datetime) -> datetime:
        stored_until = self._find_oldest() or now
        if now - stored_until > _PATIENCE:
            self._behind = now, stored_until
        elif self._behind and now - self._behind[0] <= _SUMMARIES:
            return min(stored_until, self._behind[1])
        return stored_until


def _forget_old(now: datetime) -> None:
    Reception.objects.filter(seen_at__lt=now - _KEPT).delete()
    Reception.objects.filter(pk__lte=(Reception.objects.aggregate(last=Max("pk"))["last"] or 0) - _MOST_KEPT).delete()


@dataclass(frozen=True)
class Gaps:
    """Stretches [start, end) in ns since the Unix epoch of which not all can be seen; disjoint and in order.

    The last may end in what is to come, with the minute that retries take. It `goes_on` where nobody can tell when it ends.
    """

    stretches: tuple[tuple[int, int], ...] = ()
    goes_on: bool = False

    def lost_ns(self, time_range: TimeRange) -> int:
        """Return how much of the range lies in them."""
        return sum(max(0, min(end, time_range.end_ns) - max(start, time_range.start_ns)) for start, end in self.stretches)

    def last_end_ns(self, time_range: TimeRange) -> int:
        """Return when the last of them that begins by the end of the range is over; 0 for none."""
        return max((end for start, end in self.stretches if start < time_range.end_ns), default=0)


def find_gaps(time_range: TimeRange, now: datetime) -> Gaps:
    """Return where in the range, with the minute that retries take, nobody received, or what came cannot be queried yet.

    Before the first note nothing is known, and nothing is a gap. What has gone on for a quarter of an hour while this process
    watched is none either.
    """
    start = moment_of(time_range.start_ns) - _RETRIES - _PATIENCE
    before = Reception.objects.filter(seen_at__lt=start).order_by("-seen_at")[:1]
    noted = [*before, *Reception.objects.filter(seen_at__gte=start).order_by("began_at", "pk")]
    if not noted:
        return Gaps()
    found: list[tuple[datetime, datetime]] = []
    goes_on = False
    seen_at = noted[0].seen_at
    for row in noted[1:]:
        if row.began_at > seen_at:
            found.append((seen_at, row.began_at + _RETRIES))
        seen_at = max(seen_at, row.seen_at)
    if now - seen_at > _PATIENCE and _may_pass(seen_at, now):
        found.append((seen_at, now))
        goes_on = True
    waiting = [row.stored_until for row in noted if abs(now - row.seen_at) <= _PATIENCE and now - row.stored_until > _PATIENCE]
    if waiting and _may_pass(min(waiting), now):
        found.append((min(waiting), now))
        goes_on = True
    return Gaps(tuple(_merge([(ns_of(begin), ns_of(end)) for begin, end in found], time_range)), goes_on)


def _may_pass(since: datetime, now: datetime) -> bool:
    """Tell whether what goes on since then may be over soon: no longer once this process has watched it for long.

    Nobody must wait for ever for an alert about silence because of what keeps spans from coming.
    """
    return now - max(since, _STARTED) <= _LONGEST


def _merge(stretches: list[tuple[int, int]], within: TimeRange) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        start = max(start, within.start_ns)
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < min(end, within.end_ns):
            merged.append((start, end))
    return merged
