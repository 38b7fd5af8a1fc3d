"""The page "Why", and the fragment that holds its answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from dashboards.comparing.why import build_answer, build_attributes
from dashboards.comparing.why_search import WhySearch, parse_why
from dashboards.refusal import render_failed
from dashboards.search.query_string import SearchRefused
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import find_differences
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest


@require_GET
def why(request: PageRequest) -> HttpResponse:
    """The page; its answer loads itself. Without a query it asks about the failing traces."""
    if not any(request.GET.get(name, "").strip() for name in ("q", "selected_from", "selected_to")):
        parameters = request.GET.copy()
        parameters["q"] = "status:error"
        return redirect(f"{request.path}?{parameters.urlencode()}")
    try:
        asked = parse_why(request.GET)
    except SearchRefused as refused:
        return render(
            request, "dashboards/why.html", {"search": refused.draft, "against": request.GET.get("against", "")}, status=422
        )
    return render(request, "dashboards/why.html", {"search": asked.search, "why": asked, "against": asked.against_text})


@fragment_of("why")
@require_GET
def why_answer(request: PageRequest) -> HttpResponse:
    """What is different, as a fragment; what goes wrong is a sentence in its place."""
    try:
        asked = parse_why(request.GET)
        comparison = find_differences(get_store(), **_scope(request, asked))
    except (SearchRefused, StoreError) as error:
        return render_failed(request, error)
    context = {"search": asked.search, "why": asked, "answer": build_answer(asked, comparison)}
    return render(request, "dashboards/_why_answer.html", context)


@fragment_of("why")
@require_GET
def why_attributes(request: PageRequest) -> HttpResponse:
    """The attributes of spans, as a fragment of its own: they take longer than all the rest."""
    try:
        asked = parse_why(request.GET)
        comparison = compare_attributes(get_store(), **_scope(request, asked))
    except (SearchRefused, StoreError) as error:
        return render_failed(request, error)
    context = {"search": asked.search, "answer": build_attributes(asked, comparison)}
    return render(request, "dashboards/_why_attributes.html", context)


def _scope(request: PageRequest, asked: WhySearch) -> dict[str, Any]:
    """What both comparisons are of."""
    return {
        "project_id": request.project.id,
        "time_range": asked.search.time_range,
        "selection": asked.selection,
        "against": asked.against,
    }
