"""What the panel of a step loads by itself: a text laid out, an image, how the step compares, who failed like it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dashboards.trace.content import find_image, read_content
from dashboards.trace.images import decode_image
from dashboards.trace.markdown import render_markdown
from dashboards.trace.step_panel import find_failure, find_referenced_text
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError, TraceNotFound
from tracestore.content.message_parts import Part
from tracestore.model import LogRecord, Span
from tracestore.queries.errors import count_other_traces, find_onset
from tracestore.queries.logs import find_logs_of_step, locate_logs
from tracestore.queries.spans import get_span
from tracestore.queries.steps import find_call, get_history
from tracestore.timerange import DAY_NS, TimeRange
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

_LOG_LIMIT = 100
_FEW = 20
_KEPT_S = 120
_IMAGE_POLICY = "default-src 'none'; sandbox"

View = Callable[[PageRequest, Span], HttpResponse]


def _step_view(view: View) -> Callable[..., HttpResponse]:
    """A view of one step: 404 when it is not there, 503 when the store cannot tell."""

    @require_GET
    @wraps(view)
    def guarded(request: PageRequest, trace_id: str, span_id: str) -> HttpResponse:
        try:
            span = get_span(get_store(), project_id=request.project.id, trace_id=trace_id.lower(), span_id=span_id.lower())
            return view(request, span)
        except TraceNotFound as error:
            return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=404)
        except StoreError as error:
            return HttpResponse(str(error), content_type="text/plain; charset=utf-8", status=503)

    return guarded


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@_step_view
def span_markdown(request: PageRequest, span: Span) -> HttpResponse:
    """One text of a step laid out as Markdown, by the reference (`?ref=`) that its panel gave."""
    text = find_referenced_text(span, request.GET.get("ref", ""), _read_records(request, span))
    if text is None:
        return HttpResponse("There is no such text.", content_type="text/plain; charset=utf-8", status=404)
    return HttpResponse(render_markdown(text))


@_step_view
def span_image(request: PageRequest, span: Span) -> HttpResponse:
    """An image that a message of a step brought along, by the reference (`?ref=`) of its part."""
    reference = request.GET.get("ref", "")
    image = decode_image(find_image(read_content(span, _read_records(request, span)), reference))
    if image is None:
        return HttpResponse("There is no such image.", content_type="text/plain; charset=utf-8", status=404)
    kind, data = image
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _IMAGE_POLICY,
        "Cache-Control": "private, max-age=3600",
    }
    return HttpResponse(data, content_type=kind, headers=headers)


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@_step_view
def span_call(request: PageRequest, span: Span) -> HttpResponse:
    """What came of a tool call that this step asked for (`?call=` is its id), with a link to its step; nothing without one."""
    store, trace_id = get_store(), span.summary.trace_id
    call_id = request.GET.get("call", "")
    found = find_call(store, project_id=request.project.id, trace_id=trace_id, call_id=call_id) if call_id else ""
    if not found:
        return HttpResponse(status=204)
    step = get_span(store, project_id=request.project.id, trace_id=trace_id, span_id=found)
    result = read_content(step, _read_records(request, step)).result
    part = Part("tool_result", result.text if result else step.summary.error_message, is_error=step.summary.is_error)
    urls = {name: reverse(f"span-{name}", args=[trace_id, found]) for name in ("text", "markdown")}
    context = {
        "part": part, "step": step.summary, "trace_id": trace_id, "text_url": urls["text"], "markdown_url": urls["markdown"],
    }  # fmt: skip
    return render(request, "dashboards/_step_call.html", context)


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@_step_view
def span_history(request: PageRequest, span: Span) -> HttpResponse:
    """How long the step took among the same in the seven days before it; nothing when that takes long to tell."""
    try:
        history = get_history(get_store(), project_id=request.project.id, step=span.summary)
    except QueryTooExpensive:
        return HttpResponse(status=204)
    context = {"history": history, "step": span.summary, "is_few": history.count < _FEW}
    return _keep(render(request, "dashboards/_step_history.html", context))


@fragment_of("trace-detail", "trace_id", span="{span_id}")
@_step_view
def span_similar(request: PageRequest, span: Span) -> HttpResponse:
    """How many other traces failed within the last day as this step did, and since when; nothing when that takes long to tell."""
    failure, now_ns = find_failure(span, _read_records(request, span)), time.time_ns()
    if failure is None:
        return HttpResponse(status=204)
    store, project_id, fingerprint = get_store(), request.project.id, failure.fingerprint
    try:
        others = count_other_traces(
            store, project_id=project_id, time_range=TimeRange(now_ns - DAY_NS, now_ns), fingerprint=fingerprint,
            trace_id=span.summary.trace_id,
        )  # fmt: skip
        onset = find_onset(store, project_id=project_id, fingerprint=fingerprint, end_ns=now_ns)
    except QueryTooExpensive:
        return HttpResponse(status=204)
    context = {"others": others, "fingerprint": fingerprint, "onset": onset, "trace_id": span.summary.trace_id}
    return _keep(render(request, "dashboards/_step_similar.html", context))


def _keep(response: HttpResponse) -> HttpResponse:
    """Let the browser keep a comparison for a while: it reads days of spans, and people go back and forth between steps."""
    response.headers["Cache-Control"] = f"private, max-age={_KEPT_S}"
    return response


def _read_records(request: PageRequest, span: Span) -> list[LogRecord]:
    """Return the log records of the step, whose texts its panel shows as well; none when they cannot be read."""
    step = span.summary
    try:
        located = locate_logs(get_store(), project_id=request.project.id, trace_id=step.trace_id)
        return find_logs_of_step(
            get_store(), located, span_id=step.span_id, tool_call_id=step.tool_call_id, limit=_LOG_LIMIT
        ).items
    except (StoreError, TraceNotFound):
        return []
