"""A whole trace as JSON text, piece by piece: as OTLP/JSON, which other tools read, or as its stored rows. Pure.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. What JSON lacks stays the text that the store gives:
bytes in base64, NaN and infinities by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from textwrap import indent
from typing import Any

from tracestore.model import Span

OTLP, ROWS = "otlp", "rows"
FORMATS = {OTLP: "OTLP/JSON", ROWS: "Stored rows"}
_OPENING = {OTLP: '{"resourceSpans":[', ROWS: "["}
_CLOSING = {OTLP: "]}\n", ROWS: "]\n"}
# Where a span stands in a document that is indented by two: in resourceSpans, scopeSpans and spans, or in the list of rows.
_INDENTS = {OTLP: " " * 12, ROWS: " " * 2}
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES = {"ok": 1, "error": 2}


def build_items(spans: Sequence[Span], form: str) -> list[dict[str, Any]]:
    """Return the spans as items of the list that a document of this form is: ResourceSpans, or rows."""
    return [asdict(span) for span in spans] if form == ROWS else list(_resource_spans(spans))


def format_excerpt(spans: Sequence[Span], form: str, selected_id: str = "") -> tuple[str, str, str]:
    """Return a whole document of these spans, indented for reading, in three parts: the lines before the selected span, its own,
    and those after it. All of it is the first part when it is not among them.
    """
    items = build_items(spans, form)
    text = _dump({"resourceSpans": items} if form == OTLP else items)
    selected = next((span for span in spans if span.summary.span_id == selected_id), None)
    if selected is None:
        return text, "", ""
    own = indent(_dump(_span(selected) if form == OTLP else asdict(selected)), _INDENTS[form])
    start = text.index(own)
    end = text.index("\n", start + len(own)) + 1  # with the comma
    return text[:start], text[start:end], text[end:]


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def stream(parts: Iterable[Sequence[Span]], form: str) -> Iterator[bytes]:
    """Yield the document of all parts, one after another, each item on a line."""
    separator = _OPENING[form] + "\n"
    for part in parts:
        lines = [json.dumps(item, separators=(",", ":"), default=str) for item in build_items(part, form)]
        yield (separator + ",\n".join(lines)).encode()
        separator = ",\n"
    yield ("\n" + _CLOSING[form]).encode()


def _resource_spans(spans: Sequence[Span]) -> Iterator[dict[str, Any]]:
    """Neighbours of one resource and scope share an entry."""
    for _, group in groupby(spans, key=_origin):
        members = list(group)
        first = members[0]
        scope = {
            "name": first.summary.scope_name,
            "version": first.scope_version,
            "attributes": _attributes(first.scope_attributes),
        }
        scope_spans = {"scope": scope, "spans": [_span(span) for span in members], "schemaUrl": first.scope_schema_url}
        resource = {"attributes": _attributes(first.resource_attributes)}
        yield {"resource": resource, "scopeSpans": [scope_spans], "schemaUrl": first.resource_schema_url}


def _origin(span: Span) -> str:
    origin = (
        span.resource_attributes, span.resource_schema_url, span.summary.scope_name, span.scope_version, span.scope_attributes,
        span.scope_schema_url,
    )  # fmt: skip
    return json.dumps(origin, sort_keys=True, default=str)


def _span(span: Span) -> dict[str, Any]:
    summary = span.summary
    events = [
        {
            "timeUnixNano": str(event.time_ns),
            "name": event.name,
            "attributes": _attributes(event.attributes),
            "droppedAttributesCount": event.dropped_attributes_count,
        }
        for event in span.events
    ]
    links = [
        {
            "traceId": link.trace_id,
            "spanId": link.span_id,
            "traceState": link.trace_state,
            "attributes": _attributes(link.attributes),
        }
        for link in span.links
    ]
    return {
        "traceId": summary.trace_id,
        "spanId": summary.span_id,
        "parentSpanId": summary.parent_span_id,
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": summary.name,
        "kind": _KINDS.get(summary.span_kind, 0),
        "startTimeUnixNano": str(span.reported_start_ns),
        "endTimeUnixNano": str(span.reported_end_ns),
        "attributes": _attributes(span.attributes),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": events,
        "droppedEventsCount": span.dropped_events_count,
        "links": links,
        "droppedLinksCount": span.dropped_links_count,
        "status": {"code": _STATUSES.get(summary.status, 0), "message": summary.status_message},
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):  # most are
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _attributes(value)}}
    return {} if value is None else {"stringValue": str(value)}
