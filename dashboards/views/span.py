"""One step: its panel, and what of it can be read alone. step.py has what the panel loads by itself."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from dashboards.trace.logs import Score, find_record_text
from dashboards.trace.step_panel import Panel, build_panel, find_referenced_text, format_raw
from dashboards.views.parts import LOG_LIMIT, answer_text, part_view
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.model import LogRecord, Page, Span
from tracestore.queries.logs import LogLocation, find_logs_of_step, get_log_record, locate_logs
from tracestore.queries.messages import name_of
from tracestore.queries.scores import find_places
from tracestore.queries.spans import get_span
from tracestore.timerange import DAY_NS, TimeRange, format_time_ns
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_NO_LOGS: Page[LogRecord] = Page([])


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@part_view
def span_detail(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """The panel of one step."""
    span = find_span(request, trace_id, span_id)
    context = panel_context(request, trace_id, span_id, span, try_locating_logs(request, trace_id))
    return render(request, "dashboards/_span_panel.html", context, status=200 if context["panel"] else 404)


@part_view
def span_text(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """One text of a step whole and as sent, by the reference (`?ref=`) that its panel gave."""
    span = find_span(request, trace_id, span_id)
    if span is None:
        return answer_text(None)
    records, _ = _step_logs(span, try_locating_logs(request, trace_id))
    return answer_text(find_referenced_text(span, request.GET.get("ref", ""), records.items))


@part_view
def log_text(request: PageRequest, trace_id: str, record_id: str) -> HttpResponse:
    """One text of a log record whole and as sent, by the reference (`?ref=`) that its row gave."""
    try:
        record = get_log_record(get_store(), project_id=request.project.id, trace_id=trace_id, record_id=record_id)
    except TraceNotFound:
        return answer_text(None)
    return answer_text(find_record_text(record, request.GET.get("ref", "")))


@part_view
def span_json(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """The step as JSON, as a download."""
    span = find_span(request, trace_id, span_id)
    if span is None:
        return HttpResponse("There is no such span.", content_type="text/plain; charset=utf-8", status=404)
    body = format_raw(span).encode("utf-8", "backslashreplace")
    disposition = f'attachment; filename="span-{span.summary.span_id}.json"'
    return HttpResponse(body, content_type="application/json", headers={"Content-Disposition": disposition})


def panel_context(
    request: PageRequest, trace_id: str, span_id: str, span: Span | None, located: LogLocation | str
) -> dict[str, object]:
    """Return the context of _span_panel.html, also for a step that is not there (`span` is None)."""
    logs, logs_error = _step_logs(span, located) if span else (_NO_LOGS, "")
    panel: Panel | None = None
    if span is not None:
        panel = build_panel(span, logs.items, request.project.id)
        scores = find_standing_scores(request.project.id, trace_id, span.summary.session_id, panel.scores)
        panel = replace(panel, scores=scores)
    urls = {}
    if span is not None:
        urls = {
            name: reverse(name, args=[trace_id, span_id]) for name in ("span-text", "span-json", "span-image", "span-markdown")
        }
    start_ns = span.summary.start_ns if span else time.time_ns()
    return {
        "panel": panel,
        "step_name": name_of(span) if span else "",
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


def find_standing_scores(project_id: int, trace_id: str, session_id: str, scores: list[Score]) -> list[Score]:
    """Return those that still stand where they are told: what withdraws one, or tells it of another step, lies elsewhere."""
    if not scores:
        return scores
    ids = [score.score_id for score in scores]
    places = find_places(get_store(), project_id=project_id, trace_id=trace_id, session_id=session_id, score_ids=ids)

    def stands(score: Score) -> bool:
        if score.score_id not in places:
            return True
        place = places[score.score_id]
        return place is not None and score.span_id in (None, place)

    return [score for score in scores if stands(score)]


def list_range(start_ns: int, now_ns: int) -> str:
    """Return `&start=...&end=...` around a trace, for links to lists that must contain it; "" when the last day does."""
    if now_ns - start_ns < DAY_NS * 9 // 10:
        return ""
    return "&" + urlencode({"start": format_time_ns(start_ns - DAY_NS // 2), "end": format_time_ns(start_ns + DAY_NS // 2)})


def try_locating_logs(request: PageRequest, trace_id: str) -> LogLocation | str:
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


def find_span(request: PageRequest, trace_id: str, span_id: str, time_range: TimeRange | None = None) -> Span | None:
    try:
        return get_span(get_store(), project_id=request.project.id, trace_id=trace_id, span_id=span_id, time_range=time_range)
    except TraceNotFound:
        return None
