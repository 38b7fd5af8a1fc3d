"""How many values the rules of a project masked, by hour: that is all that is left of them.

Noted per request, written to the relational database every two seconds; a crash costs the counts of that time.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import F, Sum

from tracestore.models import MaskedValues
from tracestore.privacy.masking import PRESETS
from tracestore.process import telemetry
from tracestore.timerange import TimeRange, moment_of

log = logging.getLogger(__name__)

KEPT = timedelta(days=31)
CONTENT, ERROR_TEXT = "content", "error_text"  # what is left out is counted under these names, beside those of rules
# /metrics tells these names. Those of a project's own rules are its own affair, and there is no end of them.
_TOLD, _OWN = frozenset({*PRESETS, CONTENT, ERROR_TEXT}), "own"


class MaskedCounts:
    """Counts of one process until they are written. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, datetime, str]] = Counter()

    def note(self, project_id: int, masked: Mapping[str, int]) -> None:
        """Count what was masked in one request, by rule."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        with self._lock:
            for rule, count in masked.items():
                telemetry.MASKED_VALUES.labels(rule if rule in _TOLD else _OWN).inc(count)
                self._counts[project_id, hour, rule] += count

    def flush(self) -> None:
        """Add what is noted to the database; keep it when that is away."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with transaction.atomic():
                for (project_id, hour, rule), count in counts.items():
                    row, is_new = MaskedValues.objects.get_or_create(project_id=project_id, hour=hour, rule=rule)
                    MaskedValues.objects.filter(pk=row.pk).update(masked=F("masked") + count)
                    if is_new:
                        MaskedValues.objects.filter(hour__lt=hour - KEPT).delete()
        except DatabaseError as error:
            log.warning("masked: the database is away, trying again: %s", error)
            with self._lock:
                self._counts.update(counts)


masked_counts = MaskedCounts()


@dataclass(frozen=True)
class MaskedSum:
    """How many values one rule masked."""

    rule: str
    masked: int


def find_masked(*, project_id: int, time_range: TimeRange) -> list[MaskedSum]:
    """Return what was masked in the hours that the range touches, most values first."""
    start, end = moment_of(time_range.start_ns), moment_of(time_range.end_ns)
    within = MaskedValues.objects.filter(project_id=project_id, hour__gt=start - timedelta(hours=1), hour__lt=end)
    sums = within.values_list("rule").annotate(total=Sum("masked")).order_by("-total", "rule")
    return [MaskedSum(rule, total) for rule, total in sums]
