"""The trace list: the page, and the fragments that fill it in after the table is there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.refusal import refuse, render_failed
from dashboards.search.bar import answer_typing
from dashboards.search.query_string import Search, SearchRefused, parse_search, widen_range
from dashboards.trace_list.columns import Listing, build_heads, keep_listing, read_listing, sort_links, trace_params
from dashboards.trace_list.export import MAX_TRACES as MAX_EXPORTED
from dashboards.trace_list.facets import build_condition_chips, build_facet_rows, build_preset_chips, find_facet, reserve_rows
from dashboards.trace_list.volume import BUCKETS, HEIGHT, build_outliers, build_volume, find_strip_ends, wider_href
from dashboards.views.setup import build_setup, find_newest_trace
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import parse_query
from tracestore.language.fields import FIELDS
from tracestore.model import FacetValue, Page, TraceSummary
from tracestore.queries.facets import count_facet
from tracestore.queries.messages import name_traces
from tracestore.queries.metrics.series import metric_series
from tracestore.queries.offers import Wanted, count_offers
from tracestore.queries.outliers import find_outliers
from tracestore.queries.paging import CursorError
from tracestore.queries.scores import find_scores_of_traces
from tracestore.queries.traces import find_traces, find_updated_traces, has_any_trace
from tracestore.timerange import NS_PER_S, TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

PAGE_SIZE = 50
# Counting stops here: the pill then says "50+".
_MAX_NEW = 50
_COMPLETION_VALUES = 200
_MOST_SCORES = 20  # of a trace
_TAIL_OVERLAP_NS = 10 * NS_PER_S

PageView = Callable[[PageRequest], HttpResponse]


def _fragment(view: PageView) -> PageView:
    """A fragment that cannot be computed says so in its own place and leaves the rest of the page alone."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest) -> HttpResponse:
        try:
            return view(request)
        except (SearchRefused, StoreError) as error:
            return render_failed(request, error)

    return guarded


@require_GET
@vary_on_headers("HX-Request")
def trace_list(request: PageRequest) -> HttpResponse:
    """One URL: the whole page, or to htmx the rows that follow `cursor`."""
    listing = read_listing(request.GET, request.COOKIES)
    try:
        search = keep_listing(parse_search(request.GET), listing)
    except SearchRefused as refused:
        draft = keep_listing(refused.draft, listing)
        context: dict[str, object] = {"search": draft, "search_extra": draft.extra, "fields": FIELDS}
        return render(request, "dashboards/trace_list.html", context, status=422)
    context = _frame(request, search, listing)
    try:
        page = find_traces(
            get_store(),
            project_id=request.project.id,
            time_range=search.time_range,
            query=search.query,
            limit=PAGE_SIZE,
            cursor=request.GET.get("cursor", ""),
            sort=listing.sort,
        )
        page = _complete(request, page, listing)
    except CursorError:
        return refuse(request, "The cursor is not one that this list gave out.", "cursor")
    except StoreError as error:
        return render(request, "dashboards/trace_list.html", context | {"store_error": str(error)}, status=503)
    if request.htmx:
        return render(request, "dashboards/_trace_rows.html", _frame_rows(search, listing, page))
    newest_ns = max((trace.start_ns for trace in page.items), default=search.time_range.start_ns)
    # In another order the newest trace need not be on this page: only what begins from now on is new for sure.
    context |= _frame_rows(search, listing, page) | {
        "newest_ns": newest_ns if listing.is_default_order else search.time_range.end_ns
    }
    if not page.items:
        context |= _explain_emptiness(request, search)
    return render(request, "dashboards/trace_list.html", context)


def _complete(request: PageRequest, page: Page[TraceSummary], listing: Listing) -> Page[TraceSummary]:
    """Return the page with names as their messages say them and, where they are shown, with scores. Raises StoreError."""
    store, project_id = get_store(), request.project.id
    traces = name_traces(store, project_id=project_id, traces=page.items)
    if listing.shows_scores:
        scores = find_scores_of_traces(store, project_id=project_id, traces=traces, limit=_MOST_SCORES)
        traces = [replace(trace, scores=tuple(scores.get(trace.trace_id, ()))) for trace in traces]
    return replace(page, items=traces)


def _frame_rows(search: Search, listing: Listing, page: Page[TraceSummary]) -> dict[str, object]:
    return {"search": search, "listing": listing, "page": page, "trace_params": trace_params(search, listing)}


def _frame(request: PageRequest, search: Search, listing: Listing) -> dict[str, object]:
    """What stands around the rows."""
    return {
        "search": search,
        "search_extra": search.extra,
        "listing": listing,
        "heads": build_heads(search, listing),
        "sorts": sort_links(search, listing),
        "facets": reserve_rows(request.COOKIES.get("facet_rows", "")),
        "presets": build_preset_chips(search),
        "conditions": build_condition_chips(search),
        "all_href": search.querystring(q=""),
        "live_href": search.querystring(live="" if listing.is_live else "1", sort=""),
        "max_exported": MAX_EXPORTED,
        "strip_ends": find_strip_ends(search),
        "tail_since_ns": search.time_range.end_ns,
        "peek_id": _read_trace_id(request.GET.get("peek", "")),
        "peek_width": _read_peek_width(request.COOKIES.get("peek", "")),
    }


def _read_trace_id(text: str) -> str:
    """Return the id in lower case, "" for what is none."""
    return text.lower() if re.fullmatch(r"[0-9a-fA-F]{32}", text) else ""


def _read_peek_width(text: str) -> int:
    """Return the width of the preview in percent of the window, one of those that traces.css knows."""
    return int(text) if text in {str(width) for width in range(25, 75, 5)} else 50


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
        "matches_elsewhere": match is not None,
        "newest": newest,
        "widened_href": widened_href(search, newest.start_ns, time.time_ns()),
    }


def widened_href(search: Search, start_ns: int, now_ns: int) -> str:
    """The smallest preset range that holds `start_ns`, else the two hours around it."""
    start, end = widen_range(start_ns, start_ns, now_ns)
    return search.querystring(start=start, end=end)


@fragment_of("trace-list")
@_fragment
def trace_facets(request: PageRequest) -> HttpResponse:
    """One group of the sidebar: the values of `field` among the traces that match the rest of the query."""
    search = _read_search(request)
    facet = find_facet(request.GET.get("field", ""))
    if facet is None:
        return refuse(request, "There is no such filter.", "field")
    values = count_facet(
        get_store(),
        project_id=request.project.id,
        time_range=search.time_range,
        query=search.query,
        field=facet.field,
    )
    rows = build_facet_rows(search, facet.field, values)
    return render(request, "dashboards/_facet_values.html", {"facet": facet, "rows": rows})


@fragment_of("trace-list")
@_fragment
def trace_volume(request: PageRequest) -> HttpResponse:
    """Requests and failures over the range."""
    search = _read_search(request)
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
    context = {"search": search, "volume": volume, "height": HEIGHT, "wider_href": wider_href(search, time.time_ns())}
    return render(request, "dashboards/_trace_volume.html", context)


@fragment_of("trace-list")
@_fragment
def trace_outliers(request: PageRequest) -> HttpResponse:
    """The slowest and the dearest traces over the range."""
    search = _read_search(request)
    step_s = search.time_range.step_s(BUCKETS)
    buckets = find_outliers(
        get_store(), project_id=request.project.id, time_range=search.time_range, query=search.query, step_s=step_s
    )
    context = {"search": search, "strips": build_outliers(search, step_s, buckets), "height": HEIGHT}
    return render(request, "dashboards/_trace_outliers.html", context)


@fragment_of("trace-list")
@_fragment
def trace_tail(request: PageRequest) -> HttpResponse:
    """Rows whose summary was written since `since` (ns): new traces, and those that went on or ended, a page at a time."""
    since = _read_since(request)
    if since is None:
        return refuse(request, "since must be Unix nanoseconds.", "since")
    listing = read_listing(request.GET, request.COOKIES)
    search = keep_listing(parse_search(request.GET), listing)
    # A summary is stamped before it is stored: what another job stamped a moment earlier may only now be there.
    try:
        page = find_updated_traces(
            get_store(), project_id=request.project.id, time_range=search.time_range, query=search.query,
            since_ns=max(0, since - _TAIL_OVERLAP_NS), limit=PAGE_SIZE, cursor=request.GET.get("cursor", ""),
        )  # fmt: skip
    except CursorError:
        return refuse(request, "The cursor is not one that this list gave out.", "cursor")
    page = _complete(request, page, listing)
    context = _frame_rows(search, listing, page) | {"tail_ns": search.time_range.end_ns}
    return render(request, "dashboards/_trace_rows.html", context)


def _read_search(request: PageRequest) -> Search:
    """The search of a fragment, whose links keep what the list is shown with."""
    return keep_listing(parse_search(request.GET), read_listing(request.GET, request.COOKIES))


def _read_since(request: PageRequest) -> int | None:
    since = request.GET.get("since", "")
    return int(since) if since.isascii() and since.isdigit() and len(since) <= 19 else None


@fragment_of("trace-list")
@_fragment
def trace_new(request: PageRequest) -> HttpResponse:
    """How many matching traces began after `since` (ns): the list does not move under its reader, it offers to."""
    search = _read_search(request)
    since = _read_since(request)
    if since is None:
        return refuse(request, "since must be Unix nanoseconds.", "since")
    found: Page[TraceSummary] = Page([])
    # A clock ahead of ours may have stamped the newest trace: then there is nothing to ask for yet.
    if since + 1 < search.time_range.end_ns:
        found = find_traces(
            get_store(),
            project_id=request.project.id,
            time_range=TimeRange(since + 1, search.time_range.end_ns),
            query=search.query,
            limit=_MAX_NEW,
        )
    context = {"search": search, "newest_ns": since, "new_count": len(found.items), "has_more": bool(found.next_cursor)}
    return render(request, "dashboards/_trace_new.html", context)


@require_GET
def trace_complete(request: PageRequest) -> JsonResponse:
    """What the search bar may offer at `cursor`, and what is wrong with the query: see `answer_typing`."""
    return answer_typing(request, _count_offers)


def _count_offers(request: PageRequest, time_range: TimeRange, wanted: Wanted) -> list[FacetValue]:
    return count_offers(
        get_store(), project_id=request.project.id, time_range=time_range, wanted=wanted, limit=_COMPLETION_VALUES
    )
