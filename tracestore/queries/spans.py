"""Reads of `spans`: the list, the steps of one trace, and everything of one span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any

from tracestore.clickhouse.attributes import BINARY_TYPES, decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.language import Query
from tracestore.model import Page, Span, SpanEvent, SpanLink, SpanSummary
from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import Call, price_each
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.paging import Position, decode_cursor, read_newest, threads_for
from tracestore.queries.predicates import span_predicate
from tracestore.timerange import MAX_NS, NS_PER_S, TimeRange

# Field of SpanSummary -> expression over `spans`, in the order in which rows are read. cost_usd is computed from them.
_COLUMNS = {
    "trace_id": "lower(hex(trace_id))",
    "span_id": "lower(hex(span_id))",
    "parent_span_id": "if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id)))",
    "start_ns": "toUnixTimestamp64Nano(start_time)",
    "cached_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation_1h_input_tokens": "cache_write_1h_tokens",
    "time_to_first_token_ns": "nullIf(time_to_first_token_ns, 0)",
    **{
        name: name
        for name in (
            "name", "kind", "span_kind", "duration_ns", "status", "status_message", "is_error", "error_type", "error_message",
            "service", "environment", "scope_name", "agent", "version", "workflow", "tool", "tool_call_id", "request_model",
            "response_model", "provider", "finish_reason", "service_tier", "prompt_name", "prompt_version", "session_id",
            "user_id", "signal", "agent_id", "tags",
            "input_tokens", "output_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "supplied_cost_usd",
        )
    },
}  # fmt: skip
_SUMMARY = ", ".join(_COLUMNS.values())
PRICED_KINDS = ("llm", "embedding")
_SPAN_ID, _START_NS = list(_COLUMNS).index("span_id"), list(_COLUMNS).index("start_ns")
# The columns of `spans` that they are made of.
_READ = ", ".join(
    dict.fromkeys(
        [
            "trace_id", "span_id", "parent_span_id", "start_time", "received_at", "time_to_first_token_ns",
            *(expression for expression in _COLUMNS.values() if expression.isidentifier()),
        ]
    )
)  # fmt: skip


def values_of(column: str, types: str) -> str:
    """Return the values of a map as text, those whose bytes need not be UTF-8 in base64."""
    values = f"mapValues({column})"
    return f"arrayMap((x, i) -> {value_of('x', f'substring({types}, i, 1)')}, {values}, arrayEnumerate({values}))"


def value_of(value: str, letter: str) -> str:
    """Return a stored value as text, in base64 where its bytes need not be UTF-8."""
    binary = ", ".join(f"'{letter}'" for letter in BINARY_TYPES)
    return f"if({letter} IN ({binary}), base64Encode({value}), {value})"


def _values_of_each(column: str, types: str) -> str:
    return f"arrayMap((m, t) -> {values_of('m', 't')}, {column}, {types})"


# A span that was sent twice has two rows until a merge: the one received last counts. Two steps as for traces: which rows, then
# all columns of one page.
_FIND_KEYS = f"""
SELECT toUnixTimestamp64Nano(start_time), lower(hex(trace_id)), lower(hex(span_id)), toUnixTimestamp64Nano(received_at)
FROM spans
WHERE {IN_RANGE} AND %s
ORDER BY start_time DESC, trace_id DESC, span_id DESC, received_at DESC
LIMIT 1 BY start_time, trace_id, span_id
LIMIT {{limit:UInt32}}
"""
_GET_BY_KEYS = f"""
SELECT {_SUMMARY}
FROM spans
PREWHERE {IN_RANGE} AND (start_time, trace_id, span_id, received_at) IN (
    SELECT fromUnixTimestamp64Nano(key.1), toFixedString(unhex(key.2), 16), toFixedString(unhex(key.3), 8),
        fromUnixTimestamp64Nano(key.4)
    FROM (
        SELECT arrayJoin(arrayZip({{starts_ns:Array(Int64)}}, {{trace_ids:Array(String)}}, {{span_ids:Array(String)}},
            {{received_ns:Array(Int64)}})) AS key
    )
)
ORDER BY start_time DESC, trace_id DESC, span_id DESC
LIMIT 1 BY start_time, trace_id, span_id
SETTINGS %s
"""
# Spans of a page that start further apart than this lie in many granules.
_SPREAD_NS = 3600 * NS_PER_S
_AFTER_POSITION = (
    "(start_time, trace_id, span_id) < (fromUnixTimestamp64Nano({position_ns:Int64}),"
    " toFixedString(unhex(substring({position_id:String}, 1, 32)), 16),"
    " toFixedString(unhex(substring({position_id:String}, 33)), 8))"
)
# Most traces are so small that their rows are sorted here, copies left out: to plan an order of so many columns takes ClickHouse
# a fifth of the whole time.
_FEW_ROWS = 1000
_ROWS_OF_TRACE = f"""
SELECT toUnixTimestamp64Nano(received_at), {_SUMMARY}
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
LIMIT {{limit:UInt32}}
SETTINGS max_threads = 1
"""
# By name: to analyse `SELECT *` over this table takes a fifth of the whole time.
_SPANS_OF_TRACE = f"""
SELECT {_SUMMARY}
FROM (
    SELECT {_READ}
    FROM spans
    WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
    ORDER BY received_at DESC
    LIMIT 1 BY span_id
)
ORDER BY start_time, span_id
LIMIT {{limit:UInt32}}
"""
_DETAILS = f"""
    mapKeys(attributes), {values_of("attributes", "attribute_types")}, attribute_types,
    mapKeys(resource_attributes), {values_of("resource_attributes", "resource_attribute_types")}, resource_attribute_types,
    mapKeys(scope_attributes), {values_of("scope_attributes", "scope_attribute_types")}, scope_attribute_types,
    event_times_ns, event_names, arrayMap(m -> mapKeys(m), event_attributes),
    {_values_of_each("event_attributes", "event_attribute_types")}, event_attribute_types, event_dropped_attributes_counts,
    link_trace_ids, link_span_ids, link_trace_states, arrayMap(m -> mapKeys(m), link_attributes),
    {_values_of_each("link_attributes", "link_attribute_types")}, link_attribute_types,
    scope_version, trace_state, flags, resource_schema_url, scope_schema_url, dropped_attributes_count, dropped_events_count,
    dropped_links_count, reported_start_ns, reported_end_ns, toUnixTimestamp64Nano(received_at)"""
# One row of one granule: more threads would only wait for each other. Planning so many columns is most of the time, so summary
# and details are read side by side.
_GET_SPAN = f"""
SELECT %s
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND span_id = unhex({{span_id:String}})
ORDER BY received_at DESC
LIMIT 1
SETTINGS max_threads = 1
"""
_GET_SPANS = f"""
SELECT {_SUMMARY}, {_DETAILS}
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
    AND span_id IN (SELECT toFixedString(unhex(arrayJoin({{span_ids:Array(String)}})), 8))
ORDER BY received_at DESC
LIMIT 1 BY span_id
SETTINGS max_threads = 1
"""
# How large each span of a trace is, in the order of the table: the spans of a part of it lie in few granules.
_SIZES = f"""
SELECT lower(hex(span_id)), argMax((toUnixTimestamp64Nano(start_time),
    byteSize(attributes, resource_attributes, event_attributes, link_attributes)), received_at) AS last
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
GROUP BY span_id
ORDER BY intDiv(last.1, 60000000000), span_id
"""
# Of a whole trace so much is in memory at a time: a granule (8,192 rows, 10 MiB) is not read much more often than once.
_PART_SPANS, _PART_BYTES = 1000, 8 * 2**20

# One row when the trace has any span; by id alone, since this is what tells the time range.
_TRACE_TIMES = """
SELECT toUnixTimestamp64Nano(min(min_start_time)), toUnixTimestamp64Nano(max(max_start_time))
FROM trace_index
WHERE project_id = {project_id:UInt32} AND trace_id = unhex({trace_id:String})
GROUP BY trace_id
"""
_COUNT_RECEIVED = """
SELECT sum(received_spans) FROM trace_index
WHERE project_id = {project_id:UInt32} AND trace_id = unhex({trace_id:String})
"""


def find_spans(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 50, cursor: str = ""
) -> Page[SpanSummary]:
    """Return up to `limit` spans that started in the range and match, newest start first.

    `cursor` is the `next_cursor` of the page before. Raises CursorError, QueryTooExpensive or StoreUnavailable.
    """
    position = decode_cursor(cursor, id_digits=48)
    end_ns = min(time_range.end_ns, position.start_ns + 1) if position else time_range.end_ns
    params = Params()
    conditions = [span_predicate(query, params)]
    if position:
        conditions.append(_AFTER_POSITION)
        params.values |= {"position_ns": position.start_ns, "position_id": position.item_id}
    sql = _FIND_KEYS % " AND ".join(conditions)

    def read(start_ns: int, end_ns: int, most: int) -> list[tuple[Any, ...]]:
        return store.query_rows(sql, project_id=project_id, start_ns=start_ns, end_ns=end_ns, limit=most, **params.values)

    keys = read_newest(time_range.start_ns, end_ns, limit + 1, read, at_once=params.are_looked_up)
    spans = _get_by_keys(store, project_id=project_id, keys=keys[:limit])
    if len(keys) <= limit:
        return Page(spans)
    start_ns, trace_id, span_id, _ = keys[limit - 1]
    return Page(spans, Position(start_ns, trace_id + span_id).encode())


def _get_by_keys(store: Store, *, project_id: int, keys: list[tuple[Any, ...]]) -> list[SpanSummary]:
    """Return the spans of these (start_ns, trace id, span id, received_ns) keys, newest first."""
    if not keys:
        return []
    starts_ns, trace_ids, span_ids, received_ns = [list(column) for column in zip(*keys, strict=True)]
    rows = store.query_rows(
        _GET_BY_KEYS % threads_for(starts_ns, _SPREAD_NS), project_id=project_id, start_ns=min(starts_ns),
        end_ns=max(starts_ns) + 1, starts_ns=starts_ns, trace_ids=trace_ids, span_ids=span_ids, received_ns=received_ns,
    )  # fmt: skip
    return _read_spans(rows, project_id)


def find_spans_of_trace(store: Store, *, project_id: int, trace_id: str, time_range: TimeRange, limit: int) -> list[SpanSummary]:
    """Return the spans of one trace that started in the range, in start order, at most `limit`."""
    scope = {
        "project_id": project_id,
        "trace_id": trace_id,
        "start_ns": time_range.start_ns,
        "end_ns": time_range.end_ns,
    }
    copies = store.query_rows(_ROWS_OF_TRACE, **scope, limit=_FEW_ROWS + 1)
    if len(copies) > _FEW_ROWS:
        return _read_spans(store.query_rows(_SPANS_OF_TRACE, **scope, limit=limit), project_id)
    # Of copies the one received last stands.
    last = {row[1 + _SPAN_ID]: row[1:] for row in sorted(copies, key=itemgetter(0))}
    rows = sorted(last.values(), key=itemgetter(_START_NS, _SPAN_ID))
    return _read_spans(rows[:limit], project_id)


def find_trace_times(store: Store, *, project_id: int, trace_id: str) -> TimeRange:
    """Return the range in which all spans of a trace start. Raises TraceNotFound."""
    rows = store.query_rows(_TRACE_TIMES, project_id=project_id, trace_id=trace_id) if is_id(trace_id, 32) else []
    if not rows:
        raise TraceNotFound(f"There is no trace {trace_id}.")
    return TimeRange(rows[0][0], rows[0][1] + 1)


def count_received_spans(store: Store, *, project_id: int, trace_id: str) -> int:
    """Return how many spans of a trace arrived, copies included; 0 when there is none. It grows with each that arrives."""
    rows = store.query_rows(_COUNT_RECEIVED, project_id=project_id, trace_id=trace_id) if is_id(trace_id, 32) else [(0,)]
    return int(rows[0][0])


def get_span(store: Store, *, project_id: int, trace_id: str, span_id: str, time_range: TimeRange | None = None) -> Span:
    """Return everything of one span, its attributes decoded. `time_range` is that of its trace, if known.

    Raises TraceNotFound.
    """
    time_range = time_range or find_trace_times(store, project_id=project_id, trace_id=trace_id)
    scope = {"project_id": project_id, "trace_id": trace_id, "span_id": span_id}
    scope |= {"start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    summaries, details = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    if is_id(span_id, 16):
        with ThreadPoolExecutor(max_workers=1) as beside:
            asked = beside.submit(store.query_rows, _GET_SPAN % _SUMMARY, **scope)
            details = store.query_rows(_GET_SPAN % _DETAILS, **scope)
            summaries = asked.result()
    if not summaries or not details:
        raise TraceNotFound(f"There is no span {span_id} in trace {trace_id}.")
    return _read_details(_read_span(summaries[0], project_id), details[0])


def get_spans(store: Store, *, project_id: int, trace_id: str, span_ids: Sequence[str]) -> list[Span]:
    """Return everything of these spans of a trace, in the order of the ids. Raises TraceNotFound for an unknown trace."""
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    found = {
        span.summary.span_id: span
        for span in _get_spans(store, project_id=project_id, trace_id=trace_id, span_ids=span_ids, time_range=time_range)
    }
    return [found[span_id] for span_id in span_ids if span_id in found]


def stream_spans(store: Store, *, project_id: int, trace_id: str) -> Iterator[list[Span]]:
    """Return everything of all spans of a trace, part by part; time and memory of a part do not grow with the trace.

    Parts follow each other by the minute in which their spans start; each is in start order. Raises TraceNotFound at once, and
    StoreError at once or from the iterator.
    """
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    scope: dict[str, Any] = {"project_id": project_id, "trace_id": trace_id}
    sizes = store.query_rows(_SIZES, **scope, start_ns=time_range.start_ns, end_ns=time_range.end_ns)
    return (_get_part(store, scope, part) for part in _parts(sizes))


def _parts(sizes: list[tuple[str, tuple[int, int]]]) -> Iterator[list[tuple[str, tuple[int, int]]]]:
    """Yield runs of (span id, (start in ns, bytes)) that are small enough for one part, each of at least one span."""
    part: list[tuple[str, tuple[int, int]]] = []
    part_bytes = 0
    for span in sizes:
        _, (_, span_bytes) = span
        if part and (len(part) == _PART_SPANS or part_bytes + span_bytes > _PART_BYTES):
            yield part
            part, part_bytes = [], 0
        part.append(span)
        part_bytes += span_bytes
    if part:
        yield part


def _get_part(store: Store, scope: dict[str, Any], part: list[tuple[str, tuple[int, int]]]) -> list[Span]:
    starts_ns = [start_ns for _, (start_ns, _) in part]
    time_range = TimeRange(min(starts_ns), max(starts_ns) + 1)
    spans = _get_spans(store, **scope, span_ids=[span_id for span_id, _ in part], time_range=time_range)
    return sorted(spans, key=lambda span: (span.summary.start_ns, span.summary.span_id))


def _get_spans(store: Store, *, project_id: int, trace_id: str, span_ids: Sequence[str], time_range: TimeRange) -> list[Span]:
    """Return everything of these spans of a trace that start in the range, in no order."""
    rows = store.query_rows(
        _GET_SPANS, project_id=project_id, trace_id=trace_id, span_ids=list(span_ids), start_ns=time_range.start_ns,
        end_ns=time_range.end_ns,
    )  # fmt: skip
    width = len(_COLUMNS)
    return [_read_details(summary, row[width:]) for summary, row in zip(_read_spans(rows, project_id), rows, strict=True)]


def is_id(text: str, digits: int) -> bool:
    return len(text) == digits and all(digit in "0123456789abcdef" for digit in text)


def _read_span(row: tuple[Any, ...], project_id: int) -> SpanSummary:
    return _read_spans([row], project_id)[0]


def _read_spans(rows: Sequence[tuple[Any, ...]], project_id: int) -> list[SpanSummary]:
    """Return the spans of rows that begin with _COLUMNS. Calls are priced; agents and chains repeat the tokens of those below."""
    spans = [dict(zip(_COLUMNS, row, strict=False)) for row in rows]
    priced = [values for values in spans if values["kind"] in PRICED_KINDS]
    calls = [
        Call(
            values["provider"], values["request_model"], values["response_model"], values["service_tier"], values["start_ns"],
            TokenUsage(
                values["input_tokens"], values["output_tokens"], values["cached_input_tokens"],
                values["cache_creation_input_tokens"], values["reasoning_tokens"], values["cache_creation_1h_input_tokens"],
                values["input_audio_tokens"], values["output_audio_tokens"],
            ),
        )
        for values in priced
    ]  # fmt: skip
    for values, cost_usd in zip(priced, price_each(calls, project_id), strict=True):
        values["cost_usd"] = cost_usd
    return [SpanSummary(**{"cost_usd": None} | values | {"tags": tuple(values["tags"])}) for values in spans]


def _read_details(summary: SpanSummary, row: tuple[Any, ...]) -> Span:
    attributes, resource, scope, events, links, rest = row[0:3], row[3:6], row[6:9], row[9:15], row[15:21], row[21:]
    return Span(
        summary,
        decode_attributes(*attributes),
        decode_attributes(*resource),
        rest[0],
        decode_attributes(*scope),
        [
            SpanEvent(min(time_ns, MAX_NS), name, decode_attributes(keys, values, types), dropped)
            for time_ns, name, keys, values, types, dropped in zip(*events, strict=True)
        ],
        [
            SpanLink(trace_id, span_id, trace_state, decode_attributes(keys, values, types))
            for trace_id, span_id, trace_state, keys, values, types in zip(*links, strict=True)
        ],
        *rest[1:],
    )
