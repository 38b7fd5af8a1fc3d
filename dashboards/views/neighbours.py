"""The previous and the next trace of the list that a person came from, on the page of a trace."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.search.query_string import SearchRefused, parse_search
from dashboards.trace_list.columns import read_listing, trace_params
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.queries.traces import find_neighbours, get_trace_summary
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest


@fragment_of("trace-detail", "trace_id")
@require_GET
def trace_neighbours(request: PageRequest, trace_id: str) -> HttpResponse:
    """The two links, or the sentences in their place at the ends of the list or where it cannot be read."""
    store, project_id = get_store(), request.project.id
    listing = read_listing(request.GET, {})
    try:
        search = parse_search(request.GET)
        start_ns = get_trace_summary(store, project_id=project_id, trace_id=trace_id.lower()).start_ns
        before, after = find_neighbours(
            store, project_id=project_id, time_range=search.time_range, query=search.query, sort=listing.sort,
            start_ns=start_ns, trace_id=trace_id.lower(),
        )  # fmt: skip
    except (SearchRefused, StoreError, TraceNotFound) as error:
        return render(request, "dashboards/_trace_neighbours.html", {"problem": str(error)})
    context = {"before": before, "after": after, "trace_params": trace_params(search, listing)}
    return render(request, "dashboards/_trace_neighbours.html", context)
