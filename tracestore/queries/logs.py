"""Reads of `logs`: the list, the records of one trace, and what joins those that do not name it (docs/ingest.md)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.clickhouse.views.lookups import literal, literals
from tracestore.language import Query
from tracestore.model import AgentEvents, FacetValue, LogRecord, Page
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.paging import Position, decode_cursor, read_newest
from tracestore.queries.predicates import REACH_DAYS, log_predicate
from tracestore.queries.spans import is_id, value_of, values_of
from tracestore.semconv.errors import REQUEST_ERROR, REQUEST_ERROR_EVENTS, REQUEST_EVENTS
from tracestore.semconv.signals import ACCEPTED, BY_PERSON, DECISION_EVENTS
from tracestore.timerange import MAX_NS, NS_PER_S, TimeRange

# What an agent logs before its first span starts (its settings, its plugins) belongs to the run as well.
_BEFORE_RUN_NS = 10 * NS_PER_S
# A page ends early rather than holding more than this; a single record may.
_PAGE_BYTES = 8 * 2**20
_REACH_NS = REACH_DAYS * 86_400 * NS_PER_S

_NO_TRACE = "toFixedString('', 16)"
_OF_TRACE = "trace_id = unhex({trace_id:String})"


def _within(name: str) -> str:
    """Return the condition that a record lies in the time range bound as <name>_start_ns and <name>_end_ns."""
    return (
        f"project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{{name}_start_ns:Int64}})"
        f" AND time < fromUnixTimestamp64Nano({{{name}_end_ns:Int64}})"
    )


# By id alone, since this tells the time ranges: when the spans start, and when the records that name the trace were written.
_TIMES = f"""
SELECT 'spans', toUnixTimestamp64Nano(min(min_start_time)), toUnixTimestamp64Nano(max(max_start_time))
FROM trace_index WHERE project_id = {{project_id:UInt32}} AND {_OF_TRACE} GROUP BY trace_id
UNION ALL
SELECT 'named', toUnixTimestamp64Nano(min(min_time)), toUnixTimestamp64Nano(max(max_time))
FROM log_index WHERE project_id = {{project_id:UInt32}} AND {_OF_TRACE} GROUP BY trace_id
"""
_SESSIONS = f"SELECT session_id FROM spans WHERE {IN_RANGE} AND {_OF_TRACE} AND session_id != ''"
_RESPONSES = f"SELECT response_id FROM spans WHERE {IN_RANGE} AND {_OF_TRACE} AND response_id != ''"
_LAST_END = (
    f"(SELECT fromUnixTimestamp64Nano(max(toUnixTimestamp64Nano(start_time) + toInt64(least(duration_ns, {_REACH_NS}))))"
    f" FROM spans WHERE {IN_RANGE} AND {_OF_TRACE})"
)
# When the records were written that name a response of the trace, or its session while it ran.
_JOIN_TIMES = f"""
SELECT 'response', toUnixTimestamp64Nano(min(min_time)), toUnixTimestamp64Nano(max(max_time))
FROM log_index
WHERE project_id = {{project_id:UInt32}} AND trace_id = {_NO_TRACE} AND response_id IN ({_RESPONSES})
GROUP BY project_id
UNION ALL
SELECT 'session', toUnixTimestamp64Nano(min(time)), toUnixTimestamp64Nano(max(time))
FROM logs
WHERE project_id = {{project_id:UInt32}} AND time >= fromUnixTimestamp64Nano({{start_ns:Int64}} - {_BEFORE_RUN_NS})
    AND time <= {_LAST_END} AND trace_id = {_NO_TRACE} AND session_id IN ({_SESSIONS})
GROUP BY project_id
"""
# How records are joined -> those in the range of that name. Only what has any is read.
_BRANCHES = {
    "named": f"""
    SELECT time AS moment, record_id, if(span_id = toFixedString('', 8), '', lower(hex(span_id))) AS step,
        'trace_id' AS joined_by, tool_call_id
    FROM logs WHERE {_within("named")} AND {_OF_TRACE}""",
    # Of several spans about one response the innermost, which starts last.
    "response": f"""
    SELECT moment, record_id, lower(hex(span_id)) AS step, 'response_id' AS joined_by, tool_call_id
    FROM
    (
        SELECT time AS moment, record_id, response_id, tool_call_id
        FROM logs WHERE {_within("response")} AND trace_id = {_NO_TRACE} AND response_id != ''
    ) AS record
    INNER JOIN
    (
        SELECT response_id, argMax(span_id, start_time) AS span_id
        FROM spans WHERE {IN_RANGE} AND {_OF_TRACE} GROUP BY response_id
    ) AS span USING (response_id)""",
    "session": f"""
    SELECT time AS moment, record_id, '' AS step, 'session_id' AS joined_by, tool_call_id
    FROM logs
    WHERE {_within("session")} AND trace_id = {_NO_TRACE} AND session_id IN ({_SESSIONS})
        AND (response_id = '' OR response_id NOT IN ({_RESPONSES}))""",
}
# A record that was sent twice has two rows until a merge; one without a time of its own has them at two times.
_KEYS = """
SELECT toUnixTimestamp64Nano(min(moment)) AS first_ns, record_id, any(step), any(joined_by)
FROM
(%s
)
WHERE %s
GROUP BY record_id
HAVING (first_ns, record_id) > ({position_ns:Int64}, {position_id:UInt64})
ORDER BY first_ns, record_id
LIMIT {limit:UInt32}
"""
_EVERY = "true"
_OF_STEP = "step = {span_id:String} OR (tool_call_id != '' AND tool_call_id = {tool_call_id:String})"
_OF_STEPS = "step IN {span_ids:Array(String)} OR (tool_call_id != '' AND tool_call_id IN {tool_call_ids:Array(String)})"
_OF_NO_STEP = f"step = '' OR step NOT IN (SELECT lower(hex(span_id)) FROM spans WHERE {IN_RANGE} AND {_OF_TRACE})"
_OF_KEYS = (
    f"{_within('page')} AND %s AND (toUnixTimestamp64Nano(time), record_id)"
    " IN (SELECT pair.1, pair.2 FROM (SELECT arrayJoin(arrayZip({times_ns:Array(Int64)}, {record_ids:Array(UInt64)})) AS pair))"
)
_OF_ANY_TRACE, _OF_THE_TRACE = "true", f"trace_id IN (unhex({{trace_id:String}}), {_NO_TRACE})"
# Of a list: newest first, in the windows of paging.py. A record that was sent twice is shown once.
_FIND_KEYS = f"""
SELECT toUnixTimestamp64Nano(time) AS time_ns, record_id, if(span_id = toFixedString('', 8), '', lower(hex(span_id))),
    if(trace_id = {_NO_TRACE}, '', 'trace_id')
FROM logs
WHERE {_within("window")} AND %s
ORDER BY time DESC, record_id DESC
LIMIT 1 BY record_id
LIMIT {{limit:UInt32}}
"""
# The steps that wrote a text: of records that name trace and span.
_SEARCH = f"""
SELECT DISTINCT lower(hex(span_id))
FROM logs
WHERE {_within("named")} AND {_OF_TRACE} AND span_id != toFixedString('', 8) AND arrayExists(
    text -> positionCaseInsensitiveUTF8(text, {{wanted:String}}) > 0,
    arrayConcat([body, event_name], mapKeys(attributes), mapValues(attributes))
)
LIMIT {{limit:UInt32}}
SETTINGS max_execution_time = 5
"""
_AFTER_POSITION = "(time, record_id) < (fromUnixTimestamp64Nano({position_ns:Int64}), {position_id:UInt64})"
# Field of the language -> column whose values are offered while a person types.
COUNTED = {"event": "event_name", "service": "service", "scope": "scope_name"}
_COUNT_VALUES = f"""
SELECT %s AS value, uniq(record_id) AS count, 0 AS failed
FROM logs WHERE {_within("window")} AND value != ''
GROUP BY value ORDER BY count DESC, value LIMIT {{limit:UInt32}}
SETTINGS max_execution_time = 1
"""
_SIZES = f"""
SELECT record_id, byteSize(body, attributes, resource_attributes, scope_attributes)
FROM logs WHERE {_OF_KEYS}
LIMIT 1 BY record_id
"""
# Columns that are fields of LogRecord as they are.
_PLAIN = (
    "severity_number", "severity_text", "event_name", "service", "session_id", "response_id", "tool_call_id", "scope_name",
    "scope_version", "resource_schema_url", "scope_schema_url", "flags", "dropped_attributes_count", "reported_time_ns",
    "observed_time_ns",
)  # fmt: skip
_ROWS = f"""
SELECT record_id, toUnixTimestamp64Nano(time), toUnixTimestamp64Nano(received_at),
    if(trace_id = {_NO_TRACE}, '', lower(hex(trace_id))), {value_of("body", "body_type")}, body_type,
    mapKeys(attributes), {values_of("attributes", "attribute_types")}, attribute_types,
    mapKeys(resource_attributes), {values_of("resource_attributes", "resource_attribute_types")}, resource_attribute_types,
    mapKeys(scope_attributes), {values_of("scope_attributes", "scope_attribute_types")}, scope_attribute_types,
    {", ".join(_PLAIN)}
FROM logs WHERE {_OF_KEYS}
ORDER BY received_at
LIMIT 1 BY record_id
"""


# What coding agents say in records alone; a record that was sent twice counts once. Where decisions are read from the body, the
# fields stand in the attributes all the same (both agents' manuals).
_AGENT_EVENTS = f"""
SELECT countIf(decided AND by_person AND yes), countIf(decided AND by_person AND NOT yes), countIf(decided AND NOT by_person),
    countIf(NOT decided)
FROM
(
    SELECT record_id, any(event_name) IN ({literals(DECISION_EVENTS)}) AS decided,
        lower(any(attributes['decision'])) IN ({literals(ACCEPTED)}) AS yes,
        match(lower(any(attributes['source'])), {literal(BY_PERSON)}) AS by_person
    FROM logs
    WHERE %s AND (event_name IN ({literals((*DECISION_EVENTS, *REQUEST_ERROR_EVENTS))})
        OR event_name IN ({literals(REQUEST_EVENTS)}) AND attributes[{literal(REQUEST_ERROR)}] != '')
    GROUP BY record_id
)
"""
_EVENT_BRANCHES = {
    "named": f"{_within('named')} AND {_OF_TRACE}",
    "session": f"{_within('session')} AND trace_id = {_NO_TRACE} AND session_id IN ({_SESSIONS})",
}


@dataclass(frozen=True)
class LogLocation:
    """Where the records of a trace lie: how some are joined (keys of _BRANCHES) and the bounds in ns of what that reads."""

    project_id: int
    trace_id: str
    joins: list[str]
    bounds: dict[str, int]


@dataclass(frozen=True)
class _Key:
    """A record in the list of a trace; `step` is the span id it belongs to, "" for none."""

    time_ns: int
    record_id: int
    step: str
    joined_by: str


def find_logs_of_trace(store: Store, *, project_id: int, trace_id: str, limit: int = 50, cursor: str = "") -> Page[LogRecord]:
    """Return up to `limit` records of a trace, oldest first; fewer when they are large.

    Raises TraceNotFound when neither a span nor a record names the trace, CursorError, QueryTooExpensive or StoreUnavailable.
    """
    return _find(store, _EVERY, locate_logs(store, project_id=project_id, trace_id=trace_id), limit=limit, cursor=cursor)


def search_logs_of_steps(store: Store, *, project_id: int, trace_id: str, text: str, limit: int) -> list[str]:
    """Return ids of spans that wrote a record which holds the text, in any case; at most `limit`, in no order.

    Raises QueryTooExpensive when the records cannot be read in five seconds, and StoreUnavailable.
    """
    common: dict[str, Any] = {"project_id": project_id, "trace_id": trace_id}
    named = _read_ranges(store.query_rows(_TIMES, **common)).get("named") if is_id(trace_id, 32) else None
    if named is None:
        return []
    bounds = {"named_start_ns": named.start_ns, "named_end_ns": named.end_ns}
    return [span_id for (span_id,) in store.query_rows(_SEARCH, **common, **bounds, wanted=text, limit=limit)]


def find_logs_of_step(store: Store, located: LogLocation, *, span_id: str, tool_call_id: str, limit: int) -> Page[LogRecord]:
    """Return the records that belong to a step, or to the tool call that it is (`tool_call_id`, "" for none); oldest first."""
    return _find(store, _OF_STEP, located, limit=limit, span_id=span_id, tool_call_id=tool_call_id)


def find_logs_of_steps(
    store: Store, located: LogLocation, *, span_ids: list[str], tool_call_ids: list[str], limit: int
) -> Page[LogRecord]:
    """Return the records that belong to any of these steps, or to a tool call that one of them is; oldest first."""
    return _find(store, _OF_STEPS, located, limit=limit, span_ids=span_ids, tool_call_ids=tool_call_ids)


def find_logs_of_no_step(store: Store, located: LogLocation, *, limit: int) -> Page[LogRecord]:
    """Return the records of a trace that belong to none of its spans, oldest first."""
    return _find(store, _OF_NO_STEP, located, limit=limit)


def find_logs(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 50, cursor: str = ""
) -> Page[LogRecord]:
    """Return up to `limit` records of the range that match (`query` is of parse_log_query), newest first; fewer when large.

    Raises CursorError, QueryTooExpensive or StoreUnavailable.
    """
    position = decode_cursor(cursor, id_digits=16)
    end_ns = min(time_range.end_ns, position.start_ns + 1) if position else time_range.end_ns
    params = Params()
    conditions = [log_predicate(query, params)]
    if position:
        conditions.append(_AFTER_POSITION)
        params.values |= {"position_ns": position.start_ns, "position_id": int(position.item_id, 16)}
    sql = _FIND_KEYS % " AND ".join(conditions)

    def read(start_ns: int, end_ns: int, most: int) -> list[tuple[Any, ...]]:
        scope = {"project_id": project_id, "window_start_ns": start_ns, "window_end_ns": end_ns}
        return store.query_rows(sql, **scope, **params.values, limit=most)

    keys = [_Key(*row) for row in read_newest(time_range.start_ns, end_ns, limit + 1, read)]
    common: dict[str, Any] = {"project_id": project_id}
    page = _fitting(store, keys[:limit], common)
    last = page[-1] if len(page) < len(keys) else None
    return Page(_read(store, page, common), Position(last.time_ns, f"{last.record_id:016x}").encode() if last else "")


def get_log(store: Store, *, project_id: int, time_ns: int, record_id: str) -> LogRecord | None:
    """Return the record of that time and id, None when there is none."""
    if not is_id(record_id, 16) or not 0 <= time_ns < MAX_NS:
        return None
    return next(iter(_read(store, [_Key(time_ns, int(record_id, 16), "", "")], {"project_id": project_id})), None)


def count_log_values(store: Store, *, project_id: int, time_range: TimeRange, field: str, limit: int) -> list[FacetValue]:
    """Count the records of the range by value of a field of COUNTED, most frequent first, in a second at most."""
    bounds = {"window_start_ns": time_range.start_ns, "window_end_ns": time_range.end_ns}
    return store.query(_COUNT_VALUES % COUNTED[field], FacetValue, project_id=project_id, limit=limit, **bounds)


def count_agent_events(store: Store, located: LogLocation) -> AgentEvents:
    """Count what a coding agent's records of this trace say about approvals and failed requests."""
    branches = [_EVENT_BRANCHES[name] for name in located.joins if name in _EVENT_BRANCHES]
    if not branches:
        return AgentEvents()
    sql = _AGENT_EVENTS % f"({' OR '.join(f'({branch})' for branch in branches)})"
    (row,) = store.query_rows(sql, project_id=located.project_id, trace_id=located.trace_id, **located.bounds)
    return AgentEvents(*row)


def get_log_record(store: Store, *, project_id: int, trace_id: str, record_id: str) -> LogRecord:
    """Return one record of a trace. Raises TraceNotFound."""
    number = int(record_id, 16) if is_id(record_id, 16) else 0
    located = locate_logs(store, project_id=project_id, trace_id=trace_id)
    found = _find(store, "record_id = {record_id:UInt64}", located, limit=1, record_id=number).items
    if not found:
        raise TraceNotFound(f"There is no log record {record_id} in trace {trace_id}.")
    return found[0]


def locate_logs(store: Store, *, project_id: int, trace_id: str) -> LogLocation:
    """Return when records of a trace were written, by how they are joined to it. Raises TraceNotFound."""
    common: dict[str, Any] = {"project_id": project_id, "trace_id": trace_id}
    ranges = _read_ranges(store.query_rows(_TIMES, **common)) if is_id(trace_id, 32) else {}
    if not ranges:
        raise TraceNotFound(f"There is no trace {trace_id}.")
    spans = ranges.pop("spans", TimeRange(0, 1))
    bounds = {"start_ns": spans.start_ns, "end_ns": spans.end_ns}
    if spans.start_ns:
        ranges |= _read_ranges(store.query_rows(_JOIN_TIMES, **common, **bounds))
    for name, time_range in ranges.items():
        bounds |= {f"{name}_start_ns": time_range.start_ns, f"{name}_end_ns": time_range.end_ns}
    return LogLocation(project_id, trace_id, list(ranges), bounds)


def _read_ranges(rows: list[tuple[Any, ...]]) -> dict[str, TimeRange]:
    return {name: TimeRange(first_ns, last_ns + 1) for name, first_ns, last_ns in rows}


def _find(store: Store, condition: str, located: LogLocation, *, limit: int, cursor: str = "", **values: Any) -> Page[LogRecord]:
    position = decode_cursor(cursor, id_digits=16)
    if not located.joins:
        return Page([])
    common: dict[str, Any] = {"project_id": located.project_id, "trace_id": located.trace_id}
    rows = store.query_rows(
        _KEYS % ("\n    UNION ALL".join(_BRANCHES[name] for name in located.joins), condition),
        **common, **located.bounds, **values, limit=limit + 1,
        position_ns=position.start_ns if position else -1,
        position_id=int(position.item_id, 16) if position else 0,
    )  # fmt: skip
    keys = [_Key(*row) for row in rows]
    page = _fitting(store, keys[:limit], common)
    records = _read(store, page, common)
    last = page[-1] if len(page) < len(keys) else None
    return Page(records, Position(last.time_ns, f"{last.record_id:016x}").encode() if last else "")


def _key_values(keys: list[_Key]) -> dict[str, Any]:
    return {
        "times_ns": [key.time_ns for key in keys],
        "record_ids": [key.record_id for key in keys],
        "page_start_ns": min(key.time_ns for key in keys),
        "page_end_ns": max(key.time_ns for key in keys) + 1,
    }


def _reach(common: dict[str, Any]) -> str:
    # The table is sorted by trace within a minute: naming it spares the rows of others.
    return _OF_THE_TRACE if "trace_id" in common else _OF_ANY_TRACE


def _fitting(store: Store, keys: list[_Key], common: dict[str, Any]) -> list[_Key]:
    """Return as many of the first keys as a page has room for, at least one."""
    if not keys:
        return []
    sizes = dict(store.query_rows(_SIZES % _reach(common), **common, **_key_values(keys)))
    total = accumulate(sizes.get(key.record_id, 0) for key in keys)
    return [key for key, size in zip(keys, total, strict=True) if size <= _PAGE_BYTES] or keys[:1]


def _read(store: Store, keys: list[_Key], common: dict[str, Any]) -> list[LogRecord]:
    rows = store.query_rows(_ROWS % _reach(common), **common, **_key_values(keys)) if keys else []
    by_id = {row[0]: row for row in rows}
    return [_build(key, by_id[key.record_id]) for key in keys if key.record_id in by_id]


def _build(key: _Key, row: tuple[Any, ...]) -> LogRecord:
    time_ns, received_ns, trace_id, body, body_type = row[1:6]
    return LogRecord(
        record_id=f"{key.record_id:016x}",
        time_ns=time_ns,
        received_ns=received_ns,
        trace_id=trace_id,
        span_id=key.step,
        joined_by=key.joined_by,
        body=decode_attributes(["body"], [body], body_type)["body"],
        attributes=decode_attributes(*row[6:9]),
        resource_attributes=decode_attributes(*row[9:12]),
        scope_attributes=decode_attributes(*row[12:15]),
        **dict(zip(_PLAIN, row[15:], strict=True)),
    )
