"""OTLP messages in general: hypothesis strategies for whatever opentelemetry-proto can express, and its JSON."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tracestore.varint import encode_varint


def to_otlp_dict(request: Message) -> dict[str, Any]:
    """protobuf's own JSON, with the one change that OTLP makes: ids are hex."""
    document = MessageToDict(request)

    def hex_ids(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                hex_ids(item)
        elif isinstance(value, dict):
            for name, item in value.items():
                if name in ("traceId", "spanId", "parentSpanId"):
                    value[name] = base64.b64decode(item).hex()
                else:
                    hex_ids(item)

    hex_ids(document)
    return document


# Text without lone surrogates, which the encoder refuses.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(
    st.builds(lambda value: AnyValue(string_value=value), text),
    st.builds(lambda value: AnyValue(bool_value=value), st.booleans()),
    st.builds(lambda value: AnyValue(int_value=value), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda value: AnyValue(double_value=value), st.floats(allow_nan=False)),
    st.builds(lambda value: AnyValue(bytes_value=value), st.binary(max_size=9)),
    st.builds(AnyValue),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda members: AnyValue(array_value=ArrayValue(values=members)), st.lists(inner, max_size=3)),
        st.builds(
            lambda members: AnyValue(
                kvlist_value=KeyValueList(values=[KeyValue(key=key, value=value) for key, value in members])
            ),
            st.lists(st.tuples(text, inner), max_size=3),
        ),
    ),
    max_leaves=6,
)
attributes = st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), text, values), max_size=3)
uint64, uint32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
events = st.builds(Span.Event, time_unix_nano=uint64, name=text, attributes=attributes, dropped_attributes_count=uint32)
links = st.builds(
    Span.Link,
    trace_id=trace_ids,
    span_id=st.binary(min_size=8, max_size=8),
    trace_state=text,
    attributes=attributes,
    dropped_attributes_count=uint32,
    flags=uint32,
)
spans = st.builds(
    Span,
    trace_id=trace_ids,
    span_id=st.binary(min_size=8, max_size=8).filter(lambda value: any(value) and value != b"parentid"),
    parent_span_id=st.sampled_from([b"", b"parentid"]),
    trace_state=text,
    name=text,
    kind=st.integers(0, 5),
    start_time_unix_nano=uint64,
    end_time_unix_nano=uint64,
    attributes=attributes,
    dropped_attributes_count=uint32,
    events=st.lists(events, max_size=2),
    dropped_events_count=uint32,
    links=st.lists(links, max_size=2),
    dropped_links_count=uint32,
    status=st.builds(Status, message=text, code=st.integers(0, 2)),
    flags=uint32,
)
log_records = st.builds(
    LogRecord,
    time_unix_nano=uint64,
    observed_time_unix_nano=uint64,
    severity_number=st.integers(0, 24),
    severity_text=text,
    body=values,
    attributes=attributes,
    dropped_attributes_count=uint32,
    flags=uint32,
    trace_id=st.sampled_from([b"", bytes(range(16))]),
    span_id=st.sampled_from([b"", bytes(range(8))]),
    event_name=text,
)
resources = st.builds(Resource, attributes=attributes, dropped_attributes_count=uint32)
scopes = st.builds(InstrumentationScope, name=text, version=text, attributes=attributes, dropped_attributes_count=uint32)
trace_requests = st.builds(
    lambda resource_spans: ExportTraceServiceRequest(resource_spans=resource_spans),
    st.lists(
        st.builds(
            ResourceSpans,
            resource=resources,
            schema_url=text,
            scope_spans=st.lists(
                st.builds(ScopeSpans, scope=scopes, schema_url=text, spans=st.lists(spans, max_size=2)), max_size=2
            ),
        ),
        max_size=2,
    ),
)
log_requests = st.builds(
    lambda resource_logs: ExportLogsServiceRequest(resource_logs=resource_logs),
    st.lists(
        st.builds(
            ResourceLogs,
            resource=resources,
            schema_url=text,
            scope_logs=st.lists(
                st.builds(ScopeLogs, scope=scopes, schema_url=text, log_records=st.lists(log_records, max_size=2)), max_size=2
            ),
        ),
        max_size=2,
    ),
)


def sized(content: bytes) -> bytes:
    """Return what stands behind the tag of a length-delimited field of Protobuf."""
    return encode_varint(len(content)) + content
