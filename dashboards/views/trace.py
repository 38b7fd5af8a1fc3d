"""The trace page."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.reviews import find_reviews
from dashboards.text import split_stacktrace
from dashboards.trace.logs import build_log_rows, is_told_by, read_scores
from dashboards.views.parts import LOG_LIMIT
from dashboards.views.span import find_span, find_standing_scores, list_range, panel_context, try_locating_logs
from dashboards.views.trace_tabs import SPAN_LIMIT
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.completeness import find_completeness
from tracestore.model import Outcome, Span, Trace, TraceSummary
from tracestore.queries.logs import LogLocation, count_agent_events, find_logs_of_no_step
from tracestore.queries.messages import find_messages, name_of
from tracestore.queries.spans import find_trace_times
from tracestore.queries.traces import get_trace_summary
from tracestore.queries.tree import find_ancestors
from tracestore.semconv.scores import EVALUATION_EVENT, REVIEW
from tracestore.summary.outcomes import OUTCOME_RULES
from tracestore.timerange import TimeRange
from tracestore.web.requests import PageRequest

PATH_STEPS = 3
VIEWS = {
    "transcript": "Transcript", "tree": "Tree", "timeline": "Timeline", "graph": "Graph", "raw": "Raw", "logs": "Logs",
}  # fmt: skip
AGENT_VIEW = "transcript"
_LIST_PARAMS = ("q", "start", "end", "sort")  # as the list has them


@require_GET
def trace_detail(request: PageRequest, trace_id: str) -> HttpResponse:
    """The page. `?span=` selects a step, without it the failing one is, else the root; `?view=` chooses a tab."""
    try:
        context = _read_page(request, trace_id.lower(), request.GET.get("span", "").lower())
    except TraceNotFound:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id}, status=404)
    except StoreError as error:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id, "store_error": str(error)}, status=503)
    kept = {name: request.GET[name] for name in _LIST_PARAMS if request.GET.get(name)}
    return render(request, "dashboards/trace_detail.html", context | {"list_params": f"?{urlencode(kept)}" if kept else ""})


def _read_page(request: PageRequest, trace_id: str, requested: str) -> dict[str, object]:
    store, project_id = get_store(), request.project.id
    # Once for all reads of the page.
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    # Side by side: each takes one core 15 to 20 ms.
    with ThreadPoolExecutor(max_workers=2) as beside:
        locating = beside.submit(try_locating_logs, request, trace_id)
        summary = get_trace_summary(store, project_id=project_id, trace_id=trace_id, time_range=time_range)
        trace = Trace(summary, [], truncated=True)
        judging = beside.submit(find_completeness, store, project_id=project_id, trace=trace, time_range=time_range)
        reviewing = beside.submit(_find_reviews, request, summary)
        selected_id = requested or summary.failing_span_id or summary.root_span_id
        selected = find_span(request, trace_id, selected_id, time_range)
        located, completeness, reviews = locating.result(), judging.result(), reviewing.result()
    panel = panel_context(request, trace_id, selected_id, selected, located)
    failure: dict[str, object] = {}
    if summary.outcome == Outcome.ERROR:
        failing = selected
        if selected_id != summary.failing_span_id:
            failing = find_span(request, trace_id, summary.failing_span_id, time_range)
        failure = _failure_context(request, summary, failing, time_range)
    said = find_messages(store, project_id=project_id, trace_id=trace_id, names=[summary.name])
    return {
        "summary": summary,
        "name": said.get(summary.root_span_id, summary.name),
        "rule": OUTCOME_RULES.get(summary.outcome_rule, ""),
        "completeness": completeness,
        "span_limit": SPAN_LIMIT,
        **failure,
        "failed": summary.outcome == Outcome.ERROR,
        "views": VIEWS.items(),
        "view": choose_view(request.GET.get("view", ""), summary),
        "selected_id": selected_id,
        "record": request.GET.get("record", ""),
        **_trace_logs(request.project.id, located, summary),
        **reviews,
        **panel,
        "list_range": list_range(summary.start_ns, time.time_ns()),
    }


def _find_reviews(request: PageRequest, summary: TraceSummary) -> dict[str, object]:
    """Return what people said about the trace, or why that cannot be told, and whether the reader may say something."""
    reader = request.user.get_username()
    context: dict[str, object] = {"reader": reader, "can_review": bool(reader) or not settings.KEY_REQUIRED}
    try:
        return context | {"reviews": find_reviews(request.project.id, summary, reader)}
    except StoreError as error:
        return context | {"reviews_error": str(error)}


def _failure_context(
    request: PageRequest, summary: TraceSummary, failing: Span | None, time_range: TimeRange
) -> dict[str, object]:
    """Return what the page says of the failing step, and of the steps above it."""
    if failing is None:
        return {"failing": None, "failing_message": split_stacktrace(summary.error_message)[0]}
    step = failing.summary
    # A step that is only the last to arrive has no part in the error of another.
    message = step.error_message or (summary.error_message if step.is_error else "")
    path = find_ancestors(
        get_store(), project_id=request.project.id, trace_id=summary.trace_id, span_id=step.span_id, limit=PATH_STEPS,
        time_range=time_range,
    )  # fmt: skip
    names = [name for _, name in path]
    said = find_messages(get_store(), project_id=request.project.id, trace_id=summary.trace_id, names=names)
    return {
        "failing": step,
        "failing_name": name_of(failing),
        "failing_message": split_stacktrace(message)[0],
        "failing_path": [(span_id, said.get(span_id, name)) for span_id, name in path],
    }


def choose_view(requested: str, summary: TraceSummary) -> str:
    """Return the view to open: the one asked for, else the transcript for the run of an agent, else the tree."""
    if requested in VIEWS:
        return requested
    return AGENT_VIEW if summary.agents or summary.llm_calls else "tree"


def _trace_logs(project_id: int, located: LogLocation | str, summary: TraceSummary) -> dict[str, object]:
    """Return what the page shows of records that belong to the trace and to none of its steps."""
    if isinstance(located, str):
        return {"trace_logs_error": located}
    try:
        page = find_logs_of_no_step(get_store(), located, limit=LOG_LIMIT)
        events = count_agent_events(get_store(), located)
        records = [record for record in page.items if not is_told_by(record, REVIEW)]  # the page has a place for these
        scores = find_standing_scores(project_id, summary.trace_id, summary.session_id, read_scores(None, records))
    except StoreError as error:
        return {"trace_logs_error": str(error)}
    return {
        "trace_logs": build_log_rows(records, summary.start_ns),
        "has_more_trace_logs": bool(page.next_cursor),
        "trace_scores": scores,
        "are_all_scores": bool(scores) and all(record.event_name == EVALUATION_EVENT for record in records),
        "agent_events": events,
    }
