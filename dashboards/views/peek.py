"""The preview of a trace beside the list: what it was asked, what it answered, which steps it took and why it failed."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.refusal import render_failed
from dashboards.text import preview
from dashboards.trace.content import read_content
from dashboards.trace.waterfall import Row, Waterfall, build_waterfall
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError, TraceNotFound
from tracestore.content.payload_readers import Payload
from tracestore.model import Outcome, SpanSummary, Trace
from tracestore.queries.spans import get_span
from tracestore.queries.traces import get_trace
from tracestore.summary.outcomes import OUTCOME_RULES
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# A preview reads no more of a long trace; its page has the rest.
_SPAN_LIMIT = 2_000
_MOST_STEPS = 150
_MAX_INDENT = 8
_TALK_CHARS = 400
_WIDTH = 1_000  # of a step's bar, in its own units


@dataclass(frozen=True)
class Step:
    """A line of the preview: x and width of its bar are thousandths of the trace."""

    row: Row[SpanSummary]
    indent: int
    x: int
    width: int


@fragment_of("trace-list", peek="{trace_id}")
@require_GET
def trace_peek(request: PageRequest, trace_id: str) -> HttpResponse:
    """The preview beside the list."""
    store, project_id = get_store(), request.project.id
    try:
        trace = get_trace(store, project_id=project_id, trace_id=trace_id.lower(), span_limit=_SPAN_LIMIT)
        asked, answered = _read_talk(request, trace)
    except TraceNotFound:
        # 200, for it is to be shown: htmx drops the body of a 404.
        return render(request, "dashboards/_trace_peek.html", {"trace_id": trace_id})
    except StoreError as error:
        return render_failed(request, error)
    waterfall = build_waterfall(trace.spans)
    failing_id = trace.summary.failing_span_id
    failing = next((row for row in waterfall.rows if failing_id and row.span_id == failing_id), None)
    context = {
        "trace_id": trace.summary.trace_id,
        "trace": trace,
        "summary": trace.summary,
        "failed": trace.summary.outcome == Outcome.ERROR,
        "rule": OUTCOME_RULES.get(trace.summary.outcome_rule, ""),
        "failing": failing,
        "failing_message": (failing.span.error_message if failing and failing.span else "") or trace.summary.error_message,
        "asked": asked,
        "answered": answered,
        "steps": build_steps(waterfall)[:_MOST_STEPS],
        "hidden_steps": max(0, len(waterfall.rows) - _MOST_STEPS),
    }
    return render(request, "dashboards/_trace_peek.html", context)


def build_steps(waterfall: Waterfall[SpanSummary]) -> list[Step]:
    """Return the rows that are steps, in tree order, with their bars."""
    total = max(1, waterfall.duration_ns)
    steps = []
    for row in waterfall.rows:
        if row.span is None:
            continue
        x = min(_WIDTH - 4, row.offset_ns * _WIDTH // total)
        steps.append(Step(row, min(row.depth, _MAX_INDENT), x, max(4, row.duration_ns * _WIDTH // total)))
    return steps


def _read_talk(request: PageRequest, trace: Trace) -> tuple[str, str]:
    """What the root step was given last and what it said last, shortened; "" when it recorded nothing."""
    root = trace.summary.root_span_id or next((span.span_id for span in trace.spans if not span.parent_span_id), "")
    if not root:
        return "", ""
    try:
        span = get_span(get_store(), project_id=request.project.id, trace_id=trace.summary.trace_id, span_id=root)
    except TraceNotFound:  # deleted between two queries
        return "", ""
    content = read_content(span)
    return _last_text(content.input, "user"), _last_text(content.output, "assistant")


def _last_text(payload: Payload | None, role: str) -> str:
    if payload is None:
        return ""
    said = [part.text for message in payload.messages if message.role == role for part in message.parts if part.kind == "text"]
    texts = said or [part.text for message in payload.messages for part in message.parts if part.text]
    return preview(texts[-1] if texts else payload.text, _TALK_CHARS)
