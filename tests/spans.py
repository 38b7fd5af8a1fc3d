"""Spans for tests: as model objects for pure code, as OTLP requests for everything behind ingest."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.queries.conftest import key_values
from tracestore.model import Span, SpanEvent, SpanSummary

_EMPTY: dict[str, Any] = {"str": "", "int": 0, "bool": False, "float | None": None, "int | None": None, "tuple[str, ...]": ()}


def make_summary(**overrides: Any) -> SpanSummary:
    """Return a step of one second without a parent, everything else empty."""
    values = {field.name: _EMPTY[str(field.type)] for field in fields(SpanSummary)}
    return SpanSummary(**values | {"trace_id": "a" * 32, "span_id": "1" * 16, "kind": "other", "duration_ns": 10**9} | overrides)


def make_span(
    attributes: dict[str, Any] | None = None, *, events: list[tuple[str, dict[str, Any]]] | None = None, **summary: Any
) -> Span:
    """Return a span with these attributes and events; further arguments go into its summary."""
    return Span(
        summary=make_summary(**summary),
        attributes=attributes or {},
        resource_attributes={},
        scope_version="",
        scope_attributes={},
        events=[SpanEvent(5, name, values, 0) for name, values in events or []],
        links=[],
        trace_state="",
        flags=0,
        resource_schema_url="",
        scope_schema_url="",
        dropped_attributes_count=0,
        dropped_events_count=0,
        dropped_links_count=0,
        reported_start_ns=0,
        reported_end_ns=0,
        received_ns=0,
    )


def build_request(*spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "tests") -> bytes:
    """Return an OTLP request.

    A span is a dict: trace_id, span_id, parent, name, start_ns, duration_ns, error (the message), attributes, events.
    """
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values({"service.name": "support-bot"} | (resource or {})))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    for values in spans:
        span = scope_spans.spans.add()
        span.trace_id = bytes.fromhex(values["trace_id"])
        span.span_id = bytes.fromhex(values["span_id"])
        span.parent_span_id = bytes.fromhex(values.get("parent", ""))
        span.name = values.get("name", "step")
        span.start_time_unix_nano = values["start_ns"]
        span.end_time_unix_nano = values["start_ns"] + values.get("duration_ns", 10**9)
        if "error" in values:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = values["error"]
        span.attributes.extend(key_values(values.get("attributes", {})))
        for name, attributes in values.get("events", ()):
            span.events.add(name=name, time_unix_nano=values["start_ns"] + 5, attributes=key_values(attributes))
    return request.SerializeToString()
