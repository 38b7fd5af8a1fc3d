"""Two cohorts tool by tool: how often each is called and fails, and what is certain about the difference."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.terms import value_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.statistics.samples import CONFIDENCE, Interval, clustered_share_interval, combine
from tracestore.timerange import TimeRange

# The tools with most calls: names that a run makes up are not worth a row.
_MOST = 200
# `name` is a column of `traces`, too: the tool's gets it one level above the condition of the cohort.
COUNT_TOOLS = f"""
SELECT name, count() AS traces, sum(calls) AS total, sum(failed) AS failures, sum(calls * calls) AS calls_squared,
    sum(failed * failed) AS failures_squared, sum(calls * failed) AS products
FROM
(
    SELECT tool.1 AS name, toFloat64(tool.2) AS calls, toFloat64(tool.3) AS failed
    FROM
    (
        SELECT arrayJoin(arrayZip(`tools.name`, `tools.calls`, `tools.errors`)) AS tool
        FROM traces FINAL
        WHERE {IN_RANGE} AND %(cohort)s
    )
)
WHERE calls > 0 AND (%(tool)s)
GROUP BY name
ORDER BY total DESC, name
LIMIT {_MOST}
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class _Calls:
    """A row of COUNT_TOOLS: what one cohort did with one tool."""

    name: str
    traces: int
    total: float
    failures: float
    calls_squared: float
    failures_squared: float
    products: float

    def failure_rate(self, confidence: float) -> Interval:
        return clustered_share_interval(
            self.traces, self.failures, self.total, self.failures_squared, self.calls_squared, self.products, confidence
        )


@dataclass(frozen=True)
class ToolComparison:
    """One tool in cohorts A and B: traces that called it, calls, and failed calls over calls (0 to 1) with 95 % intervals.

    A cohort that never calls the tool has no rate; then there is no difference (B - A) either. `certain` is the difference at a
    level divided by the number of tools that both call (Bonferroni's inequality); `is_significant` says that it leaves out zero.
    """

    name: str
    a_traces: int
    b_traces: int
    a_calls: int
    b_calls: int
    a: Interval | None
    b: Interval | None
    difference: Interval | None
    certain: Interval | None

    @property
    def is_significant(self) -> bool:
        return bool(self.certain and self.certain.excludes_zero)


def compare_tools(store: Store, *, project_id: int, time_range: TimeRange, a: Query, b: Query) -> list[ToolComparison]:
    """Compare how often each tool fails in the traces of the range that match `a` and in those that match `b`.

    Tools that certainly fail more often in B come first, by the least that they do; then those that certainly fail less often,
    then the others by their calls. A query that names tools is about these alone, of each side the 200 with most calls.
    Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    one, other = (_read(store, project_id, time_range, query) for query in (a, b))
    shared = len(one.keys() & other.keys())
    strict = 1 - (1 - CONFIDENCE) / max(1, shared)
    compared = [_compare(name, one.get(name), other.get(name), strict) for name in one.keys() | other.keys()]
    return sorted(compared, key=_place)


def _read(store: Store, project_id: int, time_range: TimeRange, query: Query) -> dict[str, _Calls]:
    params = Params()
    tool = value_predicate(query, "tool", "name", params) or "true"
    sql = COUNT_TOOLS % {"cohort": trace_predicate(query, params), "tool": tool}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return {row.name: row for row in store.query(sql, _Calls, **scope, **params.values)}


def _compare(name: str, one: _Calls | None, other: _Calls | None, strict: float) -> ToolComparison:
    return ToolComparison(
        name=name,
        a_traces=one.traces if one else 0,
        b_traces=other.traces if other else 0,
        a_calls=int(one.total) if one else 0,
        b_calls=int(other.total) if other else 0,
        a=one.failure_rate(CONFIDENCE) if one else None,
        b=other.failure_rate(CONFIDENCE) if other else None,
        difference=_difference(one, other, CONFIDENCE),
        certain=_difference(one, other, strict),
    )


def _difference(one: _Calls | None, other: _Calls | None, confidence: float) -> Interval | None:
    return combine([(1.0, other.failure_rate(confidence)), (-1.0, one.failure_rate(confidence))]) if one and other else None


def _place(tool: ToolComparison) -> tuple[int, float, str]:
    if tool.certain is None or not tool.is_significant:
        return 2, -float(tool.a_calls + tool.b_calls), tool.name
    return (0 if tool.certain.value > 0 else 1), -tool.certain.least, tool.name
