"""The picture of an alert: its metric from some time before the breach until the message."""

from __future__ import annotations

from alerts.evidence.model import Evidence
from alerts.messages.notification import Picture
from alerts.messages.picture import Chart, draw_chart
from alerts.messages.wording import format_value, metric_label, metric_unit
from alerts.models import Alert, AlertTransition, RuleKind
from alerts.rules.evaluation import AlertState
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.metrics.series import metric_series
from tracestore.timerange import NS_PER_S, TimeRange

_WINDOWS_BEFORE, _LEAST_S, _MOST_WINDOWS = 24, 1800, 240
# Their thresholds are in the unit of the metric of one window, so that a line can stand among the values.
_COMPARABLE = {RuleKind.THRESHOLD, RuleKind.BASELINE}


def illustrate(store: Store, alert: Alert, transition: AlertTransition) -> Picture:
    """Draw one point per window. Of a long alert the newest windows are shown. Raises StoreError, QueryError or MetricError."""
    evidence = Evidence.from_json(alert.evidence)
    window_ns = alert.window_s * NS_PER_S
    end_ns = max(transition.window_end_ns, evidence.end_ns)
    margin_ns = max(_WINDOWS_BEFORE * window_ns, _LEAST_S * NS_PER_S)
    start_ns = max(evidence.start_ns - margin_ns, end_ns - _MOST_WINDOWS * window_ns, 0)
    # Whole windows: a part of one would show less than there was.
    aligned = TimeRange(start_ns - start_ns % window_ns, max(end_ns - end_ns % window_ns, start_ns + 1))
    series = metric_series(
        store,
        project_id=alert.project_id,
        time_range=aligned,
        query=parse_query(evidence.among or alert.query),
        metric=alert.metric,
        step_s=alert.window_s,
    )
    points = [(bucket_ns + window_ns // 2, value) for bucket_ns, value in series[0].points] if series else []
    middle_ns = (transition.window_start_ns + transition.window_end_ns) // 2
    unit = metric_unit(alert.metric)
    return draw_chart(
        Chart(
            title=metric_label(alert.metric) + (f" ({unit})" if unit not in ("ratio", "s", "USD", "") else ""),
            time_range=TimeRange(aligned.start_ns, end_ns),
            points=[*(point for point in points if point[0] < middle_ns), (middle_ns, transition.value)],
            mark=None if transition.value is None else (middle_ns, transition.value),
            threshold=alert.threshold if alert.kind in _COMPARABLE else None,
            firing=_fired(transition, evidence, end_ns),
            format=lambda value: _format_short(alert.metric, value),
        )
    )


def _fired(transition: AlertTransition, evidence: Evidence, end_ns: int) -> TimeRange:
    """Return the time of the breach: from the window that fired on, without the one that was good again."""
    last_ns = transition.window_start_ns if transition.to_state == AlertState.RESOLVED else end_ns
    return TimeRange(evidence.start_ns, max(last_ns, evidence.end_ns, evidence.start_ns + 1))


def _format_short(metric: str, value: float) -> str:
    """Return a value for an axis: units that are written beside the title are left out, thousands are k."""
    if metric_unit(metric) in ("ratio", "s", "USD"):
        return format_value(metric, float(f"{value:.3g}"))
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
