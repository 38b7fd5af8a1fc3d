"""How many traces have each value of a field: the counts beside the trace list."""

from __future__ import annotations

from tracestore.clickhouse.client import Store
from tracestore.language import Query, parse_query, without_field
from tracestore.language.fields import find_field
from tracestore.model import FacetValue
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import TimeRange

# Canonical name of a field -> expression over `traces` that yields its values, several for an array.
FACETS = {
    "status": "outcome",
    "version": "arrayJoin(versions)",
    "tool": "arrayJoin(`tools.name`)",
    "error": "arrayJoin(error_types)",
    "agent": "arrayJoin(agents)",
    "model": "arrayJoin(`models.model`)",
    "service": "arrayJoin(services)",
    "env": "environment",
    "user": "user_id",
    "session": "session_id",
    "escalated": "if(escalated, 'true', 'false')",
    "workflow": "arrayJoin(workflows)",
}
# What people said of a run is a score: it is counted as a query for each verdict finds it.
_VERDICTS = {"score.review": ("good", "bad", "note")}
FACET_NAMES = (*FACETS, *_VERDICTS)
_COUNT_FACET = f"""
SELECT %s AS value, count() AS count, countIf(outcome = 'error') AS failed
FROM traces FINAL
WHERE {IN_RANGE} AND %s
GROUP BY value
HAVING value != ''
ORDER BY count DESC, value
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}
"""


def find_facet_name(field: str) -> str | None:
    """Return the one of FACET_NAMES that a field or alias means, None when its values are not counted."""
    found = find_field(field)
    name = found.name if found else field
    return name if name in FACET_NAMES else None


def count_facet(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, field: str, limit: int = 12
) -> list[FacetValue]:
    """Count the traces of the range that match `query`, by value of `field` (of FACET_NAMES, or an alias), most frequent first.

    What the query demands of this very field is left out, so that its other values can be offered; what it excludes stays
    excluded. A trace with several values counts once for each. Raises KeyError for a field that is no facet.
    """
    name = find_facet_name(field) or field
    params = Params()
    values = _verdicts(name, params) if name in _VERDICTS else FACETS[name]
    sql = _COUNT_FACET % (values, trace_predicate(without_field(query, name), params))
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query(sql, FacetValue, **scope, **params.values, limit=limit)


def _verdicts(name: str, params: Params) -> str:
    found = (f"if({trace_predicate(parse_query(f'{name}:{verdict}'), params)}, '{verdict}', '')" for verdict in _VERDICTS[name])
    return f"arrayJoin([{', '.join(found)}])"
