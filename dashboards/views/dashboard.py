"""Dashboards: a page of empty frames, and per frame what fills it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.measures import MEASURES, find_measure
from dashboards.panels.own_dashboards import Board, find_board, find_boards
from dashboards.panels.panel import (
    OFFERED_GROUPINGS,
    OVER_TIME,
    Panel,
    Scope,
    build_chart,
    build_csv,
    chart_range,
    empty_sentence,
    find_traces_query,
    whole_range,
)
from dashboards.panels.tiles import build_table, build_tiles
from dashboards.search.query_string import Search, SearchRefused, parse_search
from dashboards.trace_list.export import defuse, take
from dashboards.views.export import without_blocking
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import Query, QueryError, join_queries, parse_query
from tracestore.model import Series
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.metrics.series import metric_series, metric_values
from tracestore.queries.traces import has_any_trace
from tracestore.queries.unpriced_models import find_unpriced_models
from tracestore.queries.versions import find_first_seen
from tracestore.timerange import TimeRange, format_time_ns
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# Parameters of the address beside query and range, with what they may be; "" is the default and stands in no address.
CHOICES: dict[str, tuple[str, ...]] = {
    "group_by": OFFERED_GROUPINGS,
    "compare": ("previous",),
    "versions": ("off",),
    "refresh": ("10s", "1m"),
}
_WHOLE_STEP_S = 60
_CSV_ROWS = 200  # in one piece of a download


@require_GET
def dashboard(request: PageRequest, slug: str) -> HttpResponse:
    """The page; its panels load themselves."""
    board = find_board(request.project, request.user, slug)
    if board is None:
        raise Http404(f"There is no dashboard {slug}.")
    chosen = read_choices(request)
    context: dict[str, Any] = {
        "board": board,
        "built_in": BUILT_IN.values(),
        "own_boards": find_boards(request.project, request.user),
        "groupings": OFFERED_GROUPINGS,
        "chosen": chosen,
        "refresh_s": {"10s": 10, "1m": 60}.get(chosen.get("refresh", ""), 0),
        "search_extra": chosen,
    }
    try:
        search = replace(parse_search(request.GET), extra=chosen)
    except SearchRefused as refused:
        draft = replace(refused.draft, extra=chosen)
        return render(request, "dashboards/dashboard.html", context | {"search": draft}, status=422)
    context |= {
        "search": search,
        "frames": _build_frames(board, search, chosen.get("group_by", "")),
        "waiting": [panel for panel in board.panels if panel.kind == "number"],
    }
    try:
        context["has_traces"] = has_any_trace(get_store(), project_id=request.project.id)
    except StoreError as error:
        return render(request, "dashboards/dashboard.html", context | {"store_error": str(error)}, status=503)
    return render(request, "dashboards/dashboard.html", context)


@dataclass(frozen=True)
class Frame:
    """Where a panel comes to stand. `src` is what fills it, `traces_href` leads to all of its traces.

    `title` names the metric that remains where the reader's grouping leaves one of several.
    """

    id: str
    panel: Panel
    title: str
    grouping: str
    src: str
    csv: str
    traces_href: str


def _build_frames(board: Board, search: Search, chosen: str) -> list[Frame]:
    """Return a frame for each panel that is no number; `search` is that of the page, with what else is chosen."""
    frames = []
    for index, panel in enumerate(board.panels):
        if panel.kind == "number":
            continue
        try:
            text = join_queries(search.text, panel.query)
            text = find_traces_query(panel.metrics[0], text, parse_query(text), "", "") if len(panel.metrics) == 1 else text
        except QueryError:  # of a panel made before the language changed; the panel itself says so
            text = search.text
        address = {"slug": board.slug, "index": index}
        frames.append(
            Frame(
                id=f"panel-{index}",
                panel=panel,
                title=_title(panel, chosen),
                grouping=panel.grouping(chosen),
                src=reverse("dashboard-panel", kwargs=address) + search.href,
                csv=reverse("dashboard-csv", kwargs=address) + search.href,
                traces_href=reverse("trace-list") + replace(search, extra={}).querystring(q=text),
            )
        )
    return frames


def _title(panel: Panel, chosen: str) -> str:
    if len(panel.metrics) == 1 or panel.group_by or not chosen or panel.kind == "table" or panel.metrics[0] not in MEASURES:
        return panel.title
    return find_measure(panel.metrics[0]).label


@fragment_of("dashboard", "slug")
@require_GET
def dashboard_tiles(request: PageRequest, slug: str) -> HttpResponse:
    """The row of numbers on top, and the models whose cost is not known."""
    board = _get_board(request, slug)
    panels = [panel for panel in board.panels if panel.kind == "number"]
    try:
        search = parse_search(request.GET)
        scope = _whole_scope(request, search)
        tiles = build_tiles(panels, scope, _read_values(request))
        shows_cost = any("cost" in name for panel in board.panels for name in panel.metrics)
        count = _read_values(request)(["requests"], search.query, scope.time_range)["requests"]
        unpriced = (
            find_unpriced_models(get_store(), project_id=request.project.id, time_range=scope.time_range, query=search.query)
            if shows_cost
            else []
        )
    except (SearchRefused, QueryError, StoreError) as error:
        return render(request, "dashboards/_dashboard_tiles.html", {"problem": str(error)})
    links = [(tile, _traces_href(search, tile.query, scope)) for tile in tiles]
    context = {"tiles": links, "unpriced": unpriced, "search": search, "nothing_matches": not count}
    return render(request, "dashboards/_dashboard_tiles.html", context)


@fragment_of("dashboard", "slug")
@require_GET
def dashboard_panel(request: PageRequest, slug: str, index: int) -> HttpResponse:
    """One panel: a chart as JSON for dashboards/charts.js, a table as HTML."""
    return answer_panel(request, _get_panel(request, slug, index))


def answer_panel(request: PageRequest, panel: Panel) -> HttpResponse:
    """Answer with what a panel shows; what goes wrong is a sentence that stands in its place."""
    try:
        search = parse_search(request.GET)
        if panel.kind == "table":
            scope = _whole_scope(request, search)
            table = build_table(panel, scope, _read_metric(request))
            rows = [(row, _traces_href(search, row.query, scope)) for row in table.rows]
            context = {"table": table, "rows": rows, "compares": scope.compares, "grouping": panel.grouping(scope.chosen)}
            context["empty"] = empty_sentence(panel, scope)
            return render(request, "dashboards/_dashboard_table.html", context)
        scope = _time_scope(request, search) if panel.kind in OVER_TIME else _whole_scope(request, search)
        return JsonResponse(build_chart(panel, scope, _read_metric(request)))
    except (SearchRefused, QueryError, MetricError, StoreError) as error:
        if panel.kind == "table":
            return render(request, "dashboards/_dashboard_table.html", {"problem": str(error)})
        return JsonResponse({"error": {"message": str(error)}}, status=503 if isinstance(error, StoreError) else 422)


def answer_tile(request: PageRequest, panel: Panel) -> HttpResponse:
    """A single number."""
    try:
        search = parse_search(request.GET)
        scope = _whole_scope(request, search)
        tiles = build_tiles([panel], scope, _read_values(request))
    except (SearchRefused, QueryError, StoreError) as error:
        return render(request, "dashboards/_dashboard_tiles.html", {"problem": str(error)})
    links = [(tile, _traces_href(search, tile.query, scope)) for tile in tiles]
    return render(request, "dashboards/_dashboard_tiles.html", {"tiles": links, "search": search})


@require_GET
def dashboard_csv(request: PageRequest, slug: str, index: int) -> HttpResponseBase:
    """What a panel shows, as a file: raw values with their unit in the header."""
    panel = _get_panel(request, slug, index)
    try:
        search = parse_search(request.GET)
        scope = _time_scope(request, search) if panel.kind in OVER_TIME else _whole_scope(request, search)
        rows = build_csv(panel, scope, _read_metric(request))
    except (SearchRefused, QueryError, MetricError, StoreError) as error:
        status = 503 if isinstance(error, StoreError) else 422
        return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=status)
    response = StreamingHttpResponse(without_blocking(_write_csv(rows)), content_type="text/csv; charset=utf-8")
    name = f"{slug}-{slugify(panel.title)[:60] or index}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_GET
def version_markers(request: PageRequest) -> JsonResponse:
    """{"markers": [{"version", "at_ms"}]}: when versions were seen first, oldest first."""
    try:
        search = parse_search(request.GET)
        time_range, _ = chart_range(search.time_range)
        found = find_first_seen(get_store(), project_id=request.project.id, time_range=time_range, query=search.query)
    except (SearchRefused, StoreError) as error:
        return JsonResponse({"error": {"message": str(error)}}, status=503 if isinstance(error, StoreError) else 422)
    return JsonResponse({"markers": [{"version": seen.version, "at_ms": seen.first_ns / 1e6} for seen in reversed(found)]})


def read_choices(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of CHOICES that are chosen."""
    given = {name: request.GET.get(name, "") for name in CHOICES}
    return {name: value for name, value in given.items() if value in CHOICES[name]}


def _get_board(request: PageRequest, slug: str) -> Board:
    board = find_board(request.project, request.user, slug)
    if board is None:
        raise Http404(f"There is no dashboard {slug}.")
    return board


def _get_panel(request: PageRequest, slug: str, index: int) -> Panel:
    panels = _get_board(request, slug).panels
    if index >= len(panels):
        raise Http404(f"There is no panel {index} on this dashboard.")
    return panels[index]


def _time_scope(request: PageRequest, search: Search) -> Scope:
    time_range, step_s = chart_range(search.time_range)
    return _scope(request, search, time_range, step_s)


def _whole_scope(request: PageRequest, search: Search) -> Scope:
    return _scope(request, search, whole_range(search.time_range), _WHOLE_STEP_S)


def _scope(request: PageRequest, search: Search, time_range: TimeRange, step_s: int) -> Scope:
    chosen = read_choices(request)
    return Scope(search.text, time_range, step_s, chosen.get("group_by", ""), "compare" in chosen)


def _read_metric(request: PageRequest) -> Any:
    def read(metric: str, group_by: str, query: Query, time_range: TimeRange, step_s: int, most: int) -> list[Series]:
        return metric_series(
            get_store(), project_id=request.project.id, time_range=time_range, query=query, metric=metric, group_by=group_by,
            step_s=step_s, max_groups=most,
        )  # fmt: skip

    return read


def _read_values(request: PageRequest) -> Any:
    def read(metrics: Sequence[str], query: Query, time_range: TimeRange) -> Mapping[str, float | None]:
        return metric_values(get_store(), project_id=request.project.id, time_range=time_range, query=query, metrics=metrics)

    return read


def _traces_href(search: Search, query: str, scope: Scope) -> str:
    """The list of exactly the traces that were counted: those of the query between two moments."""
    start, end = format_time_ns(scope.time_range.start_ns), format_time_ns(scope.time_range.end_ns)
    return search.querystring(q=query, start=start, end=end)


def _write_csv(rows: Iterator[list[Any]]) -> Iterator[bytes]:
    """Yield lines; text never becomes a formula, times are RFC 3339 in UTC."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for number, row in enumerate(rows):
        times = [format_time_ns(cell) if number else cell for cell in row[:2]]
        writer.writerow([*times, *(defuse(cell) if isinstance(cell, str) else cell for cell in row[2:])])
        if number % _CSV_ROWS == _CSV_ROWS - 1:
            yield take(buffer)
    yield take(buffer)
