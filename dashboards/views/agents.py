"""The agent graph of many traces: the page, and the drawing that it loads."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.agents.graph import FAILING_FROM, MEASURES, MOST_ROWS, against_querystring, draw, find_measure, quick_comparisons
from dashboards.refusal import render_failed
from dashboards.search.query_string import Draft, Problem, Search, SearchRefused, parse_search
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language.fields import FIELDS
from tracestore.mapping import build_tool_signals
from tracestore.queries.agents import MAX_PAIRS, MAX_SPANS, MAX_STEPS_ABOVE, find_agent_graph
from tracestore.queries.traces import has_any_trace
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest


@require_GET
def agent_graph(request: PageRequest) -> HttpResponse:
    """`?q=&start=&end=`, compared with the traces of `against` (a query over the same time) by the measure `by`."""
    try:
        search, against = _read(request)
    except SearchRefused as refused:
        context = {"search": refused.draft, "fields": FIELDS, "against_text": request.GET.get("against", "")}
        return render(request, "dashboards/agents.html", context, status=422)
    measure = find_measure(request.GET.get("by", ""))
    text = against.text if against else ""
    context = {
        "search": search,
        "against_text": text,
        "measure": measure,
        "measures": [(item, against_querystring(search, text, item.name)) for item in MEASURES],
        "comparisons": quick_comparisons(search),
        "graph_query": against_querystring(search, text, measure.name),
        "without_against": search.href,
    }
    return render(request, "dashboards/agents.html", context)


@fragment_of("agent-graph")
@require_GET
def agent_graph_drawing(request: PageRequest) -> HttpResponse:
    """The drawing and its tables; what cannot be computed says so in their place."""
    try:
        store, project_id = get_store(), request.project.id
        search, against = _read(request)
        read_signal = build_tool_signals(project_id)
        graphs = [
            find_agent_graph(
                store, project_id=project_id, time_range=search.time_range, query=side.query, read_signal=read_signal
            ) if side else None
            for side in (search, against)
        ]  # fmt: skip
        has_no_traces = not any(graph and graph.trace_count for graph in graphs) and not has_any_trace(
            store, project_id=project_id
        )
    except (SearchRefused, StoreError) as error:
        return render_failed(request, error)
    graph, before = graphs
    assert graph is not None
    drawing = draw(search, graph, before, against.text if against else "", find_measure(request.GET.get("by", "")))
    context = {
        "search": search,
        "drawing": drawing,
        "has_no_traces": has_no_traces,
        "max_pairs": MAX_PAIRS,
        "max_spans": MAX_SPANS,
        "steps_above": MAX_STEPS_ABOVE,
        "failing_from": FAILING_FROM,
        "most_rows": MOST_ROWS,
    }
    return render(request, "dashboards/_agent_graph.html", context)


def _read(request: PageRequest) -> tuple[Search, Search | None]:
    """Return the search and what it is compared with, over the same range. Raises SearchRefused."""
    search = parse_search(request.GET)
    text = request.GET.get("against", "").strip()
    if not text:
        return search, None
    try:
        against = parse_search({"q": text, "start": str(search.time_range.start_ns), "end": str(search.time_range.end_ns)})
    except SearchRefused as refused:
        problems = tuple(
            Problem("against", f"Compare with: {problem.message}", suggestion=problem.suggestion)
            for problem in refused.draft.problems
        )
        raise SearchRefused(Draft(search.text, search.start, search.end, problems)) from None
    return search, against
