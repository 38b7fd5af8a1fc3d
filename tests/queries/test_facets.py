"""Counts by value beside the trace list, on the real engine."""

from __future__ import annotations

import pytest

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.language.fields import find_field
from tracestore.model import FacetValue
from tracestore.queries.facets import FACETS, count_facet
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 10**9)


def _count(store: Store, field: str, text: str = "", limit: int = 12) -> list[FacetValue]:
    return count_facet(store, project_id=1, time_range=RANGE, query=parse_query(text), field=field, limit=limit)


@pytest.fixture
def traces(store: Store) -> Store:
    insert_traces(
        store,
        {"tools": [("refund", 2, 1), ("lookup", 1, 0)], "outcome": "error", "versions": ["v3"], "environment": "prod"},
        {"tools": [("lookup", 1, 0)], "versions": ["v3"], "environment": "prod", "escalated": True},
        {"tools": [("lookup", 1, 0)], "versions": ["v2"], "environment": ""},
        {"tools": [("hidden", 1, 0)], "project_id": 2},
        start_ns=T0,
    )
    return store


def test_values_are_counted_most_frequent_first_with_failures(traces: Store) -> None:
    assert _count(traces, "tool") == [FacetValue("lookup", 3, 1), FacetValue("refund", 1, 1)]
    assert _count(traces, "tool", limit=1) == [FacetValue("lookup", 3, 1)]


def test_query_narrows_the_counts(traces: Store) -> None:
    assert _count(traces, "tool", "version:v2") == [FacetValue("lookup", 1, 0)]


def test_own_demands_are_left_out_and_own_exclusions_kept(traces: Store) -> None:
    assert _count(traces, "version", "version:v2 tool:lookup") == [FacetValue("v3", 2, 1), FacetValue("v2", 1, 0)]
    assert _count(traces, "version", "-version:v2") == [FacetValue("v3", 2, 1)]


def test_missing_values_are_not_offered(traces: Store) -> None:
    assert _count(traces, "environment") == [FacetValue("prod", 2, 1)]


def test_flags_are_words(traces: Store) -> None:
    assert _count(traces, "escalated") == [FacetValue("false", 2, 1), FacetValue("true", 1, 0)]


def test_every_facet_is_a_field_and_can_be_counted(traces: Store) -> None:
    for field in FACETS:
        found = find_field(field)

        assert found
        assert found.name == field
        assert isinstance(_count(traces, field, "status:error OR lookup"), list)


def test_unknown_facet_is_an_error(traces: Store) -> None:
    with pytest.raises(KeyError):
        _count(traces, "duration")
