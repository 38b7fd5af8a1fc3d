"""The dashboard: a page of empty frames, and per frame the numbers that fill it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.forms import Search, SearchRefused, parse_search
from dashboards.panels import MAX_GROUPS, PANELS, build_panel, chart_range, narrow
from dashboards.requests import PageRequest
from dashboards.templatetags import formatting
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.model import Series
from tracestore.queries.metrics import GROUPINGS, METRICS, find_unpriced_models, metric_series, metric_values
from tracestore.queries.traces import has_any_trace
from tracestore.timerange import TimeRange

TILES = (
    # metric, narrowed to, what a rise means
    ("requests", "", "neutral"),
    ("failure_rate", "status:error", "worse"),
    ("duration_p95", "", "worse"),
    ("cost", "", "neutral"),
    ("escalation_rate", "escalated:true", "worse"),
)


@dataclass(frozen=True)
class Tile:
    """One number with its change against the period of equal length before. `trend` colours the change."""

    label: str
    help: str
    value: str
    change: str
    trend: Literal["better", "worse", "neutral"]
    previous: str
    href: str


@require_GET
def dashboard(request: PageRequest) -> HttpResponse:
    """The page; its charts load themselves."""
    group_by = _group_by(request)
    context: dict[str, Any] = {
        "panels": PANELS.values(),
        "groupings": GROUPINGS,
        "group_by": group_by,
        "search_extra": {"group_by": group_by} if group_by else {},
    }
    try:
        search = parse_search(request.GET)
    except SearchRefused as refused:
        return render(request, "dashboards/dashboard.html", context | {"search": refused.draft}, status=422)
    context["search"] = search
    try:
        context["has_traces"] = has_any_trace(get_store(), project_id=request.project.id)
    except StoreError as error:
        return render(request, "dashboards/dashboard.html", context | {"store_error": str(error)}, status=503)
    return render(request, "dashboards/dashboard.html", context)


@require_GET
def dashboard_tiles(request: PageRequest) -> HttpResponse:
    """The row of numbers on top, and the models whose cost is not known."""
    try:
        search = parse_search(request.GET)
        values, previous = _read_tiles(request, search)
        tiles = [
            _build_tile(search, metric, narrowed, rise, values[metric], previous.get(metric)) for metric, narrowed, rise in TILES
        ]
        unpriced = find_unpriced_models(
            get_store(), project_id=request.project.id, time_range=search.time_range, query=search.query
        )
    except (SearchRefused, StoreError) as error:
        return render(request, "dashboards/_dashboard_tiles.html", {"problem": str(error)})
    context = {"tiles": tiles, "unpriced": unpriced, "search": search, "nothing_matches": not values["requests"]}
    return render(request, "dashboards/_dashboard_tiles.html", context)


@require_GET
def dashboard_chart(request: PageRequest, name: str) -> HttpResponse:
    """One chart as JSON for dashboards/charts.js; what goes wrong is a sentence that stands in the chart's place."""
    panel = PANELS.get(name)
    if panel is None:
        return _problem(f"There is no chart {name}.", 404)
    try:
        search = parse_search(request.GET)
        time_range, step_s = chart_range(search.time_range)

        def read(metric: str, group_by: str) -> list[Series]:
            return metric_series(
                get_store(),
                project_id=request.project.id,
                time_range=time_range,
                query=search.query,
                metric=metric,
                group_by=group_by,
                step_s=step_s,
                max_groups=MAX_GROUPS,
            )

        answer = build_panel(
            panel, query_text=search.text, chosen=_group_by(request), time_range=time_range, step_s=step_s, read=read
        )
    except SearchRefused as error:
        return _problem(str(error), 422)
    except StoreError as error:
        return _problem(str(error), 503)
    return JsonResponse(answer)


def _problem(message: str, status: int) -> JsonResponse:
    return JsonResponse({"error": {"message": message}}, status=status)


def _group_by(request: HttpRequest) -> str:
    chosen = request.GET.get("group_by", "")
    return chosen if chosen in GROUPINGS else ""


def _read_tiles(request: PageRequest, search: Search) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the metrics of the tiles in the range and in the one of equal length before, which is empty where time begins."""
    metrics = [metric for metric, _, _ in TILES]
    now, _ = chart_range(search.time_range)
    length_ns = now.end_ns - now.start_ns
    before = TimeRange(now.start_ns - length_ns, now.start_ns) if now.start_ns >= length_ns else None

    def read(time_range: TimeRange) -> dict[str, float | None]:
        return metric_values(
            get_store(), project_id=request.project.id, time_range=time_range, query=search.query, metrics=metrics
        )

    return read(now), read(before) if before else {}


def _build_tile(search: Search, metric: str, narrowed: str, rise: str, value: float | None, previous: float | None) -> Tile:
    definition = METRICS[metric]
    change, trend = describe_change(value, previous, definition.unit, rise)
    return Tile(
        label=definition.label,
        help=definition.help,
        value=_format(value, definition.unit),
        change=change,
        trend=trend,
        previous=_format(previous, definition.unit),
        href=search.querystring(q=narrow(search.text, narrowed)),
    )


def _format(value: float | None, unit: str) -> str:
    formats = {"ratio": formatting.ratio, "s": formatting.duration_s, "USD": formatting.cost_usd}
    return formats.get(unit, formatting.count)(value)


def describe_change(
    value: float | None, previous: float | None, unit: str, rise: str
) -> tuple[str, Literal["better", "worse", "neutral"]]:
    """Say how a value changed: ratios in points, all else in percent; "" when there is nothing to compare with."""
    if value is None or previous is None or (unit != "ratio" and previous == 0):
        return "", "neutral"
    difference = value - previous if unit == "ratio" else value / previous - 1
    text = f"{difference * 100:+.1f}{' pts' if unit == 'ratio' else '%'}" if abs(difference) < 10 else f"×{value / previous:.0f}"
    if abs(difference) < 0.0005:
        return "no change", "neutral"
    if rise == "neutral":
        return text, "neutral"
    return text, "worse" if difference > 0 else "better"
