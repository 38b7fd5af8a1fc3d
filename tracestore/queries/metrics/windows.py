"""A metric over windows that overlap, as evaluations of an alert rule see it one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracestore.clickhouse.client import Store
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.metrics.definitions import READ_APART, find_metric
from tracestore.queries.metrics.groups import MAX_GROUPS, RUN_METRICS, Question, check_groups, samples_of
from tracestore.queries.metrics.series import number
from tracestore.queries.metrics.sources import Reading, apart_by_moment, find_reading, grouped_reading
from tracestore.queries.rollups import MINUTE_S
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

# (end of the window in ns, value or None when it has no meaning, samples), oldest first.
Windows = list[tuple[int, float | None, int]]
# SQL for the time of a row in ns -> SQL for the ends of all windows that hold it.
Ends = Callable[[str], str]
_TIMES = {
    "traces": "toUnixTimestamp64Nano(start_time)",
    "rollups": f"toInt64(toUnixTimestamp(bucket_start)) * {NS_PER_S}",
}


def read_windows(
    store: Store, *, project_id: int, time_range: TimeRange, question: Question, group_by: Sequence[str] = (), window_s: int,
    step_s: int, max_groups: int = MAX_GROUPS,
) -> dict[tuple[str, ...], Windows]:  # fmt: skip
    """Return by group what the `window_s` before each multiple of `step_s` in (start, end] show; without groups that is ().

    `window_s` is a multiple of `step_s`: each trace is read once and counted in all of its windows. Groups are up to three
    fields' values, those with most samples. Raises MetricError, QueryTooExpensive or StoreUnavailable.
    """
    step_ns, params = step_s * NS_PER_S, Params()
    first_ns = time_range.start_ns - time_range.start_ns % step_ns + step_ns
    moments = range(first_ns, time_range.end_ns + 1, step_ns)
    if not moments:
        return {} if group_by else {(): []}
    read = TimeRange(max(0, first_ns - window_s * NS_PER_S), moments[-1])
    step, count = params.bind(step_ns, "Int64"), params.bind(window_s // step_s, "UInt32")

    def ends(time_ns: str) -> str:
        return f"arrayMap(n -> (intDiv({time_ns}, {step}) + n) * {step}, range(1, {count} + 1))"

    if question.metric in READ_APART:
        select, empty = _select_apart(question, group_by, ends, params)
    else:
        select, empty = _select(read, question, group_by, step_s, ends, params)
    sql = f"""
SELECT group, groupArray((at_ns, value, samples))
FROM ({select})
GROUP BY group
ORDER BY max(samples) DESC, group
LIMIT {params.bind(max_groups, "UInt32")}
{FINAL_SETTINGS}
"""
    scope = {"project_id": project_id, "start_ns": read.start_ns, "end_ns": read.end_ns}
    found = {tuple(group): points for group, points in store.query_rows(sql, **scope, **params.values)}
    if not group_by:
        found.setdefault((), [])
    return {group: _fill(points, moments, empty) for group, points in found.items()}


def _select_apart(question: Question, group_by: Sequence[str], ends: Ends, params: Params) -> tuple[str, float | None]:
    """Return the SELECT of group, at_ns, value and samples of one of READ_APART, and the value of a window without any."""
    check_groups(question.metric, group_by)
    rows, parts = apart_by_moment(question.query, question.metric, "".join(group_by), ends(_TIMES["traces"]), params)
    definition = find_metric(question.metric)
    select = f"""
    SELECT {"[toString(group_value)]" if group_by else "[]::Array(String)"} AS group, moment AS at_ns,
        toFloat64({definition.formula.format(**parts)}) AS value, toUInt64({parts["requests"]}) AS samples
    FROM ({rows})
    GROUP BY group, at_ns
"""
    return select, 0.0 if definition.additive else None


def _select(
    read: TimeRange, question: Question, group_by: Sequence[str], step_s: int, ends: Ends, params: Params
) -> tuple[str, float | None]:
    """Return the same of a number of traces."""
    reading, arrays = _find_reading(read, question, group_by, step_s, params)
    names = [f"group{index}" for index in range(len(group_by))]
    groups = "".join(f", arrayJoin({array}) AS {name}" for array, name in zip(arrays, names, strict=True))
    if question.metric in RUN_METRICS:
        empty, value = None, f"maxOrNull({RUN_METRICS[question.metric].measure})"
    else:
        definition = find_metric(question.metric)
        empty, value = 0.0 if definition.additive else None, definition.formula.format(**reading.parts)
    select = f"""
    SELECT [{", ".join(f"toString({name})" for name in names)}]::Array(String) AS group,
        arrayJoin({ends(_TIMES[reading.table])}) AS at_ns,
        toFloat64({value}) AS value, toUInt64({samples_of(question.metric, reading.parts)}) AS samples
    FROM (SELECT *{groups} FROM {reading.table} FINAL WHERE {reading.in_range} AND {reading.condition})
    GROUP BY group, at_ns
"""
    return select, empty


def _find_reading(
    time_range: TimeRange, question: Question, group_by: Sequence[str], step_s: int, params: Params
) -> tuple[Reading, list[str]]:
    if not group_by and step_s % MINUTE_S == 0 and question.metric not in RUN_METRICS:
        return find_reading(time_range, question.query, question.metric, params), []
    condition, arrays, parts = grouped_reading(question.query, group_by, params)
    return Reading("traces", IN_RANGE, condition, parts), arrays


def _fill(points: Windows, moments: range, empty: float | None) -> Windows:
    known = {int(at_ns): (number(value), int(samples)) for at_ns, value, samples in points}
    return [(at_ns, *known.get(at_ns, (empty, 0))) for at_ns in moments]
