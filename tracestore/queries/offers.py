"""Values that occur, for the search bar to offer while a person types: each read may take a second at most, or there is none."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.model import FacetValue
from tracestore.queries.conditions import END, IN_RANGE, PROJECT, START
from tracestore.queries.facets import FACETS
from tracestore.queries.paging import read_newest
from tracestore.queries.score_terms import SAID
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import TimeRange

_TIMEOUT_S = 1
# Attributes are wide: this many spans tell which keys and values are usual.
_SAMPLE_SPANS = 20_000


@dataclass(frozen=True)
class Wanted:
    """Values of a field: of the attribute `key` when it is attr (all keys for ""), of spans of `kind` when it is span. When it is
    score: names, or with `labels` what the scores named `key` ("" for any) say in a word.
    """

    field: str
    key: str = ""
    kind: str = ""
    labels: bool = False


# Canonical name of a field -> expression over `traces` that yields its values.
_OF_TRACES = FACETS | {
    "name": "name",
    "provider": "arrayJoin(`models.provider`)",
    "prompt": "arrayJoin(prompts)",
    "rule": "outcome_rule",
    "escalation_reason": "arrayJoin(escalation_reasons)",
    "handoff_reason": "arrayJoin(handoff_reasons)",
    "unpriced_model": "arrayJoin(unpriced_models)",
    "tool_error": "arrayJoin(arrayFilter((name, errors) -> errors > 0, `tools.name`, `tools.errors`))",
}
_MOST_FREQUENT = """
GROUP BY value
HAVING value != ''
ORDER BY count DESC, value
LIMIT {limit:UInt32}
"""
_COUNT_TRACES = f"""
SELECT toString(%s) AS value, count() AS count, 0 AS failed
FROM traces FINAL
WHERE {IN_RANGE}
{_MOST_FREQUENT}
{FINAL_SETTINGS}, max_execution_time = {_TIMEOUT_S}
"""
# The same over `spans`.
_OF_SPANS = {"span": "name", "tag": "arrayJoin(tags)", "agent_id": "agent_id"}
_COUNT_SPANS = f"""
SELECT toString(%s) AS value, count() AS count, 0 AS failed
FROM spans
WHERE {IN_RANGE} AND ({{kind:String}} = '' OR kind = {{kind:String}})
{_MOST_FREQUENT}
SETTINGS max_execution_time = {_TIMEOUT_S}
"""
_COUNT_SAMPLE = f"""
SELECT toString(%s) AS value, count() AS count, 0 AS failed
FROM
(
    SELECT attributes, attribute_types FROM spans
    WHERE {IN_RANGE} AND ({{key:String}} = '' OR mapContains(attributes, {{key:String}}))
    LIMIT {_SAMPLE_SPANS}
)
{_MOST_FREQUENT}
SETTINGS max_execution_time = {_TIMEOUT_S}
"""
# By results, of all that were told in the range, replaced ones included.
_COUNT_SCORES = f"""
SELECT toString(%s) AS value, count() AS count, 0 AS failed
FROM scores
WHERE {PROJECT} AND time >= {START} AND time < {END} AND NOT is_withdrawn AND ({{key:String}} = '' OR name = {{key:String}})
{_MOST_FREQUENT}
SETTINGS max_execution_time = {_TIMEOUT_S}
"""
_KEY, _VALUE = "arrayJoin(mapKeys(attributes))", "substring(attributes[{key:String}], 1, 200)"


def count_offers(store: Store, *, project_id: int, time_range: TimeRange, wanted: Wanted, limit: int) -> list[FacetValue]:
    """Return values of the range, most frequent first; [] for a field whose values are not counted.

    Attributes are those of spans, counted in a sample of the newest part of the range that has any. Raises QueryTooExpensive
    after a second, or StoreUnavailable.
    """
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns, "limit": limit}
    if wanted.field in _OF_TRACES:
        return store.query(_COUNT_TRACES % _OF_TRACES[wanted.field], FacetValue, **scope)
    if wanted.field in _OF_SPANS:
        return store.query(_COUNT_SPANS % _OF_SPANS[wanted.field], FacetValue, **scope, kind=wanted.kind)
    if wanted.field == "attr":
        return _sample(store, scope, wanted.key, time_range)
    if wanted.field == "score":
        said = SAID if wanted.labels else "name"
        return store.query(_COUNT_SCORES % said, FacetValue, **scope, key=wanted.key)
    return []


def noun_of(field: str) -> str:
    """Return what the values of a field are counted by."""
    return "score" if field == "score" else "span" if field == "attr" or field in _OF_SPANS else "trace"


def _sample(store: Store, scope: dict[str, int], key: str, time_range: TimeRange) -> list[FacetValue]:
    sql = _COUNT_SAMPLE % (_VALUE if key else _KEY)

    def read(start_ns: int, end_ns: int, _: int) -> list[FacetValue]:
        return store.query(sql, FacetValue, **scope | {"start_ns": start_ns, "end_ns": end_ns}, key=key)

    return read_newest(time_range.start_ns, time_range.end_ns, 1, read)
