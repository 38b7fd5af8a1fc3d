"""What arrived and in what state: per key and SDK over a time of arrival, and for one trace."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.views.intake_view import is_truncated
from tracestore.queries.conditions import IN_RANGE
from tracestore.timerange import MAX_NS, NS_PER_S, TimeRange

_MINUTE_NS = 60 * NS_PER_S
MAX_SOURCES = 200
# Traces with orphans whose spans are looked at: a server takes at most 128 KiB for one parameter, 35 bytes an id.
MAX_ORPHANED_TRACES = 2000
_PROJECT = "project_id = {project_id:UInt32}"
_START, _END = "fromUnixTimestamp64Nano({start_ns:Int64})", "fromUnixTimestamp64Nano({end_ns:Int64})"
_ARRIVED = f"{_PROJECT} AND received_at >= {_START} AND received_at < {_END}"


def _hex(column: str) -> str:
    return f"if({column} = toFixedString('', 16), '', lower(hex({column})))"


_INTAKE = f"""
SELECT ingest_key, sdk, sum(spans) AS received, sum(late) AS late, sum(ahead) AS ahead, sum(clamped) AS clamped,
    sum(truncated) AS truncated, sum(dropping) AS dropping, sum(dropped_attributes) AS dropped_attributes,
    sum(dropped_events) AS dropped_events, sum(dropped_links) AS dropped_links,
    min(min_lag_ns) AS min_lag_ns, max(max_lag_ns) AS max_lag_ns,
    {_hex("max(late_trace_id)")} AS late_trace_id, {_hex("max(clock_trace_id)")} AS clock_trace_id,
    {_hex("max(truncated_trace_id)")} AS truncated_trace_id, {_hex("max(dropping_trace_id)")} AS dropping_trace_id
FROM intake
WHERE {_PROJECT} AND bucket_start >= {_START} AND bucket_start < {_END}
GROUP BY ingest_key, sdk
ORDER BY received DESC, ingest_key, sdk
LIMIT {MAX_SOURCES}
"""
# A span counts once however often it was sent. Grouped in the order of the sort key, so that it needs no memory to speak of.
_STORED = f"""
SELECT key_name AS ingest_key, sdk_name AS sdk, count() AS spans, '' AS trace_id
FROM
(
    SELECT any(ingest_key) AS key_name, any(sdk) AS sdk_name
    FROM spans
    WHERE {_ARRIVED}
    GROUP BY project_id, toStartOfMinute(start_time), trace_id, span_id
)
GROUP BY key_name, sdk_name
ORDER BY spans DESC
LIMIT {MAX_SOURCES}
SETTINGS optimize_aggregation_in_order = 1
"""
_LOG_INTAKE = f"""
SELECT ingest_key, sdk, sum(records) AS received, sum(dropping) AS dropping, sum(dropped_attributes) AS dropped_attributes
FROM log_intake
WHERE {_PROJECT} AND bucket_start >= {_START} AND bucket_start < {_END}
GROUP BY ingest_key, sdk
ORDER BY received DESC, ingest_key, sdk
LIMIT {MAX_SOURCES}
"""
_LOGS_STORED = f"""
SELECT key_name AS ingest_key, sdk_name AS sdk, count() AS records
FROM
(
    SELECT any(ingest_key) AS key_name, any(sdk) AS sdk_name
    FROM logs
    WHERE {_ARRIVED}
    GROUP BY project_id, toStartOfMinute(time), trace_id, span_id, record_id
)
GROUP BY key_name, sdk_name
ORDER BY records DESC
LIMIT {MAX_SOURCES}
SETTINGS optimize_aggregation_in_order = 1
"""
# Traces that changed in the range and had orphans then; whether they still do is asked of their spans. Those of running traces
# may have a parent that is under way.
_ORPHANED = f"""
SELECT lower(hex(trace_id)) FROM traces
WHERE {_PROJECT} AND summarized_at >= {_START} AND summarized_at < {_END}
    AND orphan_count > 0 AND outcome != 'running' AND NOT is_deleted
GROUP BY trace_id
ORDER BY max(summarized_at) DESC, trace_id
LIMIT {MAX_ORPHANED_TRACES}
"""
_ORPHANS = f"""
WITH
    orphaned AS (SELECT toFixedString(unhex(arrayJoin({{trace_ids:Array(String)}})), 16)),
    (SELECT (min(min_start_time), max(max_start_time)) FROM trace_index
        WHERE {_PROJECT} AND trace_id IN orphaned) AS times
SELECT ingest_key, sdk, uniqExact((trace, span_id)) AS spans, lower(hex(max(trace))) AS trace_id
FROM
(
    SELECT ingest_key, sdk, trace_id AS trace, span_id
    FROM spans
    WHERE {_PROJECT} AND start_time >= times.1 AND start_time <= times.2 AND trace_id IN orphaned
        AND parent_span_id != toFixedString('', 8)
        AND (trace_id, parent_span_id) NOT IN (
            SELECT trace_id, span_id FROM spans
            WHERE {_PROJECT} AND start_time >= times.1 AND start_time <= times.2 AND trace_id IN orphaned)
)
GROUP BY ingest_key, sdk
ORDER BY spans DESC
LIMIT {MAX_SOURCES}
"""
_OF_TRACE = f"""
SELECT count() AS spans, countIf(is_root) AS roots, sum(attributes_dropped) AS dropped_attributes,
    sum(dropped_events_count) AS dropped_events, sum(dropped_links_count) AS dropped_links, countIf(truncated) AS truncated,
    (SELECT sum(received_spans) FROM trace_index
        WHERE {_PROJECT} AND trace_id = toFixedString(unhex({{trace_id:String}}), 16)) AS received
FROM
(
    SELECT span_id, parent_span_id = toFixedString('', 8) AS is_root, dropped_events_count, dropped_links_count,
        dropped_attributes_count + arraySum(event_dropped_attributes_counts) AS attributes_dropped,
        {is_truncated("attributes")} AS truncated
    FROM spans
    WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}})
    ORDER BY received_at DESC
    LIMIT 1 BY span_id
)
"""


# Of traces that started in the range, since that is what a summary knows.
_COSTS = f"""
SELECT model, provider, sum(model_calls) AS calls, sum(supplied) AS supplied_cost_usd, sum(compared) AS compared_cost_usd,
    sum(difference) AS cost_difference_usd, lower(hex(argMax(trace_id, ifNull(abs(difference), supplied)))) AS trace_id_with_most
FROM
(
    SELECT trace_id, `models.model` AS models, `models.provider` AS providers, `models.calls` AS calls_of,
        `models.supplied_cost_usd` AS supplied_of, `models.compared_cost_usd` AS compared_of,
        `models.cost_difference_usd` AS difference_of
    FROM traces FINAL
    WHERE {IN_RANGE} AND supplied_cost_usd IS NOT NULL
)
ARRAY JOIN models AS model, providers AS provider, calls_of AS model_calls, supplied_of AS supplied,
    compared_of AS compared, difference_of AS difference
WHERE supplied IS NOT NULL
GROUP BY model, provider
ORDER BY abs(ifNull(cost_difference_usd, 0)) DESC, model, provider
LIMIT {MAX_SOURCES}
"""


@dataclass(frozen=True)
class Intake:
    """What arrived from one SDK under one key. `received` counts copies of a span too; all others are numbers of spans,

    except the dropped_* ones, which are what SDKs say they left out of `dropping` spans. lag_ns is from a span's end to its
    arrival: below zero when the sender's clock is ahead. A `*_trace_id` is an example, "" when there is none.
    """

    ingest_key: str
    sdk: str
    received: int
    late: int
    ahead: int
    clamped: int
    truncated: int
    dropping: int
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    min_lag_ns: int
    max_lag_ns: int
    late_trace_id: str
    clock_trace_id: str
    truncated_trace_id: str
    dropping_trace_id: str


@dataclass(frozen=True)
class SpanCount:
    """How many spans of one SDK and key, and a trace that has one of them ("" where none is given)."""

    ingest_key: str
    sdk: str
    spans: int
    trace_id: str


@dataclass(frozen=True)
class LogIntake:
    """How many log records arrived from one SDK under one key, copies too, and what the SDK left out of `dropping` of them."""

    ingest_key: str
    sdk: str
    received: int
    dropping: int
    dropped_attributes: int


@dataclass(frozen=True)
class LogCount:
    """How many distinct log records of one SDK and key are kept."""

    ingest_key: str
    sdk: str
    records: int


@dataclass(frozen=True)
class TraceCounts:
    """What tells whether a trace is whole. `received` counts copies, and is 0 for what arrived before it was counted."""

    spans: int
    roots: int
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    truncated: int
    received: int


@dataclass(frozen=True)
class CostComparison:
    """What senders say that a model's calls cost, beside what we compute for those of them that we can price.

    `compared_cost_usd` and `cost_difference_usd` (reported less ours) are None when we know no price. `calls` counts all calls
    of the model in traces where some report a cost; the trace is the one that differs most.
    """

    model: str
    provider: str
    calls: int
    supplied_cost_usd: float
    compared_cost_usd: float | None
    cost_difference_usd: float | None
    trace_id: str


def whole_minutes(time_range: TimeRange) -> TimeRange:
    """Return the range of whole minutes that covers this one: arrivals are counted by the minute."""
    end_ns = time_range.end_ns + -time_range.end_ns % _MINUTE_NS
    return TimeRange(time_range.start_ns - time_range.start_ns % _MINUTE_NS, min(end_ns, MAX_NS))


def find_intake(store: Store, *, project_id: int, arrived: TimeRange) -> list[Intake]:
    """Return what arrived in these whole minutes by key and SDK, most spans first."""
    return store.query(_INTAKE, Intake, project_id=project_id, start_ns=arrived.start_ns, end_ns=arrived.end_ns)


def count_stored(store: Store, *, project_id: int, arrived: TimeRange) -> list[SpanCount]:
    """Return how many distinct spans that arrived then are kept. Reads a row a span: raises QueryTooExpensive for very many."""
    return store.query(_STORED, SpanCount, project_id=project_id, start_ns=arrived.start_ns, end_ns=arrived.end_ns)


def find_log_intake(store: Store, *, project_id: int, arrived: TimeRange) -> list[LogIntake]:
    """Return the log records that arrived in these whole minutes by key and SDK, most first."""
    return store.query(_LOG_INTAKE, LogIntake, project_id=project_id, start_ns=arrived.start_ns, end_ns=arrived.end_ns)


def count_stored_logs(store: Store, *, project_id: int, arrived: TimeRange) -> list[LogCount]:
    """Return how many distinct log records that arrived then are kept. Raises QueryTooExpensive as count_stored does."""
    return store.query(_LOGS_STORED, LogCount, project_id=project_id, start_ns=arrived.start_ns, end_ns=arrived.end_ns)


def count_orphans(store: Store, *, project_id: int, arrived: TimeRange) -> list[SpanCount]:
    """Return how many spans name a parent that never came, of traces that changed then and are over, with a trace each.

    Looks at the MAX_ORPHANED_TRACES that changed last.
    """
    rows = store.query_rows(_ORPHANED, project_id=project_id, start_ns=arrived.start_ns, end_ns=arrived.end_ns)
    if not rows:
        return []
    return store.query(_ORPHANS, SpanCount, project_id=project_id, trace_ids=[trace_id for (trace_id,) in rows])


def compare_costs(store: Store, *, project_id: int, time_range: TimeRange) -> list[CostComparison]:
    """Return reported and computed cost by model and provider of traces that started in the range, most different first."""
    rows = store.query_rows(_COSTS, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns)
    return [CostComparison(*row) for row in rows]


def count_trace(store: Store, *, project_id: int, trace_id: str, time_range: TimeRange) -> TraceCounts:
    """Return the counts of one trace, whose spans start in the range."""
    return store.query(
        _OF_TRACE, TraceCounts, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )[0]
