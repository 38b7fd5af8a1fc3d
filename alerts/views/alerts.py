"""Alerts: the list, the badge of the navigation, and the page of one alert."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from alerts import services
from alerts.backtest import run_backtest
from alerts.chart import build_alert_chart, build_backtest_chart
from alerts.evidence import Evidence
from alerts.focus import traces_path, why_path
from alerts.models import Alert, AlertRule, NotificationChannel, RuleKind
from alerts.observing import window_before
from alerts.preview import preview_rule
from alerts.reasons import build_reasons
from alerts.views.editing import find_page
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.fragments import fragment_of
from tracestore.language import QueryError, parse_query
from tracestore.queries.metric_definitions import MetricError
from tracestore.queries.metrics import MAX_POINTS
from tracestore.queries.traces import find_traces
from tracestore.requests import PageRequest
from tracestore.timerange import NS_PER_S, TimeRange

_TRACES_SHOWN = 20
# What adds up or picks a run is drawn evaluation by evaluation; of the others the metric of each window says enough.
_REPLAYED = (RuleKind.BUDGET, RuleKind.RUN)


@require_GET
@vary_on_headers("HX-Request")
def alert_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx its list, which it asks for every few seconds."""
    context = {
        "page": find_page(request, services.find_alerts(request.project.pk)),
        "rule_count": AlertRule.objects.filter(project=request.project).count(),
        "broken_channels": NotificationChannel.objects.filter(project=request.project).exclude(disabled_reason=""),
    }
    return render(request, "alerts/_alert_rows.html" if request.htmx else "alerts/alert_list.html", context)


@fragment_of("alert-list")
@require_GET
def alert_badge(request: PageRequest) -> HttpResponse:
    return render(request, "alerts/_badge.html", {"firing_count": services.count_firing(request.project.pk)})


@require_GET
@vary_on_headers("HX-Request")
def alert_detail(request: PageRequest, alert_id: int) -> HttpResponse:
    """The page of one alert; to htmx the part that changes while it fires."""
    alert = get_object_or_404(Alert.objects.select_related("rule"), pk=alert_id, project=request.project)
    evidence = Evidence.from_json(alert.evidence)
    context: dict[str, Any] = {
        "alert": alert,
        "evidence": evidence,
        "reasons": build_reasons(evidence),
        "transitions": alert.transitions.all(),
        "deliveries": alert.deliveries.select_related("channel", "transition"),
        "traces_href": traces_path(evidence.query, evidence.time_range),
        "why_href": why_path(evidence.query, alert.query, evidence.time_range) if evidence.causes.others else "",
        "now_href": traces_path(evidence.query, window_before(timezone.now(), alert.window_s)),
    }
    if request.htmx:
        return render(request, "alerts/_alert_status.html", context)
    try:
        page = find_traces(
            get_store(),
            project_id=alert.project_id,
            time_range=evidence.time_range,
            query=parse_query(evidence.query),
            limit=_TRACES_SHOWN,
        )
        context |= {"traces": page.items, "has_more": bool(page.next_cursor), "figure": _build_figure(alert, evidence)}
    except (StoreError, QueryError, MetricError) as error:
        context["store_error"] = str(error)
    return render(request, "alerts/alert_detail.html", context)


def _build_figure(alert: Alert, evidence: Evidence) -> dict[str, Any]:
    """Draw the alert's metric from some time before it started to some time after it ended."""
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
