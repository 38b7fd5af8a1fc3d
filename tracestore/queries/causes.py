"""What the failing traces of a range have in common that the others do not: the reason in an alert's message."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.predicates import Params, trace_predicate
from tracestore.timerange import TimeRange

# Values per dimension that the engine returns, by number of failing traces; ranking and the final cut happen on these.
_CANDIDATES = 200

# A trace counts once per distinct value; ('', '') counts every trace once and gives the totals.
COUNT_VALUES = """
SELECT dimension, value, countIf(in_focus) AS failing, countIf(NOT in_focus) AS others
FROM
(
    SELECT in_focus, arrayJoin(pairs) AS pair, pair.1 AS dimension, pair.2 AS value
    FROM
    (
        SELECT
            {focus} AS in_focus,
            arrayConcat(
                [('', '')],
                arrayMap(v -> ('error_type', toString(v)), arrayDistinct(error_types)),
                arrayMap(v -> ('version', toString(v)), arrayDistinct(versions)),
                arrayMap(v -> ('tool', toString(v)), arrayDistinct(`tools.name`)),
                arrayMap(v -> ('failing_tool', toString(v)),
                         arrayDistinct(arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`))),
                arrayMap(v -> ('agent', toString(v)), arrayDistinct(agents)),
                arrayMap(v -> ('model', toString(v)), arrayDistinct(`models.model`))
            ) AS pairs
        FROM traces FINAL
        WHERE project_id = {{project_id:UInt32}}
          AND start_time >= fromUnixTimestamp64Nano({{start_ns:Int64}})
          AND start_time < fromUnixTimestamp64Nano({{end_ns:Int64}})
          AND {matching}
    )
)
GROUP BY dimension, value
HAVING failing > 0 OR dimension = ''
ORDER BY dimension, failing DESC, others, value
LIMIT {{candidates:UInt32}} BY dimension
"""


@dataclass(frozen=True)
class _Row:
    dimension: str
    value: str
    failing: int
    others: int


@dataclass(frozen=True)
class Cause:
    """`failing` of the failing traces have this value and `others` of the rest; shares are 0 to 1 of each side."""

    value: str
    failing: int
    others: int
    failing_share: float
    other_share: float


@dataclass(frozen=True)
class Causes:
    """Totals and, per dimension, the values most over-represented among the failing traces, best explanation first.

    Ranked by the difference of the two shares, so that a tool which every trace uses does not hide the one that breaks.
    """

    failing: int = 0
    others: int = 0
    error_types: list[Cause] = field(default_factory=list)
    versions: list[Cause] = field(default_factory=list)
    tools: list[Cause] = field(default_factory=list)
    failing_tools: list[Cause] = field(default_factory=list)
    agents: list[Cause] = field(default_factory=list)
    models: list[Cause] = field(default_factory=list)


def find_causes(store: Store, *, project_id: int, time_range: TimeRange, query: Query, focus: Query, limit: int = 5) -> Causes:
    """Compare the traces of `query` that also match `focus` (the failing ones) with those that do not.

    At most `limit` values per dimension. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    params = Params()
    sql = COUNT_VALUES.format(focus=trace_predicate(focus, params), matching=trace_predicate(query, params))
    rows = store.query(
        sql,
        _Row,
        project_id=project_id,
        start_ns=time_range.start_ns,
        end_ns=time_range.end_ns,
        candidates=_CANDIDATES,
        **params.values,
    )
    failing, others = next(((row.failing, row.others) for row in rows if row.dimension == ""), (0, 0))

    def ranked(dimension: str) -> list[Cause]:
        causes = [
            Cause(row.value, row.failing, row.others, row.failing / max(failing, 1), row.others / max(others, 1))
            for row in rows
            if row.dimension == dimension and row.value
        ]
        return sorted(causes, key=lambda cause: (cause.other_share - cause.failing_share, -cause.failing, cause.value))[:limit]

    return Causes(
        failing=failing,
        others=others,
        error_types=ranked("error_type"),
        versions=ranked("version"),
        tools=ranked("tool"),
        failing_tools=ranked("failing_tool"),
        agents=ranked("agent"),
        models=ranked("model"),
    )
