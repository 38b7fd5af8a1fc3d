"""Incidents: the list, the page of one, what people do about it, and the link of a message that acknowledges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from alerts.evidence.causes import name_step_causes
from alerts.evidence.focus import traces_path, why_path
from alerts.evidence.model import Evidence
from alerts.messages.links import LinkRefused, read_ack
from alerts.models import Alert, Incident, IncidentMark, Suppression
from alerts.on_call import incidents
from alerts.on_call.incidents import IncidentError
from alerts.on_call.paging import FLAPPING_HOLD, severity_rank
from alerts.on_call.silences import suggest_matcher
from alerts.on_call.timeline import build_timeline
from alerts.past.alert_figure import draw_alert
from alerts.rules.observing import window_before
from alerts.views.editing import find_page
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError
from tracestore.projects import in_this_project
from tracestore.queries.metrics.definitions import MetricError
from tracestore.timerange import TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_ALERTS_SHOWN = 50
_ALSO_FIRING_SHOWN = 3
_MARKS_SHOWN = 20
# A week of backtest that ends soon after the outage.
_BACKTEST_BEFORE, _BACKTEST_AFTER = timedelta(days=6), timedelta(days=1)
SNOOZES = ((1800, "30 m"), (3600, "1 h"), (4 * 3600, "4 h"), (86_400, "1 d"))


@require_GET
@vary_on_headers("HX-Request")
def incident_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx its list. `?state=open` or `resolved` narrows it."""
    state = request.GET.get("state", "")
    state = state if state in ("open", "resolved") else ""
    context = {"page": find_page(request, incidents.find_incidents(request.project.pk, state=state)), "state": state}
    return render(request, "alerts/_incident_rows.html" if request.htmx else "alerts/incident_list.html", context)


@require_GET
@vary_on_headers("HX-Request")
def incident_detail(request: PageRequest, incident_id: int) -> HttpResponse:
    """The page; to htmx the part that changes, and the buttons too when `?seen=` is no longer the incident's state."""
    incident = get_object_or_404(Incident, pk=incident_id, project=request.project)
    return _render(request, incident, changed=request.GET.get("seen", "") != incident.state)


@fragment_of("incident-detail", "incident_id")
@require_GET
def incident_chart(request: PageRequest, incident_id: int) -> HttpResponse:
    """The metric of the alert that the page's number is of. It comes after the page, which can be read meanwhile."""
    incident = get_object_or_404(Incident, pk=incident_id, project=request.project)
    alerts = _find_alerts(incident)
    context: dict[str, Any] = {"alert": alerts[0] if alerts else None}
    if alerts:
        try:
            context["figure"] = draw_alert(alerts[0])
        except (StoreError, QueryError, MetricError) as error:
            context["store_error"] = str(error)
    return render(request, "alerts/_incident_chart.html", context)


@require_POST
def incident_act(request: PageRequest, incident_id: int, action: str) -> HttpResponse:
    """Do it and go back to the page, or show the page with the reason why not."""
    incident = get_object_or_404(Incident, pk=incident_id, project=request.project)
    by, now = actor_of(request), timezone.now()
    try:
        match action:
            case "ack":
                incidents.acknowledge(incident.pk, by, now)
            case "unack":
                incidents.withdraw_acknowledgement(incident.pk, by, now)
            case "snooze":
                seconds = request.POST.get("for_s", "")
                incidents.snooze(incident.pk, int(seconds) if seconds.isdecimal() and len(seconds) < 9 else 0, by, now)
            case "resolve":
                incidents.resolve_by_hand(incident.pk, by, now)
            case "comment":
                incidents.comment(incident.pk, request.POST.get("text", ""), by, now)
            case _:
                raise Http404(f"There is no action {action!r}.")
    except IncidentError as error:
        incident.refresh_from_db()
        return _render(request, incident, refusal=str(error))
    return redirect("incident-detail", incident.pk)


def actor_of(request: HttpRequest) -> str:
    """Return under what name a request's changes are kept."""
    return request.user.get_username() if request.user.is_authenticated else "local user"


def _render(request: PageRequest, incident: Incident, *, changed: bool = False, refusal: str = "") -> HttpResponse:
    context = _describe(incident) | {"changed": changed, "refusal": refusal}
    if request.htmx and not refusal:
        return render(request, "alerts/_incident_live.html", context)
    return render(request, "alerts/incident_detail.html", context, status=422 if refusal else 200)


def _describe(incident: Incident) -> dict[str, Any]:
    alerts = _find_alerts(incident)
    context: dict[str, Any] = {
        "incident": incident,
        "alerts": alerts,
        "alert_count": incident.alerts.count(),
        "firing_count": incident.alerts.filter(resolved_at=None).count(),
        "silenced_count": _count_silenced(incident),
        "quiet_until": incident.quiet_at + FLAPPING_HOLD if incident.quiet_at and not incident.resolved_at else None,
        "lines": build_timeline(incident),
        "snoozes": SNOOZES,
        **_describe_marks(incident, alerts),
    }
    if alerts:
        # The number is that of the worst alert; the cause is asked where there is something to compare with, and what is over
        # does not explain what fires.
        evidence = Evidence.from_json(alerts[0].evidence)
        present = [alert for alert in alerts if alert.resolved_at is None] or alerts
        explained = next((alert for alert in present if alert.evidence.get("compared")), alerts[0])
        why = Evidence.from_json(explained.evidence)
        among = (why.among or explained.query) if why.causes.others else ""
        why_href = in_this_project(why_path(why.query, among, _outage_of(incident, explained)))
        also_firing = _list_also_firing(alerts)
        context |= {
            "lead": alerts[0],
            "also_firing": also_firing,
            "also_firing_more": context["firing_count"] - 1 - len(also_firing),
            "evidence": evidence,
            "why": why,
            "step_causes": name_step_causes(why),
            "traces_href": in_this_project(traces_path(evidence.query, _outage_of(incident, alerts[0]))),
            "why_href": why_href,
            "why_answer_href": f"{reverse('why-answer')}?{urlsplit(why_href).query}",
            "silence_href": f"{reverse('silence-new')}?{urlencode({'matcher': suggest_matcher(alerts[0])})}",
        }
    return context


def _find_alerts(incident: Incident) -> list[Alert]:
    """Return what fires now, the worst of it first, then what fired; when nothing does, what was worst comes first."""
    alerts = list(incident.alerts.order_by(F("resolved_at").asc(nulls_first=True), "-started_at")[:_ALERTS_SHOWN])
    return sorted(alerts, key=lambda alert: (alert.resolved_at is not None, -severity_rank(alert.severity), alert.started_at))


def _list_also_firing(alerts: list[Alert]) -> list[Alert]:
    """Return what fires beside the first of `alerts`, which come worst first: one of each other rule before more of the same."""
    rules: dict[int | None, int] = {alerts[0].rule_id: 1}
    ranked = []
    for alert in alerts[1:]:
        if alert.resolved_at is None:
            ranked.append((rules.get(alert.rule_id, 0), alert))
            rules[alert.rule_id] = rules.get(alert.rule_id, 0) + 1
    return [alert for _, alert in sorted(ranked, key=lambda pair: pair[0])[:_ALSO_FIRING_SHOWN]]


def _describe_marks(incident: Incident, alerts: list[Alert]) -> dict[str, Any]:
    """Return the marks of people that touch the outage, its time for a new one, and a backtest of the worst alert's rule."""
    start, end = incident.started_at, incident.resolved_at or timezone.now()
    touching = IncidentMark.objects.filter(project_id=incident.project_id, started_at__lt=end, ended_at__gt=start)
    rule_id = alerts[0].rule_id if alerts else None
    around = {"start": (start - _BACKTEST_BEFORE).isoformat(), "end": (end + _BACKTEST_AFTER).isoformat()}
    return {
        "marks": touching[:_MARKS_SHOWN],
        "mark_start": start.isoformat(),
        "mark_end": end.isoformat(),
        "backtest_href": f"{reverse('alert-rule-backtest', args=[rule_id])}?{urlencode(around)}" if rule_id else "",
    }


def _count_silenced(incident: Incident) -> int:
    """Return how many of the firing alerts a silence holds back at the moment."""
    now = timezone.now()
    held = Suppression.objects.filter(alert__incident=incident, alert__resolved_at=None).select_related("silence")
    return len({one.alert_id for one in held if one.silence.to_quiet().holds(now)})


def _outage_of(incident: Incident, alert: Alert) -> TimeRange:
    """Return the time that the causes are asked about: from the window that the first alert judged to the end, or now."""
    until = incident.resolved_at or timezone.now()
    start_ns = window_before(incident.started_at, alert.window_s).start_ns
    return TimeRange(start_ns, max(window_before(until, 1).end_ns, start_ns + 1))


@never_cache
@require_http_methods(["GET", "POST"])
def ack_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The address in a message: GET asks, and its one button POSTs. Mail scanners open links, so GET changes nothing."""
    now = timezone.now()
    try:
        incident = Incident.objects.filter(pk=read_ack(token, now)).first()
        if incident is None:
            raise LinkRefused("The incident of this link no longer exists.")
        if request.method == "POST":
            by = request.user.get_username() if request.user.is_authenticated else "the link in a message"
            incident = incidents.acknowledge(incident.pk, by, now)
            return redirect(request.path)
    except (LinkRefused, IncidentError) as refused:
        return render(request, "alerts/ack.html", {"refusal": str(refused)}, status=410)
    return render(
        request, "alerts/ack.html", {"incident": incident, "firing_count": incident.alerts.filter(resolved_at=None).count()}
    )
