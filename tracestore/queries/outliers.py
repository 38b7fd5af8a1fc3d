"""The slowest and the dearest trace of each stretch of time, beside what is usual in it."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

# A running trace has no duration yet. The median is approximate (t-digest); of no values it is NaN.
_FIND_OUTLIERS = f"""
SELECT intDiv(toUnixTimestamp64Nano(start_time), {{step_ns:Int64}}) * {{step_ns:Int64}} AS start_ns,
    maxIf(duration_ns, outcome != 'running') AS max_duration_ns,
    toUInt64(ifNotFinite(quantileTDigestIf(0.5)(duration_ns, outcome != 'running'), 0)) AS median_duration_ns,
    ifNull(max(cost_usd), 0) AS max_cost_usd,
    ifNotFinite(toFloat64(quantileTDigestIf(0.5)(ifNull(cost_usd, 0), isNotNull(cost_usd))), 0) AS median_cost_usd
FROM traces FINAL
WHERE {IN_RANGE} AND %s
GROUP BY start_ns
ORDER BY start_ns
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class OutlierBucket:
    """The traces that started in one step. 0 where nothing ended, or nothing has a price."""

    start_ns: int
    max_duration_ns: int
    median_duration_ns: int
    max_cost_usd: float
    median_cost_usd: float


def find_outliers(store: Store, *, project_id: int, time_range: TimeRange, query: Query, step_s: int) -> list[OutlierBucket]:
    """Return one bucket per step that has traces, oldest first; steps are aligned to multiples of `step_s` since the Unix epoch.

    Raises QueryTooExpensive or StoreUnavailable.
    """
    params = Params()
    sql = _FIND_OUTLIERS % trace_predicate(query, params)
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query(sql, OutlierBucket, **scope, **params.values, step_ns=step_s * NS_PER_S)
