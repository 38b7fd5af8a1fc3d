"""Values that the search bar offers."""

from __future__ import annotations

import pytest

from tests.factories import insert_traces
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.queries import offers
from tracestore.queries.offers import Wanted, count_offers
from tracestore.timerange import TimeRange

RANGE = TimeRange(T0 - 10**9, T0 + 3600 * 10**9)


def _count(store: Store, wanted: Wanted) -> list[tuple[str, int]]:
    found = count_offers(store, project_id=1, time_range=RANGE, wanted=wanted, limit=10)
    return [(value.value, value.count) for value in found]


def test_names_of_spans_are_counted_by_kind(store: Store, send_spans: SendSpans) -> None:
    retriever = {"openinference.span.kind": "RETRIEVER"}
    send_spans(
        {"span_id": "1" * 16, "name": "vector search", "attributes": retriever},
        {"span_id": "2" * 16, "name": "vector search", "attributes": retriever},
        {"span_id": "3" * 16, "name": "GET /"},
    )

    assert _count(store, Wanted("span", kind="retriever")) == [("vector search", 2)]
    assert _count(store, Wanted("span")) == [("vector search", 2), ("GET /", 1)]


def test_tags_and_ids_of_agents_are_counted_by_spans(store: Store, send_spans: SendSpans) -> None:
    send_spans(
        {"span_id": "1" * 16, "attributes": {"tag.tags": ["vip", "beta"], "gen_ai.agent.id": "asst_1"}},
        {"span_id": "2" * 16, "attributes": {"tag.tags": ["vip"]}},
    )
    send_spans({"span_id": "3" * 16, "attributes": {"tag.tags": ["theirs"], "gen_ai.agent.id": "theirs"}}, project_id=2)

    assert _count(store, Wanted("tag")) == [("vip", 2), ("beta", 1)]
    assert _count(store, Wanted("agent_id")) == [("asst_1", 1)]


def test_keys_and_values_of_attributes_are_counted(store: Store, send_spans: SendSpans) -> None:
    send_spans(
        {"span_id": "1" * 16, "attributes": {"tier": "gold", "long": "x" * 1000}},
        {"span_id": "2" * 16, "attributes": {"tier": "gold"}},
        {"span_id": "3" * 16, "attributes": {"tier": ""}},
    )

    assert _count(store, Wanted("attr")) == [("tier", 3), ("long", 1)]
    assert _count(store, Wanted("attr", "tier")) == [("gold", 2)]
    assert _count(store, Wanted("attr", "long")) == [("x" * 200, 1)]
    assert _count(store, Wanted("attr", "other")) == []


def test_values_of_traces_are_counted(store: Store) -> None:
    insert_traces(store, {"tools": [("a", 1, 0), ("b", 2, 1)]}, {"tools": [("a", 1, 0)]}, start_ns=T0)

    assert _count(store, Wanted("tool")) == [("a", 2), ("b", 1)]
    assert _count(store, Wanted("tool_error")) == [("b", 1)]
    assert _count(store, Wanted("duration")) == []


@pytest.mark.parametrize("field", offers._OF_TRACES)
def test_every_counted_field_can_be_counted(store: Store, field: str) -> None:
    insert_traces(store, start_ns=T0)

    assert all(count == 1 for _, count in _count(store, Wanted(field)))


def test_offers_may_take_a_second(store: Store) -> None:
    for sql in (offers._COUNT_TRACES, offers._COUNT_SPANS, offers._COUNT_SAMPLE):
        assert "project_id = {project_id:UInt32}" in sql
        assert "max_execution_time = 1" in sql
