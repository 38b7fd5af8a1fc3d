"""A rule over the past: the page of a saved rule, that of a draft from the editor, and marks of incidents."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from alerts.forms.rules import PreviewForm
from alerts.messages.wording import format_condition
from alerts.models import AlertRule, IncidentMark
from alerts.past.backtest import Suggestion, find_marks, run_backtest
from alerts.past.chart import build_backtest_chart
from alerts.rules.units import format_threshold
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError
from tracestore.queries.metrics.definitions import MetricError
from tracestore.timerange import NS_PER_S, TimeError, TimeRange, moment_of, parse_time_range
from tracestore.web.requests import PageRequest

_WEEK_NS = 7 * 86_400 * NS_PER_S
_DEFAULT_START = "now-7d"
_RANGES = {"now-24h": "24 hours", "now-7d": "7 days", "now-28d": "28 days"}
_MOST_PAGES = 1000.0
_OWN_FIELDS = {"csrfmiddlewaretoken", "start", "end", "pages", "preset", "range"}
_TILES = ("Pages", "Pages a week", "Flaps", "Detected", "Time firing")


@dataclass(frozen=True)
class Asked:
    """What is to be replayed, as texts of the address and read; `problem` says what cannot be read."""

    start: str
    end: str
    pages: str
    time_range: TimeRange
    pages_per_week: float
    problem: str = ""

    @property
    def ranges(self) -> list[tuple[str, str, str, bool]]:
        """(start, label, query string, whether it is the chosen one) of each offered range."""
        chosen = self.start if not self.end else ""
        return [(start, label, self.querystring(start=start, end=""), start == chosen) for start, label in _RANGES.items()]

    def querystring(self, **changes: str) -> str:
        values = {"start": self.start, "end": self.end, "pages": self.pages} | changes
        return "?" + urlencode({name: value for name, value in values.items() if value})


def read_asked(given: Mapping[str, str]) -> Asked:
    """Read `start`, `end` and `pages` (a week); what cannot be read gives way to its default, with a problem."""
    start, end, pages = (given.get(name, "").strip()[:64] for name in ("start", "end", "pages"))
    start, now_ns, problem = start or _DEFAULT_START, time.time_ns(), ""
    try:
        time_range = parse_time_range(start, end, now_ns, _WEEK_NS)
    except TimeError as error:
        problem, start, end = f"{error}.", _DEFAULT_START, ""
        time_range = parse_time_range(start, end, now_ns)
    try:
        pages_per_week = float(pages or 1)
    except ValueError:
        pages_per_week = -1.0
    if not 0 <= pages_per_week <= _MOST_PAGES:
        problem, pages, pages_per_week = f"Pages a week are a number from 0 to {_MOST_PAGES:.0f}.", "", 1.0
    return Asked(start, end, pages, time_range, pages_per_week, problem)


@require_GET
@vary_on_headers("HX-Request")
def rule_backtest(request: PageRequest, rule_id: int) -> HttpResponse:
    """One URL: the page, or to htmx what it has computed."""
    rule = get_object_or_404(AlertRule, pk=rule_id, project=request.project)
    asked = read_asked(request.GET)
    if request.htmx:
        return _answer(request, rule, asked)
    context = {"saved": rule, "shown": rule, "asked": asked, "tiles": _TILES}
    return render(request, "alerts/backtest.html", context, status=422 if asked.problem else 200)


@require_POST
def draft_backtest(request: PageRequest) -> HttpResponse:
    """The page for the editor's fields as they are now. POST because a query can be long; it changes nothing."""
    form = PreviewForm(request.POST)
    preset = request.POST.get("preset", "")
    asked = read_asked(request.POST.dict() | ({"start": preset, "end": ""} if preset else {}))
    kept = [(name, value) for name, values in request.POST.lists() if name not in _OWN_FIELDS for value in values]
    context = {"draft": form, "asked": asked, "kept": kept, "tiles": _TILES}
    if not form.is_valid():
        return render(request, "alerts/backtest.html", context, status=422)
    rule = form.apply_to(AlertRule(project=request.project, name="Draft"))
    if request.htmx:
        return _answer(request, rule, asked)
    return render(request, "alerts/backtest.html", context | {"shown": rule}, status=422 if asked.problem else 200)


def _answer(request: PageRequest, rule: AlertRule, asked: Asked) -> HttpResponse:
    marks = find_marks(request.project.pk, asked.time_range)
    try:
        backtest = run_backtest(get_store(), rule, asked.time_range, marks, pages_per_week=asked.pages_per_week)
    except (StoreError, QueryError, MetricError) as error:
        return render(request, "alerts/_backtest_answer.html", {"problem": str(error)})
    context = {
        "backtest": backtest,
        "asked": asked,
        "figure": build_backtest_chart(backtest),
        "suggested": _say_threshold(rule, backtest.suggestion),
        "shown": backtest.pages[::-1][:100],
        "here": reverse("alert-rule-backtest", args=[rule.pk]) + asked.querystring() if rule.pk else "",
    }
    return render(request, "alerts/_backtest_answer.html", context)


def _say_threshold(rule: AlertRule, suggestion: Suggestion | None) -> str:
    if suggestion is None:
        return ""
    if rule.is_relative:
        return f"A change of {format_threshold(suggestion.threshold, 'failure_rate')}%"
    return format_condition(rule.metric, rule.comparison, suggestion.threshold)


@require_POST
def mark_add(request: PageRequest) -> HttpResponse:
    """Mark [start, end), two texts as in every address, as an incident; then back to `next`."""
    name = request.POST.get("name", "").strip()[:128] or "Incident"
    following = _following(request)
    try:
        time_range = parse_time_range(request.POST.get("start", "")[:64], request.POST.get("end", "")[:64])
        mark = IncidentMark(
            project=request.project, name=name, started_at=moment_of(time_range.start_ns), ended_at=moment_of(time_range.end_ns)
        )
        mark.clean()
    except (TimeError, ValidationError) as error:
        message = error.messages[0] if isinstance(error, ValidationError) else f"{error}."
        return render(request, "alerts/mark_refused.html", {"problem": message, "following": following}, status=422)
    mark.save()
    return redirect(following)


@require_POST
def mark_delete(request: PageRequest, mark_id: int) -> HttpResponse:
    get_object_or_404(IncidentMark, pk=mark_id, project=request.project).delete()
    return redirect(_following(request))


def _following(request: PageRequest) -> str:
    """Return where to go afterwards, if that is here."""
    target = request.POST.get("next", "")
    if target.startswith("/") and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return reverse("alert-rule-list")
