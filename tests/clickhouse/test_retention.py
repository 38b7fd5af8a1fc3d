"""What is older than the setting says is deleted, from every table, and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.retention import TIMES, Retention, find_end

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


def _insert(store: Store, table: str, *times: datetime, project_id: int = 1) -> None:
    has_row_per_trace = table in ("trace_index", "log_index")  # whose merges sum up what has one id
    for number, moment in enumerate(times):
        rows = f"SELECT {project_id}, toDateTime({int(moment.timestamp())}, 'UTC')"
        columns = f"project_id, {TIMES[table]}"
        if has_row_per_trace:
            columns, rows = f"{columns}, trace_id", f"{rows}, toFixedString('{number}', 16)"
        store.command(f"INSERT INTO {table} ({columns}) {rows}")


def _find(store: Store, table: str, project_id: int = 1) -> list[datetime]:
    rows = store.query_rows(
        f"SELECT toUnixTimestamp({TIMES[table]}) FROM {table} WHERE project_id = {{project_id:UInt64}} ORDER BY 1",
        project_id=project_id,
    )
    return [datetime.fromtimestamp(seconds, UTC) for (seconds,) in rows]


def _wait(store: Store) -> None:
    deadline = time.monotonic() + 60
    while store.query_rows("SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1") and time.monotonic() < deadline:
        time.sleep(0.02)


def _tend(store: Store, days: int = DAYS, *moments: datetime, by_project: dict[int, int] | None = None) -> None:
    retention = Retention()
    for now in moments or (NOW, NOW):
        retention.tend(store, days=days, now=now, by_project=by_project)
    _wait(store)


def test_every_table_is_known(store: Store) -> None:
    tables = store.query_rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")

    # One for ever, one by its TTL, one with the parts that it tells of.
    assert {name for (name,) in tables} - set(TIMES) == {"schema_steps", "trace_touches", "part_contents"}


@pytest.mark.parametrize("table", TIMES)
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


@pytest.mark.parametrize("days", [0, 400])
@pytest.mark.parametrize("table", TIMES)
def test_project_that_keeps_less_loses_its_own_alone(store: Store, table: str, days: int) -> None:
    moments = (*OLD[1:], *KEPT)
    for project_id in (1, 2, 3):
        _insert(store, table, *moments, project_id=project_id)

    _tend(store, days, by_project={2: DAYS, 3: 3, 4: 1})

    assert _find(store, table, 1) == list(moments)
    assert _find(store, table, 2) == list(KEPT)
    assert _find(store, table, 3) == list(KEPT[1:])


def test_project_keeps_no_more_than_the_server(store: Store) -> None:
    _insert(store, "spans", *OLD, *KEPT)

    _tend(store, by_project={1: 400})

    assert _find(store, "spans") == list(KEPT)


@pytest.mark.parametrize("moments", [(NOW,), (NOW, NOW + timedelta(days=400)), (NOW + timedelta(days=400), NOW)])
def test_clock_that_is_wrong_between_two_looks_deletes_nothing_of_a_project(store: Store, moments: tuple[datetime, ...]) -> None:
    _insert(store, "spans", *KEPT)

    _tend(store, 0, *moments, by_project={1: DAYS})

    assert _find(store, "spans") == list(KEPT)


def test_what_a_project_no_longer_keeps_is_out_of_the_files_and_others_are_found_by_their_words(store: Store) -> None:
    day = NOW - timedelta(days=5)
    for project_id, word in ((1, "stays"), (2, "vanishes")):
        store.command(
            "INSERT INTO spans (project_id, trace_id, span_id, start_time, name, status_message) SELECT {project_id:UInt64}, "
            "toFixedString(toString(number), 16), toFixedString(toString(number), 8), toDateTime({at_s:Int64}, 'UTC'), "
            "'ask', concat({word:String}, ' ', toString(number)) FROM numbers(500)",
            project_id=project_id,
            at_s=int(day.timestamp()),
            word=word,
        )
    store.command("OPTIMIZE TABLE spans FINAL")

    _tend(store, 0, by_project={2: 3})

    parts = store.query_rows(
        "SELECT sum(rows) FROM system.parts WHERE active AND table = 'spans' AND database = currentDatabase()"
    )
    found = "SELECT count() FROM spans WHERE project_id = 1 AND hasToken(status_message, 'stays')"
    assert (parts, store.query_rows(found)) == ([(500,)], [(500,)])


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
    assert (set(_find(store, "trace_index")), _find(store, "trace_index", 2)) == ({NOW}, [])


@pytest.mark.parametrize(("partition", "end"), [("20260228", (2026, 3, 1)), ("202602", (2026, 3, 1)), ("202512", (2026, 1, 1))])
def test_end_of_a_partition(partition: str, end: tuple[int, int, int]) -> None:
    assert find_end(partition) == datetime(*end, tzinfo=UTC)
