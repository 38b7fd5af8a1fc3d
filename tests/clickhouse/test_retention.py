"""What is older than the setting says is deleted, from every table, and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.retention import _TIMES, Retention, find_end

NOW = datetime(2026, 9, 21, 5, 30, tzinfo=UTC)
DAYS = 10
CUTOFF = datetime(2026, 9, 11, tzinfo=UTC)
# Of other months, of the cutoff's, up to its last moment; then its first one, one of today, and one of a clock that is ahead.
OLD = (
    datetime(2025, 12, 31, tzinfo=UTC),
    datetime(2026, 8, 3, tzinfo=UTC),
    datetime(2026, 9, 1, tzinfo=UTC),
    CUTOFF - timedelta(seconds=1),
)
KEPT = (CUTOFF, NOW, datetime(2031, 5, 1, tzinfo=UTC))


def _insert(store: Store, table: str, *times: datetime) -> None:
    for moment in times:
        rows = f"SELECT 1, toDateTime({int(moment.timestamp())}, 'UTC')"
        store.command(f"INSERT INTO {table} (project_id, {_TIMES[table]}) {rows}")


def _find(store: Store, table: str) -> list[datetime]:
    rows = store.query_rows(f"SELECT toUnixTimestamp({_TIMES[table]}) FROM {table} ORDER BY 1")
    return [datetime.fromtimestamp(seconds, UTC) for (seconds,) in rows]


def _wait(store: Store) -> None:
    deadline = time.monotonic() + 60
    while store.query_rows("SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1") and time.monotonic() < deadline:
        time.sleep(0.02)


def _tend(store: Store, days: int = DAYS, *moments: datetime) -> None:
    retention = Retention()
    for now in moments or (NOW, NOW):
        retention.tend(store, days=days, now=now)
    _wait(store)


def test_every_table_is_known(store: Store) -> None:
    tables = store.query_rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")

    # One for ever, one by its TTL, one with the parts that it tells of.
    assert {name for (name,) in tables} - set(_TIMES) == {"schema_steps", "trace_touches", "part_contents"}


@pytest.mark.parametrize("table", _TIMES)
def test_what_is_older_is_deleted_and_nothing_else(store: Store, table: str) -> None:
    _insert(store, table, *OLD, *KEPT)

    _tend(store)

    assert _find(store, table) == list(KEPT)


@pytest.mark.parametrize("table", ["traces", "trace_index"])
def test_what_is_old_already_by_the_next_day_goes_then(store: Store, table: str) -> None:
    _insert(store, table, CUTOFF, NOW)
    _tend(store)

    _tend(store, DAYS, NOW + timedelta(days=1), NOW + timedelta(days=1))

    assert _find(store, table) == [NOW]


def test_without_the_setting_everything_stays(store: Store) -> None:
    _insert(store, "spans", *OLD, *KEPT)

    _tend(store, 0)

    assert _find(store, "spans") == [*OLD, *KEPT]


@pytest.mark.parametrize("moments", [(NOW,), (NOW, NOW + timedelta(days=400)), (NOW + timedelta(days=400), NOW)])
def test_clock_that_is_wrong_between_two_looks_deletes_nothing(store: Store, moments: tuple[datetime, ...]) -> None:
    _insert(store, "traces", *KEPT)

    _tend(store, DAYS, *moments)

    assert _find(store, "traces") == list(KEPT)


def test_few_old_rows_of_an_index_wait_until_they_are_more(store: Store) -> None:
    store.command(
        "INSERT INTO trace_index (project_id, trace_id, max_start_time) "
        f"SELECT 1, toFixedString(toString(number), 16), toDateTime({int(NOW.timestamp())}, 'UTC') FROM numbers(20)"
    )
    _insert(store, "trace_index", OLD[0])
    _tend(store)
    assert OLD[0] in _find(store, "trace_index")

    store.command(
        "INSERT INTO trace_index (project_id, trace_id, max_start_time) "
        f"SELECT 2, toFixedString(toString(number), 16), toDateTime({int(OLD[1].timestamp())}, 'UTC') FROM numbers(5)"
    )
    _tend(store)
    assert set(_find(store, "trace_index")) == {NOW}


@pytest.mark.parametrize(("partition", "end"), [("20260228", (2026, 3, 1)), ("202602", (2026, 3, 1)), ("202512", (2026, 1, 1))])
def test_end_of_a_partition(partition: str, end: tuple[int, int, int]) -> None:
    assert find_end(partition) == datetime(*end, tzinfo=UTC)
