"""Alerts: the list, the badge of the navigation, and the page of one alert."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from alerts.evidence.causes import build_step_sections, name_causes
from alerts.evidence.focus import is_about_cost, traces_path, why_path, worst_first
from alerts.evidence.model import Evidence
from alerts.evidence.reasons import build_reasons
from alerts.models import Alert, AlertRule, NotificationChannel
from alerts.past.alert_figure import draw_alert
from alerts.rules.finding import count_firing, find_alerts
from alerts.rules.observing import window_before
from alerts.views.editing import find_page
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError, parse_query
from tracestore.projects import in_this_project
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.traces import find_traces
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_TRACES_SHOWN = 20


@require_GET
@vary_on_headers("HX-Request")
def alert_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx its list, which it asks for every few seconds."""
    context = {
        "page": find_page(request, find_alerts(request.project.pk)),
        "rule_count": AlertRule.objects.filter(project=request.project).count(),
        "broken_channels": NotificationChannel.objects.filter(project=request.project).exclude(disabled_reason=""),
    }
    return render(request, "alerts/_alert_rows.html" if request.htmx else "alerts/alert_list.html", context)


@fragment_of("alert-list")
@require_GET
def alert_badge(request: PageRequest) -> HttpResponse:
    return render(request, "alerts/_badge.html", {"firing_count": count_firing(request.project.pk)})


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
        "causes": [cause.text for cause in name_causes(evidence, alert.labels)],
        "step_sections": list(build_step_sections(evidence)),
        "transitions": alert.transitions.all(),
        "deliveries": alert.deliveries.select_related("channel", "transition"),
        "traces_href": in_this_project(traces_path(evidence.query, evidence.time_range)),
        "why_href": in_this_project(why_path(evidence.query, alert.query, evidence.time_range)) if evidence.causes.others else "",
        "now_href": in_this_project(traces_path(evidence.query, window_before(timezone.now(), alert.window_s))),
    }
    opened_at = {example.trace_id: example.telling_span_id or example.failing_span_id for example in evidence.examples}
    context |= {"run_span_id": opened_at.get(alert.trace_id, ""), "is_about_cost": is_about_cost(alert.metric)}
    if request.htmx:
        return render(request, "alerts/_alert_status.html", context)
    try:
        page = find_traces(
            get_store(),
            project_id=alert.project_id,
            time_range=evidence.time_range,
            query=parse_query(evidence.query),
            limit=_TRACES_SHOWN,
            sort=worst_first(alert.metric, evidence.query),
        )
        context |= {
            "traces": [(trace, opened_at.get(trace.trace_id) or trace.failing_span_id) for trace in page.items],
            "has_more": bool(page.next_cursor),
            "figure": draw_alert(alert),
        }
    except (StoreError, QueryError, MetricError) as error:
        context["store_error"] = str(error)
    return render(request, "alerts/alert_detail.html", context)
