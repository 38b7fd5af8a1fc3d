"""The page "Compare", and the fragment that holds its answer."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.comparing.cohorts import (
    CompareSearch,
    Elsewhere,
    build_compare,
    build_elsewhere,
    choose_versions,
    longer_ranges,
    parse_compare,
    version_options,
)
from dashboards.refusal import render_failed
from dashboards.search.query_string import SearchRefused
from dashboards.views.setup import find_newest_trace
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.queries.cohort_tools import compare_tools
from tracestore.queries.cohorts import compare_cohorts, find_cohort_differences
from tracestore.queries.versions import find_service_versions
from tracestore.timerange import TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_VERSIONS = 50


@require_GET
def compare(request: PageRequest) -> HttpResponse:
    """The page; its answer loads itself. Without queries it offers two versions."""
    texts = {"a": request.GET.get("a", ""), "b": request.GET.get("b", "")}
    try:
        asked = parse_compare(request.GET)
    except SearchRefused as refused:
        return render(request, "dashboards/compare.html", texts | {"search": refused.draft}, status=422)
    context: dict[str, Any] = {"search": asked.search, "asked": asked, "is_asked": any(text.strip() for text in texts.values())}
    context["longer_ranges"] = longer_ranges(asked.search)
    return render(request, "dashboards/compare.html", texts | context | _find_versions(request, asked.search.time_range, texts))


def _find_versions(request: PageRequest, time_range: TimeRange, texts: dict[str, str]) -> dict[str, Any]:
    """The choices of the two pickers: at first the two newest versions of a service, and none where no two are alternatives.

    A picker is a courtesy.
    """
    try:
        values = find_service_versions(get_store(), project_id=request.project.id, time_range=time_range, limit=_VERSIONS)
    except StoreError:
        return {}
    chosen = choose_versions(values)
    if len(values) < 2:
        return {"only_version": values[0] if values else None}
    first, second = chosen or ("", "")
    return {
        "has_alternatives": chosen is not None,
        "a_versions": version_options(values, texts["a"] or first),
        "b_versions": version_options(values, texts["b"] or second),
    }


@fragment_of("compare")
@require_GET
def compare_answer(request: PageRequest) -> HttpResponse:
    """The numbers, as a fragment; what goes wrong is a sentence in their place."""
    try:
        asked = parse_compare(request.GET)
        store, project_id, time_range = get_store(), request.project.id, asked.search.time_range
        a, b = asked.search.query, asked.b
        cohorts = compare_cohorts(store, project_id=project_id, time_range=time_range, a=a, b=b)
        tools = compare_tools(store, project_id=project_id, time_range=time_range, a=a, b=b)
        comparison = find_cohort_differences(store, project_id=project_id, time_range=time_range, a=a, b=b)
        elsewhere = _find_elsewhere(request, asked) if not cohorts.a_traces or not cohorts.b_traces else None
    except (SearchRefused, StoreError) as error:
        return render_failed(request, error)
    answer = build_compare(asked, cohorts, tools, comparison)
    context = {"search": asked.search, "asked": asked, "answer": answer, "elsewhere": elsewhere}
    return render(request, "dashboards/_compare_answer.html", context)


def _find_elsewhere(request: PageRequest, asked: CompareSearch) -> Elsewhere:
    a, b = (find_newest_trace(get_store(), project_id=request.project.id, query=query) for query in (asked.search.query, asked.b))
    return build_elsewhere(asked, a.start_ns if a else None, b.start_ns if b else None, time.time_ns())
