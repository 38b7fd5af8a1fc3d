"""The trace list: the page, and the fragments that fill it in after the table is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.facets import FACETS, build_condition_chips, build_facet_rows, build_preset_chips, find_facet
from dashboards.forms import Search, SearchRefused, parse_search
from dashboards.requests import PageRequest
from dashboards.search_bar import answer_typing
from dashboards.views.setup import build_setup, find_newest_trace
from dashboards.volume import BUCKETS, HEIGHT, build_volume
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import parse_query
from tracestore.language.fields import FIELDS
from tracestore.model import FacetValue, Page, TraceSummary
from tracestore.queries.facets import count_facet
from tracestore.queries.metrics import metric_series
from tracestore.queries.offers import Wanted, count_offers
from tracestore.queries.paging import CursorError
from tracestore.queries.traces import find_traces, has_any_trace
from tracestore.timerange import NS_PER_S, TimeRange, format_time_ns

PAGE_SIZE = 50
# Counting stops here: the pill then says "50+".
_MAX_NEW = 50
_COMPLETION_VALUES = 200
_PRESET_NS = {"now-15m": 900, "now-1h": 3600, "now-6h": 21_600, "now-24h": 86_400, "now-7d": 604_800, "now-30d": 2_592_000}

PageView = Callable[[PageRequest], HttpResponse]


def _fragment(view: PageView) -> PageView:
    """A fragment that cannot be computed says so in its own place and leaves the rest of the page alone."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest) -> HttpResponse:
        try:
            return view(request)
        except (SearchRefused, StoreError) as error:
            return render(request, "dashboards/_fragment_error.html", {"message": str(error)})

    return guarded


@require_GET
@vary_on_headers("HX-Request")
def trace_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx the rows that follow `cursor`."""
    try:
        search = parse_search(request.GET)
    except SearchRefused as refused:
        return render(request, "dashboards/trace_list.html", {"search": refused.draft, "fields": FIELDS}, status=422)
    context = {"search": search, "facets": FACETS, "presets": build_preset_chips(search), "live_ns": search.time_range.end_ns}
    try:
        page = find_traces(
            get_store(),
            project_id=request.project.id,
            time_range=search.time_range,
            query=search.query,
            limit=PAGE_SIZE,
            cursor=request.GET.get("cursor", ""),
        )
    except CursorError:
        return HttpResponseBadRequest("The cursor is not one that this list gave out.")
    except StoreError as error:
        return render(request, "dashboards/trace_list.html", context | {"store_error": str(error)}, status=503)
    if request.htmx:
        return render(request, "dashboards/_trace_rows.html", {"search": search, "page": page})
    context |= {"page": page, "newest_ns": page.items[0].start_ns if page.items else search.time_range.start_ns}
    if not page.items:
        context |= _explain_emptiness(request, search)
    return render(request, "dashboards/trace_list.html", context)


def _explain_emptiness(request: PageRequest, search: Search) -> dict[str, object]:
    """Tell an instance without any trace from filters that match none, and find where the traces are."""
    store, project_id = get_store(), request.project.id
    if not has_any_trace(store, project_id=project_id):
        return {"setup": build_setup(request)}
    match = find_newest_trace(store, project_id=project_id, query=search.query)
    newest = match or find_newest_trace(store, project_id=project_id, query=parse_query(""))
    if newest is None:  # spans are there, the first summary is not
        return {"setup": build_setup(request)}
    return {
        "conditions": build_condition_chips(search),
        "matches_elsewhere": match is not None,
        "newest": newest,
        "widened_href": widened_href(search, newest.start_ns, time.time_ns()),
        "all_href": search.querystring(q=""),
    }


def widened_href(search: Search, start_ns: int, now_ns: int) -> str:
    """The smallest preset range that holds `start_ns`, else the two hours around it."""
    for start, seconds in _PRESET_NS.items():
        if now_ns - seconds * NS_PER_S < start_ns < now_ns:
            return search.querystring(start=start, end="")
    hour_ns = 3600 * NS_PER_S
    return search.querystring(start=format_time_ns(max(0, start_ns - hour_ns)), end=format_time_ns(start_ns + hour_ns))


@_fragment
def trace_facets(request: PageRequest) -> HttpResponse:
    """One group of the sidebar: the values of `field` among the traces that match the rest of the query."""
    search = parse_search(request.GET)
    facet = find_facet(request.GET.get("field", ""))
    if facet is None:
        return HttpResponseBadRequest("There is no such facet.")
    values = count_facet(
        get_store(),
        project_id=request.project.id,
        time_range=search.time_range,
        query=search.query,
        field=facet.field,
    )
    rows = build_facet_rows(search, facet.field, values)
    return render(request, "dashboards/_facet_values.html", {"facet": facet, "rows": rows})


@_fragment
def trace_volume(request: PageRequest) -> HttpResponse:
    """Requests and failures over the range."""
    search = parse_search(request.GET)
    step_s = search.time_range.step_s(BUCKETS)
    counts = {
        metric: [
            (start_ns, int(value or 0))
            for start_ns, value in metric_series(
                get_store(),
                project_id=request.project.id,
                time_range=search.time_range,
                query=search.query,
                metric=metric,
                step_s=step_s,
            )[0].points
        ]
        for metric in ("requests", "failures")
    }
    volume = build_volume(search, step_s, counts["requests"], counts["failures"])
    return render(request, "dashboards/_trace_volume.html", {"search": search, "volume": volume, "height": HEIGHT})


@_fragment
def trace_new(request: PageRequest) -> HttpResponse:
    """How many matching traces began after `since` (ns): the list does not move under its reader, it offers to."""
    search = parse_search(request.GET)
    since = request.GET.get("since", "")
    if not (since.isascii() and since.isdigit()) or len(since) > 19:
        return HttpResponseBadRequest("since must be Unix nanoseconds.")
    found: Page[TraceSummary] = Page([])
    # A clock ahead of ours may have stamped the newest trace: then there is nothing to ask for yet.
    if int(since) + 1 < search.time_range.end_ns:
        found = find_traces(
            get_store(),
            project_id=request.project.id,
            time_range=TimeRange(int(since) + 1, search.time_range.end_ns),
            query=search.query,
            limit=_MAX_NEW,
        )
    context = {"search": search, "newest_ns": int(since), "new_count": len(found.items), "has_more": bool(found.next_cursor)}
    return render(request, "dashboards/_trace_new.html", context)


@require_GET
def trace_complete(request: PageRequest) -> JsonResponse:
    """What the search bar may offer at `cursor`, and what is wrong with the query: see `answer_typing`."""
    return answer_typing(request, _count_offers)


def _count_offers(request: PageRequest, time_range: TimeRange, wanted: Wanted) -> list[FacetValue]:
    return count_offers(
        get_store(), project_id=request.project.id, time_range=time_range, wanted=wanted, limit=_COMPLETION_VALUES
    )
