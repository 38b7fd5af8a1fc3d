"""What rules see: each rule's metric over its window, with the number of traces behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.evaluation import Observation
from alerts.models import AlertRule
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries import metrics
from tracestore.queries.metrics import ROLLUPS_FROM_S
from tracestore.timerange import NS_PER_S, TimeRange


@dataclass(frozen=True)
class Sight:
    """What one group of a rule showed in `time_range`; `labels` is {} for a rule without groups."""

    observation: Observation
    time_range: TimeRange
    labels: dict[str, str] = field(default_factory=dict)
    trace_id: str = ""


def observe_rule(store: Store, rule: AlertRule, now: datetime) -> list[Sight]:
    """Raises StoreError, QueryError or MetricError."""
    time_range = judged_window(now, rule)
    values = metrics.metric_values(
        store,
        project_id=rule.project_id,
        time_range=time_range,
        query=parse_query(rule.query),
        metrics=(rule.metric, "requests"),
    )
    return [Sight(Observation(values[rule.metric], int(values["requests"] or 0), ns_of(now)), time_range)]


def judged_window(now: datetime, rule: AlertRule) -> TimeRange:
    """Return the window that an evaluation judges. One of many hours ends with a whole minute, so that rollups answer."""
    end = now - timedelta(seconds=rule.grace_s)
    if rule.window_s >= ROLLUPS_FROM_S:
        end = end.replace(second=0, microsecond=0)
    return window_before(end, rule.window_s)


def window_before(now: datetime, window_s: int) -> TimeRange:
    """Return the window_s seconds that end now."""
    end_ns = ns_of(now)
    return TimeRange(max(0, end_ns - window_s * NS_PER_S), end_ns)


def ns_of(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S + moment.microsecond * 1000
