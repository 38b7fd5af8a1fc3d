"""What the panel of one step shows, made ready for its template. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dashboards.text import split_stacktrace
from dashboards.trace.attributes import Attribute, build_attributes
from dashboards.trace.content import Content, find_text, read_content
from dashboards.trace.logs import LogRow, Score, build_log_rows, find_record_text, read_scores
from tracestore.content.values import to_text
from tracestore.fingerprint import fingerprint
from tracestore.model import LogRecord, Span, SpanEvent, SpanSummary
from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import PriceBreakdown, explain_call, find_priced_names

RAW, STATUS_STACKTRACE = "raw", "status_stacktrace"
_EVENT_LIMIT = 200


@dataclass(frozen=True)
class Event:
    """A span event with its attributes as rows; `offset_ns` counts from the start of the span."""

    name: str
    offset_ns: int
    attributes: list[Attribute]
    dropped_attributes_count: int
    is_exception: bool


@dataclass(frozen=True)
class Failure:
    """The error of a step; `stacktrace_reference` is "" when there is none. `fingerprint` is as in tracestore/fingerprint.py."""

    type: str
    message: str
    stacktrace: str
    stacktrace_reference: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Panel:
    """One step, ready to show. Texts may be long: the template cuts them and links to the rest by reference.

    `exceptions` are the logged ones that `failure` does not show. `price` is how the cost of a model call comes about.
    """

    span: Span
    content: Content
    failure: Failure | None
    attributes: list[Attribute]
    resource: list[Attribute]
    scope: list[Attribute]
    events: list[Event]
    hidden_events: int
    logs: list[LogRow]
    exceptions: list[LogRow]
    scores: list[Score]
    raw: str
    price: PriceBreakdown | None

    @property
    def uncached_input_tokens(self) -> int:
        summary = self.span.summary
        return max(0, summary.input_tokens - summary.cached_input_tokens - summary.cache_creation_input_tokens)

    @property
    def answer_tokens(self) -> int:
        return max(0, self.span.summary.output_tokens - self.span.summary.reasoning_tokens)


def build_panel(span: Span, records: Sequence[LogRecord] = (), project_id: int = 0) -> Panel:
    """Return everything the panel of this step shows; `records` are its log records."""
    logs = build_log_rows(records, span.summary.start_ns)
    exceptions = [row for row in logs if row.is_exception]
    failure = _name_failure(_find_failure(span), exceptions)
    shown = failure.stacktrace if failure is not None else ""
    return Panel(
        span=span,
        content=read_content(span, records),
        failure=failure,
        attributes=build_attributes("attribute", span.attributes, queryable=True),
        resource=build_attributes("resource", span.resource_attributes, queryable=True),
        scope=build_attributes("scope", span.scope_attributes, queryable=True),
        events=[_event(span, index, event) for index, event in enumerate(span.events[:_EVENT_LIMIT])],
        hidden_events=max(0, len(span.events) - _EVENT_LIMIT),
        logs=logs,
        exceptions=[row for row in exceptions if not shown or row.stacktrace != shown],
        scores=read_scores(span, records),
        raw=format_raw(span),
        price=_explain_cost(span.summary, project_id),
    )


def find_failure(span: Span, records: Sequence[LogRecord] = ()) -> Failure | None:
    """Return the error of this step, None when it has none; one of its log records may tell the stack trace."""
    return _name_failure(_find_failure(span), [row for row in build_log_rows(records, span.summary.start_ns) if row.is_exception])


def _name_failure(failure: Failure | None, exceptions: Sequence[LogRow]) -> Failure | None:
    """Return the failure with the stack trace that a log record told, where it has none itself, and its fingerprint."""
    if failure is None:
        return None
    told = next((row for row in reversed(exceptions) if row.stacktrace), None)
    if told is not None and not failure.stacktrace:
        reference = f"log:{told.record.record_id}:attribute:exception.stacktrace"
        failure = replace(failure, stacktrace=told.stacktrace, stacktrace_reference=reference)
        failure = replace(failure, message=failure.message or told.exception_message)
    return replace(failure, fingerprint=fingerprint(failure.type, failure.message, failure.stacktrace))


def _explain_cost(step: SpanSummary, project_id: int) -> PriceBreakdown | None:
    """Return what makes the cost of a step (queries/spans.py decides which model's price), None for one without."""
    if step.cost_usd is None:
        return None
    usage = TokenUsage(
        step.input_tokens, step.output_tokens, step.cached_input_tokens, step.cache_creation_input_tokens, step.reasoning_tokens,
        step.cache_creation_1h_input_tokens, step.input_audio_tokens, step.output_audio_tokens,
    )  # fmt: skip
    for model in find_priced_names(step.request_model, step.response_model):
        found = explain_call(step.provider, model, usage, step.start_ns, step.service_tier, project_id=project_id)
        if found is not None:
            return found
    return None


def find_referenced_text(span: Span, reference: str, records: Sequence[LogRecord] = ()) -> str | None:
    """Return the whole text behind a reference of this span's panel, None when there is none."""
    kind, _, key = reference.partition(":")
    if reference == RAW:
        return format_raw(span)
    if reference == STATUS_STACKTRACE:
        return split_stacktrace(span.summary.error_message or span.summary.status_message)[1] or None
    if not key:
        return find_text(read_content(span, records), reference)
    if kind == "log":
        record_id, _, inner = key.partition(":")
        record = next((record for record in records if record.record_id == record_id), None)
        return find_record_text(record, inner) if record is not None else None
    if kind == "event":
        index, _, key = key.partition(":")
        known = index.isascii() and index.isdigit() and len(index) < 9 and int(index) < len(span.events)
        holder: Mapping[str, Any] = span.events[int(index)].attributes if known else {}
    else:
        holders = {"attribute": span.attributes, "resource": span.resource_attributes, "scope": span.scope_attributes}
        holder = holders.get(kind, {})
    return to_text(holder[key]) if key in holder else None


def format_raw(span: Span) -> str:
    """Return the span as indented JSON, as stored."""
    return json.dumps(asdict(span), indent=2, ensure_ascii=False, default=str)


def _event(span: Span, index: int, event: SpanEvent) -> Event:
    offset_ns = event.time_ns - span.summary.start_ns
    rows = build_attributes(f"event:{index}", event.attributes)
    return Event(event.name, offset_ns, rows, event.dropped_attributes_count, "exception" in event.name.lower())


def _find_failure(span: Span) -> Failure | None:
    summary = span.summary
    if not summary.is_error:
        return None
    message, appended = split_stacktrace(summary.error_message or summary.status_message)
    for index, event in reversed(list(enumerate(span.events))):
        stacktrace = event.attributes.get("exception.stacktrace")
        if stacktrace:
            reference = f"event:{index}:exception.stacktrace"
            return Failure(summary.error_type, message, str(stacktrace), reference)
    for key in ("exception.stacktrace", "error.stack"):
        if span.attributes.get(key):
            return Failure(summary.error_type, message, str(span.attributes[key]), f"attribute:{key}")
    return Failure(summary.error_type, message, appended, STATUS_STACKTRACE if appended else "")
