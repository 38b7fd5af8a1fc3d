"""Tables of spans as the summary job reads them (queries.summaries.SPANS_OF_TRACES), without a store."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tracestore.summary.columns import SpanColumns
from tracestore.summary.rows import build_rows

START_NS = 1_790_000_000 * 10**9
TIMEOUT_NS = 600 * 10**9
LATER_NS = START_NS + 10 * TIMEOUT_NS  # long after every span of these tests

_TEXT = pa.dictionary(pa.int32(), pa.binary())
_TYPES = {
    "trace_id": pa.binary(16), "span_id": pa.binary(8), "parent_span_id": pa.binary(8), "start_ns": pa.int64(),
    "duration_ns": pa.uint64(), "flags": pa.uint32(), "is_error": pa.bool_(), "input_tokens": pa.uint64(),
    "output_tokens": pa.uint64(), "cache_read_tokens": pa.uint64(), "cache_write_tokens": pa.uint64(),
    "reasoning_tokens": pa.uint64(), "cache_write_1h_tokens": pa.uint64(), "input_audio_tokens": pa.uint64(),
    "output_audio_tokens": pa.uint64(), "time_to_first_token_ns": pa.uint64(), "arguments_hash": pa.uint64(),
    "supplied_cost_usd": pa.float64(), "error_message":
    pa.binary(), "response_id": pa.binary(),
    "tool_call_id": pa.binary(), "session_id": pa.binary(), "user_id": pa.binary(), "attribute_codes": pa.list_(pa.uint64()),
}  # fmt: skip
_LABELS = (
    "name", "span_kind", "kind", "status", "error_type", "service", "environment", "scope_name", "agent", "version", "workflow",
    "request_model", "response_model", "provider", "tool", "prompt_name", "prompt_version", "signal", "service_tier",
)  # fmt: skip

Span = dict[str, Any]


def span(span_id: str, parent: str = "", start: int = 0, end: int = 0, kind: str = "other", **overrides: Any) -> Span:
    """Return the least span. Ids are any text of up to eight characters; `start` and `end` are milliseconds of the trace.

    An `error` gives status, flag and type at once; `tokens` is (input, output).
    """
    error, tokens = overrides.pop("error", ""), overrides.pop("tokens", (0, 0))
    values: Span = dict.fromkeys(_LABELS, "") | dict.fromkeys(_TYPES, 0)
    values |= {
        "trace_id": "trace", "span_id": span_id, "parent_span_id": parent, "start_ns": START_NS + start * 10**6,
        "duration_ns": max(end - start, 0) * 10**6, "name": span_id, "span_kind": "internal", "kind": kind,
        "status": "error" if error else "unset", "is_error": bool(error), "error_type": error, "service": "bot",
        "environment": "default", "supplied_cost_usd": None, "input_tokens": tokens[0], "output_tokens": tokens[1],
        "error_message": "", "response_id": "", "tool_call_id": "", "session_id": "", "user_id": "",
        "attribute_codes": [],
    }  # fmt: skip
    unknown = set(overrides) - set(values)
    if unknown:
        raise ValueError(f"spans have no column {sorted(unknown)}")
    return values | overrides


ROOT = span("root", end=100, kind="agent")


def build_columns(spans: list[Span]) -> SpanColumns:
    """Return the spans as the job gets them: by trace, start and id."""
    rows = [{name: _encode(name, value) for name, value in values.items()} for values in spans]
    rows.sort(key=lambda row: (row["trace_id"], row["start_ns"], row["span_id"]))
    columns = {name: pa.array([row[name] for row in rows], type=_TYPES.get(name, pa.binary())) for name in (*_LABELS, *_TYPES)}
    return SpanColumns(pa.table({name: array.cast(_TEXT) if name in _LABELS else array for name, array in columns.items()}))


def _encode(name: str, value: Any) -> Any:
    raw = value.encode() if isinstance(value, str) else value
    widths = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
    return raw.ljust(widths[name], b"\0") if name in widths else raw


def summarize(*spans: Span, now_ns: int = LATER_NS) -> dict[str, Any]:
    """Return the `traces` row of the one trace that these spans are; ids as text again."""
    rows = summarize_all(list(spans), now_ns=now_ns)
    assert len(rows) == 1, "these spans are of several traces"
    return rows[0]


def summarize_all(spans: list[Span], now_ns: int = LATER_NS) -> list[dict[str, Any]]:
    """Return one `traces` row per trace."""
    columns = build_rows(build_columns(spans), now_ns=now_ns, running_timeout_ns=TIMEOUT_NS)
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    for row in rows:
        for name in ("trace_id", "root_span_id", "failing_span_id"):
            row[name] = row[name].rstrip(b"\0").decode()
    return rows
