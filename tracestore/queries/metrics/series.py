"""Numbers over time: one metric of the traces that match a query, by step and group.

Read from `traces`, or from `rollups` when those hold the same answer (rollups.py). Percentiles are taken of numbers
of buckets on both ways (tracestore/statistics/buckets.py), so both give the same one, at most 0.5 % off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.model import Series
from tracestore.queries.conditions import Params
from tracestore.queries.metrics.definitions import OF_SCORE, OF_SESSION, MetricError, check_grouped, find_metric
from tracestore.queries.metrics.sources import build_source
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

MAX_POINTS = 5000


def metric_series(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    metric: str,
    group_by: str = "",
    step_s: int,
    max_groups: int = 10,
) -> list[Series]:
    """Return one series per group, those with most traces first, each with a point for every step of the range.

    Steps are aligned to multiples of `step_s` since the Unix epoch, so the first may begin before the range. Without
    `group_by` there is always exactly one series, with group "". Raises MetricError, QueryTooExpensive, StoreUnavailable.
    """
    definition = find_metric(metric)
    _check_request(metric, group_by, time_range, step_s)
    params = Params()
    source = build_source(store, project_id, time_range, query, (metric,), group_by, step_s, max_groups, params)
    step = params.bind(step_s * NS_PER_S, "Int64")
    sql = f"""
SELECT group_value, groupArray((bucket_ns, value)) AS points
FROM
(
    SELECT group_value, intDiv({source.time_ns}, {step}) * {step} AS bucket_ns,
        toFloat64({definition.formula.format(**source.parts)}) AS value, {source.parts["requests"]} AS weight
    FROM ({source.rows})
    GROUP BY group_value, bucket_ns
)
GROUP BY group_value
HAVING sum(weight) > 0
ORDER BY sum(weight) DESC, group_value
LIMIT {params.bind(max_groups, "UInt32")}
{FINAL_SETTINGS}
"""
    rows = query_range(store, sql, project_id, time_range, params)
    if not rows and not group_by:
        rows = [("", [])]
    empty = 0.0 if definition.additive else None
    return [_fill(group, points, time_range, step_s, empty) for group, points in rows]


def metric_value(store: Store, *, project_id: int, time_range: TimeRange, query: Query, metric: str) -> float | None:
    """Return one number over the whole range: None when it has no meaning, such as a rate of no traces.

    Raises MetricError, QueryTooExpensive, StoreUnavailable.
    """
    return metric_values(store, project_id=project_id, time_range=time_range, query=query, metrics=(metric,))[metric]


def metric_values(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, metrics: Sequence[str]
) -> dict[str, float | None]:
    """Return several metrics over the whole range, read at once; see `metric_value`."""
    found: dict[str, float | None] = {}
    for together in _split_by_source(metrics):
        params = Params()
        source = build_source(store, project_id, time_range, query, together, "", 0, 1, params)
        values = ", ".join(f"toFloat64({find_metric(name).formula.format(**source.parts)})" for name in together)
        row = query_range(store, f"SELECT {values} FROM ({source.rows}) {FINAL_SETTINGS}", project_id, time_range, params)[0]
        found |= {name: number(value) for name, value in zip(together, row, strict=True)}
    return {name: found[name] for name in metrics}


def _split_by_source(metrics: Sequence[str]) -> list[list[str]]:
    """Return the metrics in groups that one statement can read. Raises MetricError."""
    names = [find_metric(name).name for name in metrics]
    together = (
        [name for name in names if name not in OF_SESSION | OF_SCORE],
        [name for name in names if name in OF_SESSION],
        [name for name in names if name in OF_SCORE],
    )
    return [group for group in together if group]


def measure_apart(store: Store, *, project_id: int, time_range: TimeRange, query: Query, metric: str) -> tuple[float | None, int]:
    """Return one of READ_APART over the whole range, and how many sessions or scores it is made of."""
    params = Params()
    source = build_source(store, project_id, time_range, query, (metric,), "", 0, 1, params)
    value = find_metric(metric).formula.format(**source.parts)
    sql = f"SELECT toFloat64({value}), toUInt64({source.parts['requests']}) FROM ({source.rows}) {FINAL_SETTINGS}"
    found, samples = query_range(store, sql, project_id, time_range, params)[0]
    return number(found), int(samples)


def group_apart(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    metric: str,
    group_by: str,
    descending: bool,
    limit: int,
) -> list[tuple[str, float | None, int]]:
    """Return (group, value, samples) of one of READ_APART by one field, the greatest values first (or the least)."""
    params = Params()
    source = build_source(store, project_id, time_range, query, (metric,), group_by, 0, limit, params)
    sql = f"""
SELECT group_value, toFloat64({find_metric(metric).formula.format(**source.parts)}) AS value,
    toUInt64({source.parts["requests"]}) AS samples
FROM ({source.rows})
GROUP BY group_value
ORDER BY value {"DESC" if descending else "ASC"} NULLS LAST, samples DESC, group_value
LIMIT {params.bind(limit, "UInt32")}
{FINAL_SETTINGS}
"""
    rows = query_range(store, sql, project_id, time_range, params)
    return [(str(group), number(value), int(samples)) for group, value, samples in rows]


def _check_request(metric: str, group_by: str, time_range: TimeRange, step_s: int) -> None:
    if group_by:
        check_grouped(metric, group_by)
    if step_s < 1:
        raise MetricError("step", "The step must be at least one second.")
    if time_range.duration_s / step_s > MAX_POINTS:
        raise MetricError(
            "step", f"A step of {step_s} s cuts this range into more than {MAX_POINTS} points.", f"{time_range.step_s()}"
        )


def query_range(store: Store, sql: str, project_id: int, time_range: TimeRange, params: Params) -> list[tuple[Any, ...]]:
    """Return the rows of a statement over a project and a time range. Raises QueryTooExpensive, StoreUnavailable."""
    return store.query_rows(sql, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns, **params.values)


def _fill(group: str, points: list[tuple[int, float | None]], time_range: TimeRange, step_s: int, empty: float | None) -> Series:
    step_ns = step_s * NS_PER_S
    found = {int(bucket_ns): number(value) for bucket_ns, value in points}
    first_ns = time_range.start_ns - time_range.start_ns % step_ns
    return Series(group, [(at, found.get(at, empty)) for at in range(first_ns, time_range.end_ns, step_ns)])


def number(value: float | None) -> float | None:
    """ClickHouse answers 0 / 0 and the percentile of nothing with NaN."""
    return None if value is None or math.isnan(value) else value
