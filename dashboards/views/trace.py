"""The trace page, what its views load, and the panel of one step: whole, as text, as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import wraps
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboards.refusal import refuse
from dashboards.reviews import REVIEW, find_reviews
from dashboards.text import cut_text, split_stacktrace
from dashboards.trace.download import FORMATS, OTLP, format_excerpt, stream
from dashboards.trace.logs import LogRow, Score, build_log_rows, find_record_text, is_told_by, read_scores
from dashboards.trace.step_panel import Panel, build_panel, find_referenced_text, format_raw
from dashboards.trace.waterfall import build_waterfall, pack_rows
from dashboards.views.export import without_blocking
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.completeness import find_completeness
from tracestore.model import LogRecord, Outcome, Page, Span, Trace, TraceSummary
from tracestore.queries.events import find_event_marks
from tracestore.queries.logs import (
    LogLocation,
    count_agent_events,
    find_logs_of_no_step,
    find_logs_of_step,
    find_logs_of_trace,
    get_log_record,
    locate_logs,
    search_logs_of_steps,
)
from tracestore.queries.messages import find_messages, name_of
from tracestore.queries.paging import CursorError, read_cursor
from tracestore.queries.scores import find_places
from tracestore.queries.spans import find_trace_times, get_span, get_spans, stream_spans
from tracestore.queries.traces import get_trace_summary
from tracestore.queries.tree import find_ancestors, find_span_ids, find_steps, search_steps
from tracestore.summary.outcomes import OUTCOME_RULES
from tracestore.timerange import DAY_NS, TimeRange, format_time_ns
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# Beyond these the page shows the first ones and says so.
SPAN_LIMIT = 200_000
PATH_STEPS = 3
LOG_LIMIT = 100
HIT_LIMIT = 1_000
SEARCH_CHARACTERS = 200
_EXCERPT_SPANS, _EXCERPT_BEFORE, _EXCERPT_CHARS = 20, 3, 100_000
_NO_LOGS: Page[LogRecord] = Page([])
VIEWS = {
    "transcript": "Transcript", "tree": "Tree", "timeline": "Timeline", "graph": "Graph", "raw": "Raw", "logs": "Logs",
}  # fmt: skip
AGENT_VIEW = "transcript"


@require_GET
def trace_detail(request: PageRequest, trace_id: str) -> HttpResponse:
    """The page. `?span=` selects a step, without it the failing one is, else the root; `?view=` chooses a tab."""
    try:
        context = _read_page(request, trace_id.lower(), request.GET.get("span", "").lower())
    except TraceNotFound:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id}, status=404)
    except StoreError as error:
        return render(request, "dashboards/trace_not_found.html", {"trace_id": trace_id, "store_error": str(error)}, status=503)
    return render(request, "dashboards/trace_detail.html", context)


def _read_page(request: PageRequest, trace_id: str, requested: str) -> dict[str, object]:
    store, project_id = get_store(), request.project.id
    # Once for all reads of the page.
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    # Side by side: each takes one core 15 to 20 ms.
    with ThreadPoolExecutor(max_workers=2) as beside:
        locating = beside.submit(_locate_logs, request, trace_id)
        summary = get_trace_summary(store, project_id=project_id, trace_id=trace_id, time_range=time_range)
        trace = Trace(summary, [], truncated=True)
        judging = beside.submit(find_completeness, store, project_id=project_id, trace=trace, time_range=time_range)
        reviewing = beside.submit(_find_reviews, request, summary)
        selected_id = requested or summary.failing_span_id or summary.root_span_id
        selected = _find_span(request, trace_id, selected_id, time_range)
        located, completeness, reviews = locating.result(), judging.result(), reviewing.result()
    panel = _panel_context(request, trace_id, selected_id, selected, located)
    failure: dict[str, object] = {}
    if summary.outcome == Outcome.ERROR:
        failing = selected
        if selected_id != summary.failing_span_id:
            failing = _find_span(request, trace_id, summary.failing_span_id, time_range)
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


View = Callable[..., HttpResponseBase]


def _span_view(view: View) -> View:
    """What a view about one step or record does when the store cannot answer."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest, **ids: str) -> HttpResponseBase:
        try:
            return view(request, **{name: value.lower() for name, value in ids.items()})
        except StoreError as error:
            return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)

    return guarded


@_span_view
@gzip_page
def trace_tree(request: PageRequest, trace_id: str) -> HttpResponse:
    """All steps as compact JSON (pack_rows), which the views draw."""
    store, project_id = get_store(), request.project.id
    try:
        steps = find_steps(store, project_id=project_id, trace_id=trace_id, limit=SPAN_LIMIT)
        marks = find_event_marks(store, project_id=project_id, trace_id=trace_id)
        said = find_messages(store, project_id=project_id, trace_id=trace_id, names=(step.name for step in steps))
    except TraceNotFound:
        return _as_text(None)
    steps = [step._replace(name=said.get(step.span_id, step.name)) for step in steps] if said else steps
    body = json.dumps(pack_rows(build_waterfall(steps), marks), separators=(",", ":"))
    return HttpResponse(body, content_type="application/json")


@_span_view
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
        return _as_text(None)
    return JsonResponse({"spans": found[:HIT_LIMIT], "more": len(found) > HIT_LIMIT})


@fragment_of("trace-detail", "trace_id", view="raw")
@_span_view
def trace_raw(request: PageRequest, trace_id: str) -> HttpResponse:
    """The tab Raw: the trace in both forms, from somewhat before the step of `?span=` on, and the links to all of it."""
    store, project_id = get_store(), request.project.id
    form = request.GET.get("format", OTLP)
    if form not in FORMATS:
        return _as_text(None)
    try:
        ids = find_span_ids(store, project_id=project_id, trace_id=trace_id)
        selected_id = request.GET.get("span", "").lower()
        place = ids.index(selected_id) if selected_id in ids else 0
        first = max(0, min(place - _EXCERPT_BEFORE, len(ids) - _EXCERPT_SPANS))
        spans = get_spans(store, project_id=project_id, trace_id=trace_id, span_ids=ids[first : first + _EXCERPT_SPANS])
    except TraceNotFound:
        return _as_text(None)
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


@_span_view
def trace_download(request: PageRequest, trace_id: str) -> HttpResponseBase:
    """All of a trace as a download, `?format=otlp` or `rows`; read and sent in parts, as traces can be large."""
    store, project_id = get_store(), request.project.id
    form = request.GET.get("format", OTLP)
    if form not in FORMATS:
        return _as_text(None)
    try:
        parts = stream_spans(store.for_download(), project_id=project_id, trace_id=trace_id)
    except TraceNotFound:
        return _as_text(None)
    name = f"trace-{trace_id}.{'otlp' if form == OTLP else 'rows'}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(without_blocking(stream(parts, form)), content_type="application/json", headers=headers)


@fragment_of("trace-detail", "trace_id", view="logs")
@_span_view
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
        return _as_text(None)
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


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@_span_view
def span_detail(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
    """The panel of one step."""
    span = _find_span(request, trace_id, span_id)
    context = _panel_context(request, trace_id, span_id, span, _locate_logs(request, trace_id))
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


def choose_view(requested: str, summary: TraceSummary) -> str:
    """Return the view to open: the one asked for, else the transcript for the run of an agent, else the tree."""
    if requested in VIEWS:
        return requested
    return AGENT_VIEW if summary.agents or summary.llm_calls else "tree"


def list_range(start_ns: int, now_ns: int) -> str:
    """Return `&start=...&end=...` around a trace, for links to lists that must contain it; "" when the last day does."""
    if now_ns - start_ns < DAY_NS * 9 // 10:
        return ""
    return "&" + urlencode({"start": format_time_ns(start_ns - DAY_NS // 2), "end": format_time_ns(start_ns + DAY_NS // 2)})


def _panel_context(
    request: PageRequest, trace_id: str, span_id: str, span: Span | None, located: LogLocation | str
) -> dict[str, object]:
    logs, logs_error = _step_logs(span, located) if span else (_NO_LOGS, "")
    panel: Panel | None = None
    if span is not None:
        panel = build_panel(span, logs.items, request.project.id)
        scores = _still_here(request.project.id, trace_id, span.summary.session_id, panel.scores)
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


def _still_here(project_id: int, trace_id: str, session_id: str, scores: list[Score]) -> list[Score]:
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


def _trace_logs(project_id: int, located: LogLocation | str, summary: TraceSummary) -> dict[str, object]:
    """Return what the page shows of records that belong to the trace and to none of its steps."""
    if isinstance(located, str):
        return {"trace_logs_error": located}
    try:
        page = find_logs_of_no_step(get_store(), located, limit=LOG_LIMIT)
        events = count_agent_events(get_store(), located)
        records = [record for record in page.items if not is_told_by(record, REVIEW)]  # the page has a place for these
        scores = _still_here(project_id, summary.trace_id, summary.session_id, read_scores(None, records))
    except StoreError as error:
        return {"trace_logs_error": str(error)}
    return {
        "trace_logs": build_log_rows(records, summary.start_ns),
        "has_more_trace_logs": bool(page.next_cursor),
        "trace_scores": scores,
        "agent_events": events,
    }


def _find_span(request: PageRequest, trace_id: str, span_id: str, time_range: TimeRange | None = None) -> Span | None:
    try:
        return get_span(get_store(), project_id=request.project.id, trace_id=trace_id, span_id=span_id, time_range=time_range)
    except TraceNotFound:
        return None
