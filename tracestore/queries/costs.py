"""What makes traces dear: how many of a range cost more than nearly all before it."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import TimeRange

FIND_DEAR = f"""
WITH
(
    SELECT quantileExactOrNullIf(%(level)s)(assumeNotNull(cost_usd), isNotNull(cost_usd))
    FROM traces FINAL
    WHERE project_id = {{project_id:UInt32}} AND start_time >= fromUnixTimestamp64Nano({{earlier_ns:Int64}})
      AND start_time < fromUnixTimestamp64Nano({{start_ns:Int64}}) AND %(matching)s
) AS usual
SELECT usual AS above_usd, countIf(cost_usd > usual) AS traces, countIf(isNotNull(cost_usd)) AS priced
FROM traces FINAL
WHERE {IN_RANGE} AND %(matching)s
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class DearTraces:
    """`traces` of the `priced` ones of a range cost more than `above_usd`; None when nothing before it had a price."""

    above_usd: float | None
    traces: int
    priced: int


def find_dear_traces(
    store: Store, *, project_id: int, time_range: TimeRange, earlier_ns: int, query: Query, level: float
) -> DearTraces:
    """Compare the traces of the range that match with those from `earlier_ns` up to it, of which a part `level` cost less.

    Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    params = Params()
    # An aggregate function takes its parameters as literals; this one is a number of ours.
    sql = FIND_DEAR % {"matching": trace_predicate(query, params), "level": f"{level:.4f}"}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    [found] = store.query(sql, DearTraces, **scope, earlier_ns=earlier_ns, **params.values)
    return found
