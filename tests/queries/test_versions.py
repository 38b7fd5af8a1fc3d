"""When versions are new."""

from __future__ import annotations

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.queries.versions import find_first_seen
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

START_NS = 1_780_002_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
RANGE = TimeRange(START_NS, START_NS + HOUR_NS)


def seen(store: Store, text: str = "", limit: int = 12) -> list[tuple[str, int]]:
    found = find_first_seen(store, project_id=1, time_range=RANGE, query=parse_query(text), limit=limit)
    return [(one.version, one.first_ns - START_NS) for one in found]


def test_version_is_new_where_its_first_trace_lies_in_the_range(store: Store) -> None:
    insert_traces(
        store,
        {"versions": ["v1"], "start_ns": START_NS - HOUR_NS},
        {"versions": ["v1", "v2"], "start_ns": START_NS + 600 * NS_PER_S},
        {"versions": ["v2"], "start_ns": START_NS + 300 * NS_PER_S},
        {"versions": ["v3"], "start_ns": START_NS},
        {"versions": ["v4"], "start_ns": START_NS + HOUR_NS},
        {"versions": [], "start_ns": START_NS},
    )

    assert seen(store) == [("v2", 300 * NS_PER_S), ("v3", 0)]


def test_version_that_ran_before_the_day_before_is_new_again(store: Store) -> None:
    insert_traces(
        store,
        {"versions": ["old"], "start_ns": START_NS - 2 * DAY_NS},
        {"versions": ["old"], "start_ns": START_NS + NS_PER_S},
    )

    assert seen(store) == [("old", NS_PER_S)]


def test_only_traces_that_match_count_and_deleted_ones_do_not(store: Store) -> None:
    insert_traces(
        store,
        {"versions": ["v1"], "start_ns": START_NS - HOUR_NS, "service": "other", "services": ["other"]},
        {"versions": ["v1"], "start_ns": START_NS + NS_PER_S},
        {"versions": ["v2"], "start_ns": START_NS + NS_PER_S, "is_deleted": 1},
        {"versions": ["v3"], "start_ns": START_NS, "project_id": 2},
    )

    assert seen(store, "service:support-bot") == [("v1", NS_PER_S)]
    assert seen(store) == []


def test_of_many_the_newest_are_returned(store: Store) -> None:
    insert_traces(store, *({"versions": [f"v{at}"], "start_ns": START_NS + at * NS_PER_S} for at in range(5)))

    assert [version for version, _ in seen(store, limit=2)] == ["v4", "v3"]
