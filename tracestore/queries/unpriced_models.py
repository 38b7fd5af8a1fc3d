"""Models whose calls are missing from costs."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.timerange import TimeRange


@dataclass(frozen=True)
class UnpricedModel:
    """A model without a price, and in how many traces its calls are missing from the cost."""

    model: str
    trace_count: int


COUNT_UNPRICED = """
SELECT arrayJoin(unpriced_models) AS model, count() AS trace_count
FROM traces FINAL
WHERE {in_range} AND {matching}
GROUP BY model ORDER BY trace_count DESC, model LIMIT {{limit:UInt32}}
"""


def find_unpriced_models(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 20
) -> list[UnpricedModel]:
    """Return the models that used tokens and have no known price, the most used first."""
    params = Params()
    sql = COUNT_UNPRICED.format(in_range=IN_RANGE, matching=trace_predicate(query, params))
    rows = store.query_rows(
        sql, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns, limit=limit, **params.values
    )
    return [UnpricedModel(model, trace_count) for model, trace_count in rows]
