"""The data quality page."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.quality import Report, build_report
from dashboards.search.query_string import SearchRefused, parse_search
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.web.requests import PageRequest


@require_GET
@vary_on_headers("HX-Request")
def data_quality(request: PageRequest) -> HttpResponse:
    """The page, or to htmx what it says; `start` and `end` say which arrivals it is about."""
    try:
        search = parse_search(request.GET)
    except SearchRefused as refused:
        return render(request, "dashboards/quality.html", {"search": refused.draft}, status=422)
    if not request.htmx:
        tiles = [tile.label for tile in Report([], []).tiles]
        return render(request, "dashboards/quality.html", {"search": search, "tiles": tiles})
    try:
        report = build_report(get_store(), project_id=request.project.id, time_range=search.time_range)
    except StoreError as error:
        return render(request, "dashboards/_quality_report.html", {"store_error": str(error)})
    return render(request, "dashboards/_quality_report.html", {"report": report})
