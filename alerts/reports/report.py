"""What a daily digest or weekly report says: the numbers against the time before, incidents, errors, and rules that cry wolf."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from alerts.evidence.focus import traces_path
from alerts.messages.notification import Event, Item, Link, Notification, Picture, Section, one_line
from alerts.messages.payload import PAYLOAD_VERSION
from alerts.messages.picture import Chart, draw_chart
from alerts.messages.wording import format_seconds, format_share, format_value, metric_label
from alerts.models import Digest, DigestPeriod, Incident
from alerts.past.history import find_history
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.projects import address_of
from tracestore.queries.errors import find_errors
from tracestore.queries.metrics.definitions import METRICS as METRIC_KINDS
from tracestore.queries.metrics.series import metric_series, metric_values
from tracestore.timerange import NS_PER_S, TimeRange, format_time_ns, ns_of

METRICS = ("requests", "failure_rate", "escalation_rate", "duration_p95", "cost", "cost_per_trace", "tool_success_rate")
_DRAWN = ("requests", "failure_rate", "cost")
_INCIDENTS_SHOWN, _ERRORS_SHOWN, _RULES_SHOWN = 10, 5, 5
_HOUR_S = 3600


def build_report(store: Store, digest: Digest, start: datetime, end: datetime) -> Notification:
    """Return the report about [start, end), compared with as long a time before. Raises StoreError."""
    project_id = digest.project_id
    time_range, before = TimeRange(ns_of(start), ns_of(end)), TimeRange(ns_of(start - (end - start)), ns_of(start))
    now_values, then_values = (
        metric_values(store, project_id=project_id, time_range=one, query=parse_query(""), metrics=METRICS)
        for one in (time_range, before)
    )
    days = _format_days(digest, start, end)
    name = "Daily digest" if digest.period == DigestPeriod.DAILY else "Weekly report"
    requests, failing = (format_value(metric, now_values[metric]) for metric in ("requests", "failure_rate"))
    facts = [(metric_label(metric), _compare(metric, now_values[metric], then_values[metric])) for metric in METRICS]
    base = address_of(digest.project)
    times = {"start": format_time_ns(time_range.start_ns), "end": format_time_ns(time_range.end_ns)}
    return Notification(
        event=Event.REPORT,
        severity="info",
        title=f"[{digest.period}] {one_line(digest.project.name)}, {days}: {requests}, {failing} failed",
        lead=[f"{name} of {one_line(digest.project.name)} for {days}, against {_before(digest)} in parentheses."],
        facts=facts,
        sections=[
            section
            for section in (
                _incident_section(project_id, start, end, base),
                _error_section(store, project_id, time_range, base, urlencode(times)),
                _noise_section(project_id, start, end, base),
            )
            if section.items
        ],
        links=[
            Link("Failing traces", base + traces_path("status:error", time_range)),
            Link("Alert history", f"{base}/alerts/history"),
            Link("Reports", f"{base}/alerts/digests"),
        ],
        pictures=[_draw(store, project_id, metric, time_range) for metric in _DRAWN] if now_values["requests"] else [],
        payload={
            "version": PAYLOAD_VERSION,
            "event": Event.REPORT,
            "period": digest.period,
            "project": digest.project.slug,
            **times,
            "metrics": {metric: {"value": now_values[metric], "before": then_values[metric]} for metric in METRICS},
        },
    )


def _format_days(digest: Digest, start: datetime, end: datetime) -> str:
    zone = ZoneInfo(digest.time_zone)
    first, last = start.astimezone(zone), (end.astimezone(zone))
    if digest.period == DigestPeriod.DAILY:
        return f"{first:%a %d %b %Y}"
    return f"{first:%d %b} to {datetime.fromtimestamp(last.timestamp() - 1, zone):%d %b %Y}"


def _before(digest: Digest) -> str:
    return "the day before" if digest.period == DigestPeriod.DAILY else "the seven days before"


def _compare(metric: str, value: float | None, before: float | None) -> str:
    """Return for example "1,234 traces (1,000 traces, +23%)"; rates differ in points, as on dashboards."""
    now, then = format_value(metric, value), format_value(metric, before)
    if value is None or before is None:
        return f"{now} ({then})"
    change = value - before
    sign = "+" if change >= 0 else "−"
    if METRIC_KINDS[metric].unit == "ratio":
        return f"{now} ({then}, {sign}{abs(change) * 100:.1f} points)"
    return f"{now} ({then}, {sign}{abs(change) / before:.0%})" if before else f"{now} ({then})"


def _incident_section(project_id: int, start: datetime, end: datetime, base: str) -> Section:
    began = Incident.objects.filter(project_id=project_id, started_at__gte=start, started_at__lt=end).order_by("started_at")
    items = [
        Item(
            f"#{incident.pk} {one_line(incident.title)}",
            f"{incident.severity}, {incident.started_at:%d %b %H:%M} UTC, "
            + (f"for {format_seconds(incident.length_s)}" if incident.resolved_at else "still open"),
            f"{base}/alerts/incidents/{incident.pk}",
        )
        for incident in began[:_INCIDENTS_SHOWN]
    ]
    count = began.count()
    more = f", the first {_INCIDENTS_SHOWN}" if count > _INCIDENTS_SHOWN else ""
    return Section(f"{count} incident{'s' if count != 1 else ''}{more}", items)


def _error_section(store: Store, project_id: int, time_range: TimeRange, base: str, times: str) -> Section:
    groups = find_errors(
        store, project_id=project_id, time_range=time_range, query=parse_query(""), step_s=86_400, limit=_ERRORS_SHOWN
    )
    items = [
        Item(
            one_line(": ".join(part for part in (group.error_type, group.message) if part))[:160] or "Failed without saying why",
            f"{group.traces} trace{'s' if group.traces != 1 else ''}",
            f"{base}/errors/{group.fingerprint}?{times}",
        )
        for group in groups
    ]
    return Section("Most frequent errors", items, numbered=True)


def _noise_section(project_id: int, start: datetime, end: datetime, base: str) -> Section:
    noisy = [record for record in find_history(project_id, start, end).records if record.noise][:_RULES_SHOWN]
    items = [
        Item(
            f"{one_line(record.rule_name)}: {record.noise} of {record.pages} page{'s' if record.pages != 1 else ''}",
            f"noise {format_share(record.noise_score or 0)}",
            f"{base}/alerts/rules/{record.rule_id}" if record.rule_id else "",
        )
        for record in noisy
    ]
    return Section("Rules whose pages nobody needed", items)


def _draw(store: Store, project_id: int, metric: str, time_range: TimeRange) -> Picture:
    series = metric_series(
        store, project_id=project_id, time_range=time_range, query=parse_query(""), metric=metric, step_s=_HOUR_S
    )
    points = [(start_ns + _HOUR_S * NS_PER_S // 2, value) for start_ns, value in series[0].points]
    return draw_chart(
        Chart(
            title=f"{metric_label(metric)} per hour",
            time_range=time_range,
            points=points,
            mark=None,
            threshold=None,
            firing=None,
            format=lambda value: format_value(metric, value).removesuffix(" traces"),
        )
    )
