"""Minute rollups: computing twice, late changes, and what no longer occurs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.factories import insert_traces, new_trace_id
from tracestore.clickhouse.client import Store
from tracestore.queries.rollups import MINUTE_S, recompute_hours, recompute_rollups
from tracestore.statistics.buckets import bucket_of
from tracestore.timerange import NS_PER_S

MINUTE = 1_780_000_020
START_NS = MINUTE * NS_PER_S


def read_rollups(store: Store) -> list[tuple[Any, ...]]:
    return store.query_rows(
        "SELECT dimension, value, service, version, environment, requests, failures, calls, call_errors, input_tokens, cost_usd,"
        " toUnixTimestamp(bucket_start), finalizeAggregation(durations)"
        " FROM rollups FINAL WHERE project_id = {project_id:UInt32} ORDER BY ALL",
        project_id=1,
    )


def test_computing_a_minute_twice_gives_the_same_rows(store: Store) -> None:
    insert_traces(
        store,
        {"tools": [("refund", 2, 1)], "versions": ["v3"]},
        {"tools": [("refund", 1, 0), ("search", 4, 0)], "versions": ["v3"], "outcome": "error", "error_types": ["TimeoutError"]},
        start_ns=START_NS,
    )

    assert recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE]) == 1
    once = read_rollups(store)
    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE, MINUTE + 59])

    assert read_rollups(store) == once
    assert {(row[0], row[1], row[5], row[6], row[7], row[8]) for row in once} == {
        ("", "", 2, 1, 0, 0),
        ("tool", "refund", 2, 1, 3, 1),
        ("tool", "search", 1, 1, 4, 0),
        ("error", "TimeoutError", 1, 1, 0, 0),
    }


def test_minutes_far_apart_share_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apart_s = 2 * 86_400 + MINUTE_S
    minutes = [MINUTE - number * apart_s for number in range(3000)]
    insert_traces(store, *({"start_ns": minute * NS_PER_S} for minute in minutes[::100]))
    statements: list[str] = []
    run = store.compute

    def note_and_run(sql: str, **params: Any) -> None:
        statements.append(sql)
        run(sql, **params)

    monkeypatch.setattr(store, "compute", note_and_run)

    assert recompute_rollups(store, project_id=1, bucket_starts_s=minutes) == 3000

    assert len(statements) < 10
    assert sorted(row[11] for row in read_rollups(store)) == sorted(minutes[::100])


def test_late_trace_reopens_its_minute(store: Store) -> None:
    insert_traces(store, start_ns=START_NS)
    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    insert_traces(store, {"outcome": "error"}, start_ns=START_NS + 30 * NS_PER_S)
    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    assert [(row[5], row[6]) for row in read_rollups(store)] == [(2, 1)]


def test_combination_that_vanished_is_written_again_with_zeros(store: Store) -> None:
    trace_id = new_trace_id()
    common = {"trace_id": trace_id, "start_ns": START_NS}
    insert_traces(store, versions=["v1"], tools=[("search", 1, 0)], summarized_at=1, **common)
    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    insert_traces(store, versions=["v2"], summarized_at=2, **common)
    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    rows = {(row[0], row[1], row[3]): row[5] for row in read_rollups(store)}
    assert rows == {("", "", "v1"): 0, ("tool", "search", "v1"): 0, ("", "", "v2"): 1}


def test_running_trace_counts_but_its_unfinished_duration_does_not(store: Store) -> None:
    insert_traces(store, {"duration_ns": 5 * NS_PER_S}, {"outcome": "running", "duration_ns": 1}, start_ns=START_NS)

    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    [row] = read_rollups(store)
    assert row[5] == 2
    assert row[-1] == [int(bucket_of(np.array([5 * NS_PER_S]))[0])] * 4


def read_hours(store: Store) -> list[tuple[Any, ...]]:
    return store.query_rows(
        "SELECT toUnixTimestamp(bucket_start), version, requests, failures, input_tokens, finalizeAggregation(durations)"
        " FROM rollups_hourly FINAL WHERE project_id = {project_id:UInt32} AND dimension = '' ORDER BY ALL",
        project_id=1,
    )


def test_hour_is_the_sum_of_its_minutes(store: Store) -> None:
    hour = MINUTE // 3600 * 3600
    insert_traces(
        store, {"input_tokens": 5}, {"start_ns": START_NS + 300 * NS_PER_S, "outcome": "error", "duration_ns": 3 * NS_PER_S},
        {"start_ns": (hour + 3600) * NS_PER_S}, start_ns=START_NS,
    )  # fmt: skip
    recompute_rollups(store, project_id=1, bucket_starts_s=range(hour, hour + 7200, 60))

    assert recompute_hours(store, project_id=1, hour_starts_s=[MINUTE, MINUTE + 3600]) == 2

    first, second = read_hours(store)
    assert first[:5] == (hour, "", 2, 1, 5)
    assert first[-1][0] == int(bucket_of(np.array([NS_PER_S]))[0])
    assert first[-1][3] == int(bucket_of(np.array([3 * NS_PER_S]))[0])
    assert second[:4] == (hour + 3600, "", 1, 0)


def test_hour_forgets_what_its_minutes_no_longer_have(store: Store) -> None:
    trace_id = new_trace_id()
    for number, version in enumerate(("v1", "v2"), 1):
        insert_traces(store, trace_id=trace_id, start_ns=START_NS, versions=[version], summarized_at=number)
        recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])
        recompute_hours(store, project_id=1, hour_starts_s=[MINUTE])

    assert {row[1]: row[2] for row in read_hours(store)} == {"v1": 0, "v2": 1}


def test_minutes_decades_apart_are_computed_in_one_call(store: Store) -> None:
    minutes = [month * 30 * 86_400 for month in range(1, 130)]
    insert_traces(store, *({"start_ns": minute * NS_PER_S} for minute in minutes[::20]))

    recompute_rollups(store, project_id=1, bucket_starts_s=minutes)

    assert len(read_rollups(store)) == len(minutes[::20])


def test_other_project_is_left_alone(store: Store) -> None:
    insert_traces(store, {"project_id": 2}, start_ns=START_NS)

    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    assert read_rollups(store) == []


def test_trace_with_very_many_tools_is_rolled_up_in_little_memory(store: Store) -> None:
    tools = [(f"tool {number}", 1, number % 2) for number in range(20_000)]
    insert_traces(store, {"tools": tools}, start_ns=START_NS)

    recompute_rollups(with_memory(store, 2**28), project_id=1, bucket_starts_s=[MINUTE])

    assert store.query_rows("SELECT count(), sum(calls), sum(call_errors) FROM rollups FINAL WHERE dimension = 'tool'") == [
        (20_000, 20_000, 10_000)
    ]


def test_model_of_two_providers_counts_its_trace_once(store: Store) -> None:
    models = {
        "model": ["m", "m", "n"],
        "provider": ["a", "b", "a"],
        "calls": [1, 2, 4],
        "errors": [0, 1, 0],
        "input_tokens": [10, 20, 40],
        "output_tokens": [0, 0, 0],
        "cached_input_tokens": [0, 0, 0],
        "cost_usd": [0.5, None, 1.0],
        "durations": [[1], [2, 3], [4] * 4],
    }
    insert_traces(store, {f"models.{name}": values for name, values in models.items()}, start_ns=START_NS)

    recompute_rollups(store, project_id=1, bucket_starts_s=[MINUTE])

    assert store.query_rows(
        "SELECT value, requests, spans, calls, call_errors, input_tokens, cost_usd, finalizeAggregation(call_durations)[1]"
        " FROM rollups FINAL WHERE dimension = 'model' ORDER BY value"
    ) == [("m", 1, 3, 3, 1, 30, 0.5, 2), ("n", 1, 3, 4, 0, 40, 1.0, 4)]


def test_minute_that_needs_too_much_memory_holds_up_no_other(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    tools = [(f"tool {number}", 1, 0) for number in range(100_000)]
    insert_traces(store, {}, {"start_ns": START_NS + 60 * NS_PER_S, "tools": tools}, {"start_ns": START_NS + 120 * NS_PER_S},
                  start_ns=START_NS)  # fmt: skip

    recompute_rollups(with_memory(store, 25 * 2**20), project_id=1, bucket_starts_s=[MINUTE, MINUTE + 60, MINUTE + 120])

    assert [(row[11], row[5]) for row in read_rollups(store)] == [(MINUTE, 1), (MINUTE + 120, 1)]
    assert "is too large to roll up" in caplog.text


def with_memory(store: Store, memory_bytes: int) -> Store:
    """Return the same store with another ceiling for each query."""
    limited = copy.copy(store)
    limited._memory_bytes = memory_bytes
    return limited
