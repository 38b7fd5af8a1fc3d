"""Spans for tests: as model objects for pure code, as OTLP requests for everything behind ingest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tracestore.model import Span, SpanEvent, SpanSummary

T0 = 1_790_000_000 * 10**9

SendSpans = Callable[..., None]  # of the fixture send_spans

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


def any_value(value: Any) -> AnyValue:
    """Return the OTLP form of a Python value; None is an empty one."""
    if isinstance(value, AnyValue):
        return value
    if value is None:
        return AnyValue()
    if isinstance(value, list):
        result = AnyValue()
        result.array_value.values.extend(any_value(item) for item in value)
        return result
    if isinstance(value, dict):
        result = AnyValue()
        result.kvlist_value.values.extend(key_values(value))
        return result
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    return AnyValue(**{kinds[type(value)]: value})


def key_values(attributes: dict[str, Any] | Sequence[tuple[str, Any]]) -> list[KeyValue]:
    """Return a map as OTLP key-value pairs; as pairs it may name a key twice."""
    pairs = attributes.items() if isinstance(attributes, dict) else attributes
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs]


def build_request(
    *spans: dict[str, Any],
    resource: dict[str, Any] | None = None,
    scope: str = "tests",
    scope_attributes: dict[str, Any] | None = None,
) -> bytes:
    """Return an OTLP request.

    A span is a dict, any of it may be left out: trace_id, span_id, parent, name, start_ns (else T0), duration_ns (else a second),
    error (True or the message), attributes, events as (name, attributes) or (name, attributes, number of dropped ones), links as
    (trace_id, span_id, attributes).
    """
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values({"service.name": "support-bot"} | (resource or {})))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.scope.attributes.extend(key_values(scope_attributes or {}))
    for values in spans:
        span = scope_spans.spans.add()
        span.trace_id = bytes.fromhex(values.get("trace_id", "a" * 32))
        span.span_id = bytes.fromhex(values.get("span_id", "1" * 16))
        span.parent_span_id = bytes.fromhex(values.get("parent", ""))
        span.name = values.get("name", "step")
        span.start_time_unix_nano = values.get("start_ns", T0)
        span.end_time_unix_nano = span.start_time_unix_nano + values.get("duration_ns", 10**9)
        if error := values.get("error"):
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = "" if error is True else error
        span.attributes.extend(key_values(values.get("attributes", {})))
        for name, attributes, *dropped in values.get("events", ()):
            span.events.add(
                name=name, time_unix_nano=span.start_time_unix_nano + 5, attributes=key_values(attributes),
                dropped_attributes_count=sum(dropped),
            )  # fmt: skip
        for trace_id, span_id, attributes in values.get("links", ()):
            span.links.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id), attributes=key_values(attributes))
    return request.SerializeToString()
