"""Spans of every sender through the real view: each file asks one thing of them, in tables of cases named after their senders.

A new sender's spans go beside those of the others: which kinds of step they are into test_kinds.py, what they used into
test_tokens.py, and so on. Cases of one table are one insert: planning the view costs far more than running it on a few spans.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.spans import any_value, key_values
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.semconv.fields import FIRST_TOKEN_UNITS_NS

START_NS = 1_790_000_000 * 10**9
RECEIVED_NS = START_NS + 10**9
batch_seqs = itertools.count(1)

Row = dict[str, Any]
# Case -> span, alone or with what is expected of it.
Cases = Mapping[Any, Row] | Mapping[Any, tuple[Row, Any]]
RowsOf = Callable[[Cases], dict[Any, Row]]

COLUMNS = (
    "name", "kind", "service", "environment", "workflow", "agent", "version", "request_model", "response_model", "provider",
    "response_id", "service_tier", "agent_id", "arrayStringConcat(tags, '|') AS tags",
    "finish_reason", "tool", "tool_call_id", "prompt_name", "prompt_version", "session_id", "user_id", "is_error", "error_type",
    "error_message", "signal", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "supplied_cost_usd", "duration_ns", "status", "span_kind", "cache_write_1h_tokens", "input_audio_tokens",
    "output_audio_tokens", "time_to_first_token_ns",
)  # fmt: skip


def build_span(
    attributes: dict[str, Any] | list[tuple[str, Any]] | None = None, resource: dict[str, Any] | None = None, **overrides: Any
) -> Row:
    """Return the least span: attributes, resource, and overrides of what else OTLP says of it."""
    return {"attributes": attributes or {}, "resource": resource or {}, **overrides}


def add_to(request: ExportTraceServiceRequest, number: int, values: Row) -> None:
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values(values["resource"]))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = values.get("scope", "")
    span = scope_spans.spans.add()
    span.trace_id = values.get("trace_id", b"\x01" * 16)
    span.span_id = values.get("span_id", number.to_bytes(8, "big"))
    span.parent_span_id = values.get("parent_span_id", b"")
    span.name = values.get("name", "step")
    span.kind = values.get("kind", 0)
    span.start_time_unix_nano = values.get("start_ns", START_NS)
    span.end_time_unix_nano = values.get("end_ns", START_NS + 1000)
    span.status.code, span.status.message = values.get("status", 0), values.get("status_message", "")
    pairs = values["attributes"].items() if isinstance(values["attributes"], dict) else values["attributes"]
    span.attributes.extend(KeyValue(key=key, value=any_value(value)) for key, value in pairs)
    for name, attributes in values.get("events", ()):
        span.events.add(name=name, time_unix_nano=values.get("event_ns", START_NS), attributes=key_values(attributes))


def store_spans(store: Store, spans: list[Row], columns: tuple[str, ...] = COLUMNS) -> list[Row]:
    """Insert the spans in one batch and return their rows in the same order; the flags of a span carry its number."""
    request, batch_seq = ExportTraceServiceRequest(), next(batch_seqs)
    for number, values in enumerate(spans, start=1):
        add_to(request, number, values)
        request.resource_spans[-1].scope_spans[0].spans[0].flags = number
    insert_batch(store, [(1, RECEIVED_NS, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)
    rows = store.query_rows(
        f"SELECT flags, {', '.join(columns)} FROM spans WHERE writer = 'semconv' AND batch_seq = {{seq:UInt64}} ORDER BY flags",
        seq=batch_seq,
    )
    names = [column.rsplit(" AS ", 1)[-1] for column in columns]
    by_number = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    return [by_number[number] for number in range(1, len(spans) + 1)]


@pytest.fixture(scope="module")
def rows_of(_migrated_store: Store) -> Iterator[RowsOf]:
    """Return the stored rows of a module's table by case; each table is inserted once."""
    stored: dict[int, dict[Any, Row]] = {}

    def rows(cases: Cases) -> dict[Any, Row]:
        if id(cases) not in stored:
            spans = [sent[0] if isinstance(sent, tuple) else sent for sent in cases.values()]
            stored[id(cases)] = dict(zip(cases, store_spans(_migrated_store, spans), strict=True))
        return stored[id(cases)]

    yield rows
    for table in ("spans", "trace_touches", "trace_index"):
        _migrated_store.command(f"TRUNCATE TABLE {table}")


def first_token_value(key: str, after_ns: int = 250_000_000) -> Any:
    """Return how an attribute says that the first token came that long after the start."""
    unit_ns = FIRST_TOKEN_UNITS_NS.get(key)
    moment = datetime.fromtimestamp((START_NS + after_ns) / 1e9, UTC)
    return after_ns / unit_ns if unit_ns else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def raised(error: str, message: str = "") -> list[tuple[str, dict[str, Any]]]:
    return [("exception", {"exception.type": error, "exception.message": message})]
