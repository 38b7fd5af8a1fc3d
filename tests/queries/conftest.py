"""Spans sent through the real ingest path: what an exporter would have sent, as small as it can be."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch

T0 = 1_790_000_000 * 10**9
_batches = itertools.count(1)

SendSpans = Callable[..., None]


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


def key_values(attributes: dict[str, Any]) -> list[KeyValue]:
    """Return a map as OTLP key-value pairs."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


@pytest.fixture
def send_spans(store: Store) -> SendSpans:
    """Store spans given as dicts: trace_id, span_id, parent, name, start_ns, duration_ns, error, attributes, events, links."""

    def send(
        *spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: dict[str, Any] | None = None, project_id: int = 1,
        received_ns: int = T0,
    ) -> None:  # fmt: skip
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.extend(key_values({"service.name": "support-bot"} | (resource or {})))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.attributes.extend(key_values(scope or {}))
        for values in spans:
            span = scope_spans.spans.add()
            span.trace_id = bytes.fromhex(values.get("trace_id", "a" * 32))
            span.span_id = bytes.fromhex(values.get("span_id", "1" * 16))
            span.parent_span_id = bytes.fromhex(values.get("parent", ""))
            span.name = values.get("name", "step")
            span.start_time_unix_nano = values.get("start_ns", T0)
            span.end_time_unix_nano = span.start_time_unix_nano + values.get("duration_ns", 10**9)
            span.status.code = Status.STATUS_CODE_ERROR if values.get("error") else Status.STATUS_CODE_UNSET
            span.attributes.extend(_pairs(values.get("attributes", {})))
            for name, attributes in values.get("events", ()):
                span.events.add(name=name, time_unix_nano=T0 + 5, attributes=key_values(attributes), dropped_attributes_count=2)
            for trace_id, span_id, attributes in values.get("links", ()):
                link = span.links.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id))
                link.attributes.extend(key_values(attributes))
        insert_batch(store, [(project_id, received_ns, request.SerializeToString())], writer="test", batch_seq=next(_batches))

    # The engine remembers batch tokens across truncation, hence a counter that never starts again.
    return send


def _pairs(attributes: dict[str, Any] | Sequence[tuple[str, Any]]) -> list[KeyValue]:
    pairs = attributes.items() if isinstance(attributes, dict) else attributes
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs]
