"""The chart of one alert: its metric, its threshold, and when it fired."""

from __future__ import annotations

import time
from typing import Any

from django.utils import timezone

from alerts.evidence.model import Evidence
from alerts.models import Alert, AlertRule, RuleKind
from alerts.past.backtest import run_backtest
from alerts.past.chart import build_alert_chart, build_backtest_chart
from alerts.past.preview import preview_rule
from alerts.rules.observing import window_before
from tracestore.clickhouse.client import get_store
from tracestore.queries.metrics.series import MAX_POINTS
from tracestore.timerange import NS_PER_S, TimeRange

# What adds up or picks a run is drawn evaluation by evaluation; of the others the metric of each window says enough.
_REPLAYED = (RuleKind.BUDGET, RuleKind.RUN)


def draw_alert(alert: Alert) -> dict[str, Any]:
    """Return the figure of an alert's metric from some time before it started to some time after it ended.

    Raises StoreError, QueryError or MetricError.
    """
    evidence = Evidence.from_json(alert.evidence)
    # A version guard's window is how long a version is new; what happened shows by the hour.
    window_s = min(alert.window_s, 3600) if alert.kind == RuleKind.VERSION else alert.window_s
    margin_s = max(20 * window_s, 1800)
    until = alert.resolved_at or timezone.now()
    start_ns = window_before(alert.started_at, alert.hold_s + margin_s).start_ns
    end_ns = min(time.time_ns(), window_before(until, 1).end_ns + margin_s * NS_PER_S)
    # Of an alert that lasts longer than a chart can hold, the beginning is what explains it.
    end_ns = min(end_ns, start_ns + MAX_POINTS // 2 * window_s * NS_PER_S)
    rule = AlertRule(
        project=alert.project,
        kind=alert.kind if alert.kind in _REPLAYED else RuleKind.THRESHOLD,
        metric=alert.metric,
        query=alert.query,
        window_s=window_s,
        comparison=alert.comparison,
        threshold=alert.threshold,
        hold_s=alert.hold_s,
    )
    if alert.rule:
        rule.budget_period, rule.time_zone = alert.rule.budget_period, alert.rule.time_zone
    time_range = TimeRange(start_ns, max(end_ns, start_ns + 1))
    if rule.kind in _REPLAYED:
        return build_backtest_chart(run_backtest(get_store(), rule, time_range, []))
    preview = preview_rule(get_store(), rule, time_range)
    alert_end_ns = min(window_before(until, 1).end_ns, time_range.end_ns)
    return build_alert_chart(preview, window=evidence.time_range, value=alert.value, end_ns=alert_end_ns)
