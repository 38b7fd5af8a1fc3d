"""Minutes and hours of rollups follow the traces."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.factories import insert_traces
from tests.tracestore.summarize.runs import AGENT, CALL, a_run, insert, new_trace_id, step
from tracestore.clickhouse.client import Store
from tracestore.jobs import summarize
from tracestore.jobs.summarize import roll_up_pending, summarize_pending
from tracestore.models import JobCursor
from tracestore.queries import summaries
from tracestore.queries.rollups import recompute_rollups

pytestmark = pytest.mark.django_db


def test_hours_are_added_up_when_they_have_ended_and_again_for_late_traces(store: Store) -> None:
    now_s = time.time_ns() // 10**9
    ended_s, old_s = (now_s - 300) // 3600 * 3600 - 3600, now_s // 3600 * 3600 - 9 * 3600
    insert_traces(
        store, {}, {"start_ns": ended_s * 10**9}, {"start_ns": old_s * 10**9}, {"start_ns": old_s * 10**9, "project_id": 2},
        start_ns=time.time_ns(),
    )  # fmt: skip

    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 1), (1, ended_s, 1), (2, old_s, 1)]

    insert_traces(store, start_ns=(old_s + 3000) * 10**9)
    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 2), (1, ended_s, 1), (2, old_s, 1)]


def test_hours_of_an_earlier_version_are_computed_from_their_traces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old_s = time.time_ns() // 10**9 // 3600 * 3600 - 9 * 3600
    long_ago_us = (time.time_ns() - 3600 * 10**9) // 1000
    insert_traces(store, *({"start_ns": (old_s + 3600 * hour) * 10**9, "summarized_at": long_ago_us} for hour in range(3)))
    JobCursor.objects.update_or_create(job="roll up", source="", defaults={"position": time.time_ns()})
    monkeypatch.setattr(summarize, "_HOURS_WORK_S", -1.0)  # no time left after one hour

    roll_up_pending()

    assert read_hours(store) == [(1, old_s, 1)]

    for _ in range(2):
        roll_up_pending()

    assert read_hours(store) == [(1, old_s + 3600 * hour, 1) for hour in range(3)]


def read_hours(store: Store) -> list[tuple[Any, ...]]:
    return store.query_rows(
        "SELECT project_id, toUnixTimestamp(bucket_start) AS hour_s, sum(requests) FROM rollups_hourly FINAL WHERE dimension = ''"
        " GROUP BY project_id, hour_s ORDER BY project_id, hour_s"
    )


def test_rollups_follow_the_traces_and_late_spans(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()
    roll_up_pending()
    totals = "SELECT sum(requests), sum(failures), sum(input_tokens) FROM rollups FINAL WHERE dimension = ''"
    first = store.query_rows(totals)

    insert(store, step(trace_id, "3", "1", 5, error="boom", attributes={"gen_ai.operation.name": "execute_tool"}))
    summarize_pending()
    roll_up_pending()
    roll_up_pending()

    assert first == [(1, 0, 100)]
    assert store.query_rows(totals) == [(1, 1, 100)]


def test_rollup_cursor_overlaps_so_that_a_slow_insert_is_not_missed(store: Store) -> None:
    insert(store, *a_run(new_trace_id()))
    roll_up_pending()  # moves the cursor to now
    summarize_pending()
    # By way of another table: a merge of both versions would leave the newer one.
    earlier = "SELECT * REPLACE (summarized_at - INTERVAL 30 SECOND AS summarized_at) FROM traces"
    store.command(f"CREATE TABLE earlier ENGINE = Memory AS {earlier}")
    store.command("TRUNCATE TABLE traces")
    store.command("INSERT INTO traces SELECT * FROM earlier")
    store.command("DROP TABLE earlier SYNC")

    assert roll_up_pending() == 1


def test_minute_is_rolled_up_once_unless_it_changes(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id))
    summarize_pending()

    first = [roll_up_pending(), roll_up_pending()]
    insert(store, step(trace_id, "3", "1", 2, attributes=CALL))
    summarize_pending()

    assert first == [1, 0]
    assert [roll_up_pending(), roll_up_pending()] == [1, 0]


def test_minute_that_a_trace_left_is_rolled_up(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, step(trace_id, "2", "1", 60, attributes=CALL))
    summarize_pending()
    roll_up_pending()

    insert(store, step(trace_id, "1", "", -120, duration_ns=300 * 10**9, attributes=AGENT))
    summarize_pending()

    assert roll_up_pending() == 2
    assert store.query_rows("SELECT sum(requests) FROM rollups FINAL WHERE dimension = ''") == [(1,)]


def test_failed_rollup_is_done_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *a_run(new_trace_id()))
    summarize_pending()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(summarize, "recompute_rollups", fail)
        with pytest.raises(RuntimeError):
            roll_up_pending()

    assert roll_up_pending() == 1


TOTALS = "SELECT sum(requests), sum(input_tokens) FROM rollups FINAL WHERE dimension = ''"


def test_worker_that_was_overtaken_counts_nothing_twice_and_leaves_the_lease_to_its_successor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, *a_run(new_trace_id()))
    summarize_pending()
    held: list[Any] = []

    def recompute_slowly(*arguments: Any, **named: Any) -> int:
        if not held:
            held.append(None)  # the successor comes by here as well
            JobCursor.objects.filter(job="roll up").update(lease_until=timezone.now() - timedelta(seconds=1))
            insert(store, *a_run(new_trace_id()))
            summarize_pending()
            assert roll_up_pending() == 1
            held[0] = timezone.now() + timedelta(seconds=100)  # and at once a third one
            JobCursor.objects.filter(job="roll up").update(lease_until=held[0], position=7)
        return recompute_rollups(*arguments, **named)

    monkeypatch.setattr(summarize, "recompute_rollups", recompute_slowly)
    roll_up_pending()

    assert store.query_rows(TOTALS) == [(2, 200)]
    cursor = JobCursor.objects.get(job="roll up", source="")
    assert (cursor.lease_until, cursor.position) == (held[0], 7)


def test_lease_is_held_on_while_many_minutes_are_rolled_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_traces(store, *({"start_ns": (time.time_ns() // 10**9 - 200_000 * number) * 10**9} for number in range(1, 4)))
    left: list[timedelta] = []

    def compute_slowly(store: Store, sql: str, **params: Any) -> None:
        cursor = JobCursor.objects.get(job="roll up", source="")
        assert cursor.lease_until
        left.append(cursor.lease_until - timezone.now())
        end = timezone.now() + timedelta(seconds=100)  # so long the statement takes
        monkeypatch.setattr(timezone, "now", lambda: end)

    monkeypatch.setattr(Store, "compute", compute_slowly)
    roll_up_pending()

    assert len(left) >= 3
    assert min(left) > timedelta(seconds=100)


def test_no_minute_is_left_out_when_more_changed_than_one_look_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        insert_traces(
            store, start_ns=(time.time_ns() // 10**9 - 600 * number) * 10**9,
            summarized_at=time.time_ns() // 1000 - 1000 * number,
        )  # fmt: skip
    monkeypatch.setattr(summaries, "_MAX_MINUTES", 2)
    monkeypatch.setattr(summarize, "_ROLLUP_OVERLAP_NS", 0)

    for _ in range(5):
        roll_up_pending()

    assert store.query_rows("SELECT sum(requests) FROM rollups FINAL WHERE dimension = ''") == [(4,)]


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=1500)])
def test_trace_that_was_summed_up_by_a_clock_that_has_been_set_back_is_kept_up_to_date(
    store: Store, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    changed, moved, other = (new_trace_id() for _ in range(3))
    insert(store, *a_run(changed), step(moved, "2", "1", 60, attributes=CALL))
    ahead_s = int(ahead.total_seconds())
    with monkeypatch.context() as wrong:
        wrong.setattr(summarize._Clock, "read", lambda: timezone.now() + ahead)
        summarize_pending()
    roll_up_pending()
    for table in ("rollups", "rollups_hourly"):  # and computed by the same clock
        store.command(
            f"INSERT INTO {table} SELECT * REPLACE (computed_at + INTERVAL {ahead_s} SECOND AS computed_at) FROM {table} FINAL"
        )

    insert(store, step(changed, "3", "1", 2, attributes=CALL), step(moved, "1", "", -120, duration_ns=300 * 10**9))
    insert(store, *a_run(other))
    summarize_pending()
    roll_up_pending()

    rows = "SELECT lower(hex(trace_id)), span_count, summarized_at > now() + INTERVAL 1 HOUR FROM traces FINAL"
    assert sorted(store.query_rows(rows)) == sorted([(changed, 3, 1), (moved, 2, 0), (other, 2, 0)])
    assert store.query_rows(TOTALS) == [(3, 400)]
