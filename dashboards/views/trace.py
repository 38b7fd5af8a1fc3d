"""The trace page, and the panel of one step that it loads: whole, as text, as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from dashboards.logs import build_log_rows, find_record_text, read_scores
from dashboards.requests import PageRequest
from dashboards.step_panel import Panel, build_panel, find_referenced_text, format_raw
from dashboards.text import split_stacktrace
from dashboards.waterfall import Row, Waterfall, build_waterfall, pack_rows
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.completeness import find_completeness
from tracestore.model import LogRecord, Outcome, Page, Span, TraceSummary
from tracestore.queries.events import find_event_marks
from tracestore.queries.logs import (
    LogLocation,
    count_agent_events,
    find_logs_of_no_step,
    find_logs_of_step,
    get_log_record,
    locate_logs,
)
from tracestore.queries.spans import get_span
from tracestore.queries.traces import get_trace
from tracestore.summary import OUTCOME_RULES
from tracestore.timerange import DAY_NS, format_time_ns

SPAN_LIMIT = 20_000
LOG_LIMIT = 100
_NO_LOGS: Page[LogRecord] = Page([])


@require_GET
def trace_detail(request: PageRequest, trace_id: str) -> HttpResponse:
    """The page. `?span=` selects a step; without it the failing one is, else the root."""
    try:
        context = _read_page(request, trace_id.lower(), request.GET.get("span", "").lower())
    except TraceNotFound:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id}, status=404)
    except StoreError as error:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id, "store_error": str(error)}, status=503)
    return render(request, "dashboards/trace_detail.html", context)


def _read_page(request: PageRequest, trace_id: str, requested: str) -> dict[str, object]:
    store, project_id = get_store(), request.project.id
    trace = get_trace(store, project_id=project_id, trace_id=trace_id, span_limit=SPAN_LIMIT)
    marks = find_event_marks(store, project_id=project_id, trace_id=trace_id)
    completeness = find_completeness(store, project_id=project_id, trace=trace)
    located = _locate_logs(request, trace_id)
    waterfall = build_waterfall(trace.spans)
    failing = waterfall.find_row(trace.summary.failing_span_id)
    failing_span = failing.span if failing else None
    failing_message = failing_span.error_message if failing_span else ""
    # A step that is only the last to arrive has no part in the error of another.
    if failing_span is None or failing_span.is_error:
        failing_message = failing_message or trace.summary.error_message
    selected_id = requested or choose_span(trace.summary, waterfall)
    return {
        "trace": trace,
        "summary": trace.summary,
        "rule": OUTCOME_RULES.get(trace.summary.outcome_rule, ""),
        "completeness": completeness,
        "waterfall": waterfall,
        "failing": failing,
        "failing_message": split_stacktrace(failing_message)[0],
        "failing_path": _name_path(waterfall, failing),
        "failed": trace.summary.outcome == Outcome.ERROR,
        "selected_id": selected_id,
        "is_detached": bool(requested) and waterfall.find_row(requested) is None,
        "rows": pack_rows(waterfall, marks),
        **_trace_logs(located, waterfall.start_ns),
        **_panel_context(request, trace_id, selected_id, located),
        "list_range": list_range(trace.summary.start_ns, time.time_ns()),
    }


View = Callable[..., HttpResponse]


def _span_view(view: View) -> View:
    """What a view about one step or record does when the store cannot answer."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest, **ids: str) -> HttpResponse:
        try:
            return view(request, **{name: value.lower() for name, value in ids.items()})
        except StoreError as error:
            return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)

    return guarded


@_span_view
@vary_on_headers("HX-Request")  # one URL, two answers: caches must not mix them
def span_detail(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """The panel of one step; opened by itself it leads to its page."""
    if not request.htmx:
        return redirect(reverse("trace-detail", args=[trace_id]) + "?" + urlencode({"span": span_id}))
    context = _panel_context(request, trace_id, span_id, _locate_logs(request, trace_id))
    return render(request, "dashboards/_span_panel.html", context, status=200 if context["panel"] else 404)


@_span_view
def span_text(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """One text of a step whole and as sent, by the reference (`?ref=`) that its panel gave."""
    span = _find_span(request, trace_id, span_id)
    if span is None:
        return _as_text(None)
    records, _ = _step_logs(span, _locate_logs(request, trace_id))
    return _as_text(find_referenced_text(span, request.GET.get("ref", ""), records.items))


@_span_view
def log_text(request: PageRequest, trace_id: str, record_id: str) -> HttpResponse:
    """One text of a log record whole and as sent, by the reference (`?ref=`) that its row gave."""
    try:
        record = get_log_record(get_store(), project_id=request.project.id, trace_id=trace_id, record_id=record_id)
    except TraceNotFound:
        return _as_text(None)
    return _as_text(find_record_text(record, request.GET.get("ref", "")))


def _as_text(text: str | None) -> HttpResponse:
    if text is None:
        return HttpResponse("There is no such text.", content_type="text/plain; charset=utf-8", status=404)
    return HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")


@_span_view
def span_json(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """The step as JSON, as a download."""
    span = _find_span(request, trace_id, span_id)
    if span is None:
        return HttpResponse("There is no such span.", content_type="text/plain; charset=utf-8", status=404)
    body = format_raw(span).encode("utf-8", "backslashreplace")
    disposition = f'attachment; filename="span-{span.summary.span_id}.json"'
    return HttpResponse(body, content_type="application/json", headers={"Content-Disposition": disposition})


def choose_span(summary: TraceSummary, waterfall: Waterfall) -> str:
    """Return the step to open on arrival: what failed, else the root, else the first; "" for an empty trace."""
    for span_id in (summary.failing_span_id, summary.root_span_id):
        if span_id and waterfall.find_row(span_id):
            return span_id
    return next((row.span_id for row in waterfall.rows if row.span is not None), "")


def list_range(start_ns: int, now_ns: int) -> str:
    """Return `&start=...&end=...` around a trace, for links to lists that must contain it; "" when the last day does."""
    if now_ns - start_ns < DAY_NS * 9 // 10:
        return ""
    return "&" + urlencode({"start": format_time_ns(start_ns - DAY_NS // 2), "end": format_time_ns(start_ns + DAY_NS // 2)})


def _name_path(waterfall: Waterfall, row: Row | None) -> list[Row]:
    """Return the nearest steps above this one, outermost first."""
    return [above for above in waterfall.find_ancestors(row) if above.span is not None][-3:] if row else []


def _panel_context(request: PageRequest, trace_id: str, span_id: str, located: LogLocation | str) -> dict[str, object]:
    span = _find_span(request, trace_id, span_id)
    logs, logs_error = _step_logs(span, located) if span else (_NO_LOGS, "")
    panel: Panel | None = build_panel(span, logs.items) if span else None
    urls = {}
    if span is not None:
        urls = {
            name: reverse(name, args=[trace_id, span_id]) for name in ("span-text", "span-json", "span-image", "span-markdown")
        }
    start_ns = span.summary.start_ns if span else time.time_ns()
    return {
        "panel": panel,
        "has_more_logs": bool(logs.next_cursor),
        "logs_error": logs_error,
        "trace_id": trace_id,
        "span_id": span_id,
        "text_url": urls.get("span-text", ""),
        "json_url": urls.get("span-json", ""),
        "image_url": urls.get("span-image", ""),
        "markdown_url": urls.get("span-markdown", ""),
        "list_range": list_range(start_ns, time.time_ns()),
    }


def _locate_logs(request: PageRequest, trace_id: str) -> LogLocation | str:
    """Return where the trace's log records lie, or why that cannot be told: the page is worth showing without them."""
    try:
        return locate_logs(get_store(), project_id=request.project.id, trace_id=trace_id)
    except (StoreError, TraceNotFound) as error:  # not found: deleted between two queries
        return str(error)


def _step_logs(span: Span, located: LogLocation | str) -> tuple[Page[LogRecord], str]:
    """Return the step's log records and, if they cannot be read, why."""
    if isinstance(located, str):
        return _NO_LOGS, located
    step = span.summary
    try:
        page = find_logs_of_step(get_store(), located, span_id=step.span_id, tool_call_id=step.tool_call_id, limit=LOG_LIMIT)
    except StoreError as error:
        return _NO_LOGS, str(error)
    return page, ""


def _trace_logs(located: LogLocation | str, start_ns: int) -> dict[str, object]:
    """Return what the page shows of records that belong to the trace and to none of its steps."""
    if isinstance(located, str):
        return {"trace_logs_error": located}
    try:
        page = find_logs_of_no_step(get_store(), located, limit=LOG_LIMIT)
        events = count_agent_events(get_store(), located)
    except StoreError as error:
        return {"trace_logs_error": str(error)}
    return {
        "trace_logs": build_log_rows(page.items, start_ns),
        "has_more_trace_logs": bool(page.next_cursor),
        "trace_scores": read_scores(None, page.items),
        "agent_events": events,
    }


def _find_span(request: PageRequest, trace_id: str, span_id: str) -> Span | None:
    try:
        return get_span(get_store(), project_id=request.project.id, trace_id=trace_id, span_id=span_id)
    except TraceNotFound:
        return None
