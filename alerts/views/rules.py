"""Alert rules: list, editor with its preview, switch and delete."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from alerts.forms.rules import DEFAULT_RANGE, RANGES, AlertRuleForm, PreviewForm
from alerts.models import MAX_GROUP_FIELDS, AlertRule, NotificationChannel, RuleKind
from alerts.on_call.silences import DAYS
from alerts.on_call.telling import find_routed
from alerts.past.backtest import run_backtest
from alerts.past.chart import build_backtest_chart, build_rule_chart
from alerts.past.preview import find_guarded, preview_rule
from alerts.rules.definition import metrics_of
from alerts.rules.editing import delete_rule, save_rule
from alerts.rules.finding import find_rules
from alerts.rules.observing import window_before
from alerts.rules.units import threshold_unit
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS, MetricError
from tracestore.queries.metrics.groups import RUN_METRICS
from tracestore.web.requests import PageRequest

# Where fewer windows than these lie in a range, side by side they would say little.
_SIDE_BY_SIDE = 24
_NEW_RULE = {
    "metric": "failure_rate",
    "threshold": "5",
    "window_s": 300,
    "hold_s": 60,
    "comparison": "above",
    "severity": "warning",
    "kind": "threshold",
    "baseline_weeks": 4,
    "baseline_deviations": 3,
    "time_zone": "UTC",
}


@require_GET
@vary_on_headers("HX-Request")
def rule_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx its list."""
    rules = find_rules(request.project.pk)
    context = {
        "rules": rules,
        "routed": find_routed(request.project.pk, rules),
        "channel_count": NotificationChannel.objects.filter(project=request.project).count(),
    }
    return render(request, "alerts/_rule_rows.html" if request.htmx else "alerts/rule_list.html", context)


@require_http_methods(["GET", "POST"])
def rule_edit(request: PageRequest, rule_id: int | None = None) -> HttpResponse:
    """The editor of a rule, or of a new one, which may arrive filled in by the query string (`?q=...&metric=...`)."""
    rule = get_object_or_404(AlertRule, pk=rule_id, project=request.project) if rule_id else None
    initial = _NEW_RULE | {name: value for name, value in request.GET.items() if value}
    form = AlertRuleForm(request.POST or None, rule=rule or AlertRule(project=request.project), initial=initial)
    if request.method == "POST" and form.is_valid():
        form.save(timezone.now())
        return redirect("alert-rule-list")
    context = {
        "form": form,
        "rule": rule,
        "metric_groups": _metric_groups(),
        "units": {name: threshold_unit(name) for name in METRICS | RUN_METRICS},
        "watchable": {kind: metrics_of(kind) for kind in RuleKind.values},
        "groupings": GROUPINGS,
        "group_slots": (form["group_by"].value() + [""] * MAX_GROUP_FIELDS)[:MAX_GROUP_FIELDS],
        "days": list(zip("0123456", DAYS, strict=True)),
        "ranges": RANGES,
        "default_range": DEFAULT_RANGE,
    }
    return render(request, "alerts/rule_edit.html", context, status=422 if form.errors else 200)


def _metric_groups() -> list[tuple[str, list[tuple[str, Any]]]]:
    """The choices of the metric: heading -> (name, metric)."""
    return [("Of the traces in the window", list(METRICS.items())), ("Of the largest single run", list(RUN_METRICS.items()))]


@require_POST
def rule_preview(request: PageRequest) -> HttpResponse:
    """The chart under the editor, for the fields as they are now. POST because a query can be long; it changes nothing."""
    form = PreviewForm(request.POST)
    if not form.is_valid():
        return render(request, "alerts/_rule_preview.html", {"form": form})
    rule = form.apply_to(AlertRule(project=request.project))
    length_s, range_label = RANGES[form.cleaned_data["range"] or DEFAULT_RANGE]
    time_range = window_before(timezone.now(), length_s)
    try:
        if rule.kind == RuleKind.VERSION:  # which versions it compares now says more than how they once compared
            return render(request, "alerts/_guard_preview.html", {"rule": rule, "guarded": find_guarded(get_store(), rule)})
        if rule.kind == RuleKind.THRESHOLD and not rule.group_by and length_s >= _SIDE_BY_SIDE * rule.window_s:
            preview = preview_rule(get_store(), rule, time_range)
            shown = {
                "preview": preview,
                "episodes": preview.episodes,
                "figure": build_rule_chart(preview),
                "shortened": preview.time_range.duration_s < length_s - 2 * rule.window_s,
            }
        else:
            # Of a window as long as the range hardly an evaluation would be seen.
            replayed_s = max(length_s, rule.window_s)
            backtest = run_backtest(get_store(), rule, window_before(timezone.now(), replayed_s), [])
            episodes = [page.episode for page in backtest.pages]
            figure = build_backtest_chart(backtest)
            shown = {"preview": backtest, "episodes": episodes, "figure": figure, "is_sliding": True}
            shown["lengthened"] = replayed_s > length_s
    except (StoreError, MetricError) as error:
        return render(request, "alerts/_rule_preview.html", {"form": form, "store_error": str(error)})
    return render(request, "alerts/_rule_preview.html", {"form": form, "range_label": range_label} | shown)


@require_POST
def rule_switch(request: PageRequest, rule_id: int) -> HttpResponseRedirect:
    """Switch a rule on or off (`enabled` is "1" or "0")."""
    rule = get_object_or_404(AlertRule, pk=rule_id, project=request.project)
    rule.enabled = request.POST.get("enabled") == "1"
    save_rule(rule, timezone.now())
    return redirect("alert-rule-list")


@require_POST
def rule_delete(request: PageRequest, rule_id: int) -> HttpResponseRedirect:
    rule = get_object_or_404(AlertRule, pk=rule_id, project=request.project)
    delete_rule(rule, timezone.now())
    return redirect("alert-rule-list")
