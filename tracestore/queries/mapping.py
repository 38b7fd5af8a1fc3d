"""What rules would make of one span: the span view's own expressions, run over it without storing anything."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import encode_batch, read_schema
from tracestore.clickhouse.views.lookups import MAPPING_TYPE, literal, slots
from tracestore.clickhouse.views.span_view import otlp_to_spans, stored_to_spans, why_otlp, why_stored
from tracestore.queries.spans import find_trace_times
from tracestore.semconv.fields import MAPPED_FIELDS

# A server takes at most 128 KiB for one parameter, and base64 makes it longer by a third.
MAX_BODY_BYTES = 90_000
FIELDS = (
    "name", "kind", "signal", "session_id", "user_id", "service", "environment", "version", "workflow", "agent", "tool",
    "tool_call_id", "request_model", "response_model", "provider", "response_id", "finish_reason", "prompt_name",
    "prompt_version", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "supplied_cost_usd", "time_to_first_token_ns", "is_error", "error_type", "error_message",
)  # fmt: skip
_STRUCTURE = """
SELECT arrayStringConcat(groupArray(concat(name, ' ', type)), ', ') FROM
(SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'otlp_mapped_traces' ORDER BY position)
"""
_ONE_SPAN = (
    "spans WHERE project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})"
    " AND start_time < fromUnixTimestamp64Nano({end_ns:Int64}) AND trace_id = unhex({trace_id:String})"
    " AND span_id = unhex({span_id:String}) ORDER BY received_at DESC LIMIT 1"
)
_TOOL_MATCHES = f"arrayMap(r -> tool != '' AND match(tool, r.1), JSONExtract({{mapping:String}}, {literal(MAPPING_TYPE)}).2)"


@dataclass(frozen=True)
class Reading:
    """One span as it is read: canonical field -> value; where the value is from, by field; what each rule says of it.

    `origins` has only the fields that an attribute fills directly: "rule", or the attribute's name. `rule_values` are those of
    the rules about attributes and names, in order, "" for a rule that does not match; `tool_matches` of those about tools.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    rule_values: list[str]
    tool_matches: list[bool]


def read_request(store: Store, body: bytes, *, mapping: str) -> Reading | None:
    """Return how the first span of a serialized ExportTraceServiceRequest is read; None for a span that is left out."""
    ((structure,),) = store.query_rows(_STRUCTURE)
    message = b"".join(encode_batch([(0, 10**18, body)], writer="", batch_seq=0, mappings={0: mapping}))
    table = f"format('Protobuf', {literal(str(structure))}, base64Decode({{body:String}}))"
    settings = (
        f" SETTINGS format_schema_source = 'string', format_schema = {literal(read_schema())},"
        " format_schema_message_name = 'ExportTraceServiceRequest'"
    )
    values = {"body": base64.b64encode(message).decode(), "mapping": mapping}
    return _read(store, otlp_to_spans(table, by_rules=True), why_otlp(table), settings, values)


def read_stored(store: Store, *, project_id: int, trace_id: str, span_id: str, mapping: str) -> Reading | None:
    """Return how a stored span would be read; None when there is none. Raises TraceNotFound."""
    times = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    values: dict[str, Any] = {
        "project_id": project_id, "start_ns": times.start_ns, "end_ns": times.end_ns, "trace_id": trace_id, "span_id": span_id,
        "mapping": mapping,
    }  # fmt: skip
    source = f"(SELECT * FROM {_ONE_SPAN})"
    return _read(store, stored_to_spans(source), why_stored(source), "", values)


def _read(store: Store, spans: str, why: str, settings: str, values: dict[str, Any]) -> Reading | None:
    rows = store.query_rows(f"SELECT {', '.join(FIELDS)}, {_TOOL_MATCHES} FROM ({spans}) LIMIT 1{settings}", **values)
    if not rows:
        return None
    *read, tool_matches = rows[0]
    targets = [*MAPPED_FIELDS, "rule_values"]
    reasons = dict(
        zip(targets, store.query_rows(f"SELECT {', '.join(targets)} FROM ({why}) LIMIT 1{settings}", **values)[0], strict=True)
    )
    names = {str(slot): name for name, slot in slots().items()}
    origins = {}
    for target in MAPPED_FIELDS:
        if place := str(reasons[target]):
            name = names.get(place, place)
            origins[target] = "rule" if name.startswith("mapped:") else name.removeprefix("told:")
    return Reading(
        dict(zip(FIELDS, read, strict=True)), origins, list(reasons["rule_values"]), [bool(hit) for hit in tool_matches]
    )
