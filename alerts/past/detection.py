"""When a breach really began: the metric looked at again minute by minute, after the alert. For the time to detect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from alerts.evidence.focus import narrow
from alerts.models import Alert, RuleKind
from alerts.rules.evaluation import is_past
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError, parse_query
from tracestore.queries.metrics.definitions import METRICS, MetricError
from tracestore.queries.metrics.series import metric_series
from tracestore.timerange import NS_PER_S, TimeRange, moment_of

logger = logging.getLogger(__name__)

STEP_S = 60
_LOOK_BACK_S = 12 * 3600
_MOST_AT_ONCE = 20
# An older one will not be looked at again: its traces may be gone.
_TOO_OLD = timedelta(days=1)


def find_beginning(points: Sequence[tuple[int, float | None]], *, comparison: str, threshold: float) -> int | None:
    """Return the start of the unbroken run of breached buckets that reaches to the last one with a value; None for none.

    `points` are (start of the bucket in ns, value), oldest first. A bucket without a value neither breaks nor begins a run.
    """
    beginning = None
    for start_ns, value in reversed(points):
        if value is None:
            continue
        if not is_past(value, threshold, comparison):
            break
        beginning = start_ns
    return beginning


def measure_beginnings(store: Store, now: datetime) -> None:
    """Set `breached_at` of the alerts that lack it. Twice does no harm: it is the same answer."""
    lacking = Alert.objects.filter(breached_at=None, started_at__gt=now - _TOO_OLD).order_by("started_at")
    for alert in lacking[:_MOST_AT_ONCE]:
        Alert.objects.filter(pk=alert.pk, breached_at=None).update(breached_at=_find_breach(store, alert))


def _find_breach(store: Store, alert: Alert) -> datetime:
    """Return the best that is known: the minute, or else the first evaluation that saw the value past the threshold."""
    seen_at = alert.breach_seen_at()
    if alert.kind != RuleKind.THRESHOLD or alert.metric not in METRICS or alert.value is None:
        return seen_at
    end_ns = int(seen_at.timestamp()) // STEP_S * STEP_S * NS_PER_S
    look_back_s = min(_LOOK_BACK_S, max(3600, 4 * alert.window_s))
    # Of a count a minute holds only its share.
    share = STEP_S / alert.window_s if METRICS[alert.metric].additive else 1
    try:
        series = metric_series(
            store,
            project_id=alert.project_id,
            time_range=TimeRange(max(0, end_ns - look_back_s * NS_PER_S), end_ns),
            query=parse_query(narrow(alert.query, alert.labels)),
            metric=alert.metric,
            step_s=STEP_S,
        )
    except Exception as error:  # whatever it is: the oldest alerts come first, and the others would wait for them for a day
        known = isinstance(error, StoreError | QueryError | MetricError)
        logger.warning("no beginning for alert %s (%s): %s", alert.pk, alert.rule_name, error, exc_info=not known)
        return seen_at
    began_ns = find_beginning(series[0].points, comparison=alert.comparison, threshold=alert.threshold * share)
    return seen_at if began_ns is None else moment_of(began_ns)
