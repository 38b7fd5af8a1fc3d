"""What the trace page's tabs load, search and download."""

from __future__ import annotations

import json

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page

from dashboards.refusal import refuse
from dashboards.text import cut_text
from dashboards.trace.download import FORMATS, OTLP, format_excerpt, stream
from dashboards.trace.logs import LogRow, build_log_rows
from dashboards.trace.waterfall import build_waterfall, pack_rows
from dashboards.views.export import without_blocking
from dashboards.views.parts import LOG_LIMIT, answer_text, part_view
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.queries.events import find_event_marks
from tracestore.queries.logs import find_logs_of_trace, get_log_record, search_logs_of_steps
from tracestore.queries.messages import find_messages
from tracestore.queries.paging import CursorError, read_cursor
from tracestore.queries.spans import find_trace_times, get_spans, stream_spans
from tracestore.queries.tree import find_span_ids, find_steps, search_steps
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# Beyond these the page shows the first ones and says so.
SPAN_LIMIT = 200_000
HIT_LIMIT = 1_000
SEARCH_CHARACTERS = 200
_EXCERPT_SPANS, _EXCERPT_BEFORE, _EXCERPT_CHARS = 20, 3, 100_000


@part_view
@gzip_page
def trace_tree(request: PageRequest, trace_id: str) -> HttpResponse:
    """All steps as compact JSON (pack_rows), which the views draw."""
    store, project_id = get_store(), request.project.id
    try:
        steps = find_steps(store, project_id=project_id, trace_id=trace_id, limit=SPAN_LIMIT)
        marks = find_event_marks(store, project_id=project_id, trace_id=trace_id)
        said = find_messages(store, project_id=project_id, trace_id=trace_id, names=(step.name for step in steps))
    except TraceNotFound:
        return answer_text(None)
    steps = [step._replace(name=said.get(step.span_id, step.name)) for step in steps] if said else steps
    body = json.dumps(pack_rows(build_waterfall(steps), marks), separators=(",", ":"))
    return HttpResponse(body, content_type="application/json")


@part_view
def trace_search(request: PageRequest, trace_id: str) -> HttpResponse:
    """Ids of the spans that hold `?q=` in name, error, payload or log records, as JSON: `spans`, and whether there are `more`."""
    wanted = request.GET.get("q", "")[:SEARCH_CHARACTERS]
    if not wanted.strip():
        return JsonResponse({"spans": [], "more": False})
    try:
        store, project_id, most = get_store(), request.project.id, HIT_LIMIT + 1
        found = search_steps(store, project_id=project_id, trace_id=trace_id, text=wanted, limit=most)
        wrote = search_logs_of_steps(store, project_id=project_id, trace_id=trace_id, text=wanted, limit=most)
        found = list(dict.fromkeys([*found, *wrote]))
    except TraceNotFound:
        return answer_text(None)
    return JsonResponse({"spans": found[:HIT_LIMIT], "more": len(found) > HIT_LIMIT})


@fragment_of("trace-detail", "trace_id", view="raw")
@part_view
def trace_raw(request: PageRequest, trace_id: str) -> HttpResponse:
    """The tab Raw: the trace in both forms, from somewhat before the step of `?span=` on, and the links to all of it."""
    store, project_id = get_store(), request.project.id
    form = request.GET.get("format", OTLP)
    if form not in FORMATS:
        return answer_text(None)
    try:
        ids = find_span_ids(store, project_id=project_id, trace_id=trace_id)
        selected_id = request.GET.get("span", "").lower()
        place = ids.index(selected_id) if selected_id in ids else 0
        first = max(0, min(place - _EXCERPT_BEFORE, len(ids) - _EXCERPT_SPANS))
        spans = get_spans(store, project_id=project_id, trace_id=trace_id, span_ids=ids[first : first + _EXCERPT_SPANS])
    except TraceNotFound:
        return answer_text(None)
    before, own, after = format_excerpt(spans, form, selected_id)
    if len(before) + len(own) > _EXCERPT_CHARS:  # what comes before is not to hide what was asked for
        spans, first = spans[place - first :], place
        before, own, after = format_excerpt(spans, form, selected_id)
    excerpt = cut_text(before + own + after, _EXCERPT_CHARS)
    context = {
        "trace_id": trace_id,
        "selected_id": selected_id,
        "forms": FORMATS.items(),
        "form": form,
        "before": excerpt.text[: len(before)],
        "own": excerpt.text[len(before) : len(before) + len(own)],
        "after": excerpt.text[len(before) + len(own) :],
        "first": first + 1,
        "last": first + len(spans),
        "total": len(ids),
        "cut_at": _EXCERPT_CHARS if excerpt.hidden_chars else 0,
    }
    return render(request, "dashboards/_trace_raw.html", context)


@part_view
def trace_download(request: PageRequest, trace_id: str) -> HttpResponseBase:
    """All of a trace as a download, `?format=otlp` or `rows`; read and sent in parts, as traces can be large."""
    store, project_id = get_store(), request.project.id
    form = request.GET.get("format", OTLP)
    if form not in FORMATS:
        return answer_text(None)
    try:
        parts = stream_spans(store.for_download(), project_id=project_id, trace_id=trace_id)
    except TraceNotFound:
        return answer_text(None)
    name = f"trace-{trace_id}.{'otlp' if form == OTLP else 'rows'}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(without_blocking(stream(parts, form)), content_type="application/json", headers=headers)


@fragment_of("trace-detail", "trace_id", view="logs")
@part_view
def trace_log_rows(request: PageRequest, trace_id: str) -> HttpResponse:
    """The tab Logs: records of the trace and of its steps, oldest first; `?cursor=` continues, `?record=` is the open one."""
    try:
        page = find_logs_of_trace(
            get_store(), project_id=request.project.id, trace_id=trace_id, limit=LOG_LIMIT,
            cursor=read_cursor(request.GET.get("cursor", "")),
        )  # fmt: skip
        start_ns = find_trace_times(get_store(), project_id=request.project.id, trace_id=trace_id).start_ns
    except CursorError:
        return refuse(request, "The cursor is not one that this list gave out.", "cursor")
    except TraceNotFound:
        return answer_text(None)
    rows = build_log_rows(page.items, start_ns)
    opened = _find_opened(request, trace_id, start_ns)
    is_apart = opened is not None and all(row.key != opened.key for row in rows)
    context = {
        "logs": [opened, *rows] if is_apart else rows,
        "trace_id": trace_id,
        "next_cursor": page.next_cursor,
        "is_first": "cursor" not in request.GET,
        "opened": opened,
        "is_apart": is_apart,
    }
    return render(request, "dashboards/_trace_log_rows.html", context)


def _find_opened(request: PageRequest, trace_id: str, start_ns: int) -> LogRow | None:
    """Return the record that the address says is open (`record=<time in ns>-<id>`), None when there is none."""
    record_id = request.GET.get("record", "").partition("-")[2].lower()
    if not record_id or "cursor" in request.GET:
        return None
    try:
        record = get_log_record(get_store(), project_id=request.project.id, trace_id=trace_id, record_id=record_id)
    except TraceNotFound:
        return None
    return build_log_rows([record], start_ns)[0]
