"""Which metrics of which queries `rollups` answer as `traces` would, and how they are read there."""

from __future__ import annotations

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import Params
from tracestore.queries.metrics.definitions import KEYS, METRICS, OF_SCORE, OF_SESSION
from tracestore.queries.metrics.parts import ROLLED, Source
from tracestore.queries.rollups import HOUR_S, MINUTE_S, ROLLUP_COLUMNS, find_hours_end_ns
from tracestore.queries.terms import exact_demands, value_predicate
from tracestore.timerange import NS_PER_S, TimeRange

ROLLUPS_FROM_S = 6 * 3600  # below this the raw read is as fast, and sees a trace before its minute is rolled up
_OF_TOOL = {name for name in METRICS if name.startswith("tool_")}
_OF_MODEL = {name for name in METRICS if name.startswith(("model_", "time_to_first_token_"))} | {"llm_calls"}
# Rollups know no steps, and different sessions and users do not add up.
_ONLY_RAW = {
    *(name for name in METRICS if name.startswith("step_")), "sessions", "users", "cost_per_session", "cost_per_user",
    "tool_run_success_rate", *OF_SESSION, *OF_SCORE,
}  # fmt: skip
_DIMENSIONS = {"agent", "model", "tool", "error", "workflow"}
IN_ROLLED_RANGE = (
    f"project_id = {{project_id:UInt32}} AND bucket_start >= toDateTime(intDiv({{start_ns:Int64}}, {NS_PER_S}), 'UTC')"
    f" AND bucket_start < toDateTime(intDiv({{end_ns:Int64}}, {NS_PER_S}), 'UTC')"
)
HOURS_FROM_S = 36 * 3600  # below this there are few minutes enough


def rollup_dimension(time_range: TimeRange, query: Query, metric: str, group_by: str, step_s: int) -> str | None:
    """Say which dimension of `rollups` holds exactly the answer that `traces` would give; None when none does.

    That takes whole minutes, a long range, and a query that only requires services, versions and environments to equal
    something, plus at most one agent, tool or error type. (`model:X` also asks the spans, so rollups cannot answer it.)
    """
    minute_ns = MINUTE_S * NS_PER_S
    whole_minutes = time_range.start_ns % minute_ns == 0 and time_range.end_ns % minute_ns == 0 and step_s % MINUTE_S == 0
    if not whole_minutes or time_range.duration_s < ROLLUPS_FROM_S or group_by not in {"", *KEYS, *_DIMENSIONS}:
        return None
    if metric in _ONLY_RAW:
        return None
    demands = exact_demands(query)
    if demands is None or any(demand.field not in {*KEYS.values(), *_DIMENSIONS} - {"model"} for demand in demands):
        return None
    demanded = [demand.field for demand in demands if demand.field in _DIMENSIONS]
    needed = {*demanded, *({group_by} & _DIMENSIONS), *({"tool"} if metric in _OF_TOOL else ())}
    if len(demanded) > 1 or len(needed) > 1 or (metric in _OF_MODEL and needed - {"model"}):
        return None  # rows of one dimension know nothing of another; `calls` are calls of a model only in two of them
    if metric in _OF_TOOL and not demanded and group_by in KEYS:
        return None  # a trace stands in the rows of each of its tools, so these cannot order groups by number of traces
    return next(iter(needed), "")


def find_hours(store: Store, *, project_id: int, time_range: TimeRange, step_s: int) -> TimeRange:
    """Return the hours within the range that are read from `rollups_hourly`; one ns of 1970 when there is none."""
    if time_range.duration_s < HOURS_FROM_S or step_s % HOUR_S:
        return TimeRange(0, 1)
    hour_ns, until_ns = HOUR_S * NS_PER_S, find_hours_end_ns(store, project_id=project_id)
    first_ns, last_ns = -(-time_range.start_ns // hour_ns) * hour_ns, min(time_range.end_ns, until_ns) // hour_ns * hour_ns
    return TimeRange(first_ns, last_ns) if first_ns < last_ns else TimeRange(0, 1)


def rolled_conditions(query: Query, dimension: str, params: Params) -> str:
    """Return the condition on rows of rollups of that dimension, for a query that they answer."""
    conditions = [f"dimension = {params.bind(dimension, 'String')}"]
    for demand in exact_demands(query) or ():
        value = params.bind(demand.value, "String")
        if demand.field in ("service", "version"):
            conditions.append(f"has(splitByChar('\\x1f', {demand.field}), {value})")
        else:
            conditions.append(f"{'environment' if demand.field == 'env' else 'value'} = {value}")
    return " AND ".join(conditions)


def rolled_source(query: Query, group_by: str, dimension: str, hours: TimeRange, params: Params) -> Source:
    """Read hours where they may be, and minutes for the rest of the range."""
    conditions = rolled_conditions(query, dimension, params)
    group_value = {"": "''", "environment": "toString(environment)"}.get(group_by, "toString(value)")
    if group_by in ("service", "version"):
        demanded = value_predicate(query, group_by, "x", params) or "true"
        group_value = f"arrayJoin(arrayFilter(x -> {demanded}, splitByChar('\\x1f', {group_by})))"
    ends = [f"toDateTime({params.bind(ns // NS_PER_S, 'UInt32')}, 'UTC')" for ns in (hours.start_ns, hours.end_ns)]
    in_hours = f"bucket_start >= {ends[0]} AND bucket_start < {ends[1]}"
    parts = [("rollups", f"NOT ({in_hours})"), *([("rollups_hourly", in_hours)] if hours.end_ns > 1 else [])]
    rows = " UNION ALL ".join(
        f"""
    SELECT bucket_start, {ROLLUP_COLUMNS}, {group_value} AS group_value
    FROM {table} FINAL
    WHERE {IN_ROLLED_RANGE} AND {part} AND requests > 0 AND {conditions}
    """
        for table, part in parts
    )
    return Source(rows, ROLLED, f"toInt64(toUnixTimestamp(bucket_start)) * {NS_PER_S}")
