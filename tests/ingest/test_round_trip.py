"""Whatever opentelemetry-proto can say, sent as Protobuf and as JSON: the same rows, and the message again when they are read."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.otlp.check import check_json, check_protobuf
from tests.otlp_messages import attributes, spans, to_otlp_dict
from tracestore.clickhouse.attributes import _any_value
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.queries.spans import get_span

_batches = itertools.count(1)


def _read(pairs: Any) -> dict[str, Any]:
    """Return attributes as they are shown; of a key sent twice the last value counts."""
    return {pair.key: _any_value(pair.value) for pair in pairs}


@given(sent=st.lists(spans, min_size=1, max_size=12), resource=attributes)
@hypothesis_settings(max_examples=5, deadline=None, phases=[Phase.generate])
def test_any_span_is_read_as_it_was_sent(store: Store, sent: list[Span], resource: list[KeyValue]) -> None:
    request = ExportTraceServiceRequest()
    envelope = request.resource_spans.add()
    envelope.resource.attributes.extend(resource)
    number = next(_batches)
    for index, span in enumerate(sent):
        # Ids of their own, and times that are kept as they are.
        span.trace_id, span.span_id = number.to_bytes(8, "big") + bytes(7) + b"\1", (index + 1).to_bytes(8, "big")
        span.parent_span_id = b""
        span.start_time_unix_nano = time.time_ns() + span.start_time_unix_nano % 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + span.end_time_unix_nano % 10**9
    envelope.scope_spans.add().spans.extend(sent)
    received_ns = time.time_ns()
    bodies = {1: check_protobuf(request.SerializeToString()), 2: check_json(json.dumps(to_otlp_dict(request)).encode())}
    for project_id, checked in bodies.items():
        assert checked.accepted == len(sent)
        payload = stamp(checked.payload, ingest_key="", spans=len(sent))
        insert_batch(store, [(project_id, received_ns, payload)], writer=f"round-trip-{project_id}", batch_seq=number)

    for span in sent:
        trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
        stored, from_json = (get_span(store, project_id=project_id, trace_id=trace_id, span_id=span_id) for project_id in bodies)
        assert from_json == stored
        assert stored.attributes == _read(span.attributes)
        assert stored.resource_attributes == _read(resource)
        assert [event.attributes for event in stored.events] == [_read(event.attributes) for event in span.events]
        assert [link.attributes for link in stored.links] == [_read(link.attributes) for link in span.links]
        assert [event.name for event in stored.events] == [event.name for event in span.events]
        assert (stored.trace_state, stored.flags) == (span.trace_state, span.flags)
        assert stored.summary.name == (span.name or "unknown")
        assert (stored.reported_start_ns, stored.reported_end_ns) == (span.start_time_unix_nano, span.end_time_unix_nano)
        assert stored.dropped_attributes_count == span.dropped_attributes_count
        assert (stored.dropped_events_count, stored.dropped_links_count) == (span.dropped_events_count, span.dropped_links_count)
