"""Spans lie in a partition for each day, also those of a store that had one for each month."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.ingest.conftest import build_request, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.partitions import partition_by_day, partition_of
from tracestore.timerange import DAY_NS

T0 = 1_790_000_000 * 10**9  # 21 September 2026
LATER, LONG_AGO, FAR_OFF = T0 + DAY_NS, 950_000_000 * 10**9, 4_000_000_000 * 10**9
_PARTITIONS = "SELECT partition_id, count() FROM (SELECT _partition_id AS partition_id FROM spans FINAL) GROUP BY 1 ORDER BY 1"
_TABLES = "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '^spans_(by|of)_')"
_batches = iter(range(1, 10**6))


def _insert(store: Store, *starts_ns: int) -> None:
    request = build_request(*(build_span(start_time_unix_nano=start_ns) for start_ns in starts_ns))
    insert_batch(store, [(1, time.time_ns(), request.SerializeToString())], writer="partitions", batch_seq=next(_batches))


@pytest.fixture
def by_month(store: Store) -> Iterator[Store]:
    """A store whose spans lie in a partition for each month, as they did first."""
    ((created,),) = store.query_rows("SELECT create_table_query FROM system.tables WHERE name = 'spans'")
    start = created.index("PARTITION BY")
    old = created[created.index("(") : start] + "PARTITION BY toYYYYMM(start_time) " + created[created.index("ORDER BY", start) :]
    store.command("CREATE TABLE spans_of_old " + old)
    store.command("EXCHANGE TABLES spans AND spans_of_old")
    store.command("DROP TABLE spans_of_old SYNC")
    yield store
    partition_by_day(store)


@pytest.mark.parametrize(
    "start_ns", [LONG_AGO, T0, LATER, FAR_OFF, int(datetime(2031, 1, 1, tzinfo=UTC).timestamp()) * 10**9 - 1]
)
def test_partition_is_the_day_or_outside_of_some_years_the_month(store: Store, start_ns: int) -> None:
    _insert(store, start_ns)

    assert store.query_rows(_PARTITIONS) == [(partition_of(start_ns), 1)]


def test_spans_of_months_are_moved_and_stay_what_they_were(by_month: Store) -> None:
    _insert(by_month, T0, T0, LATER, LONG_AGO, FAR_OFF)
    before = by_month.query_rows("SELECT * FROM spans ORDER BY start_time, span_id")
    arrived = by_month.query_rows("SELECT count() FROM trace_touches")
    assert len(by_month.query_rows(_PARTITIONS)) == 3

    partition_by_day(by_month)
    partition_by_day(by_month)

    assert by_month.query_rows("SELECT * FROM spans ORDER BY start_time, span_id") == before
    assert by_month.query_rows(_PARTITIONS) == [("200002", 1), ("20260921", 2), ("20260922", 1), ("209610", 1)]
    assert by_month.query_rows("SELECT count() FROM trace_touches") == arrived
    assert by_month.query_rows(_TABLES) == []


@pytest.mark.parametrize(
    "refused",
    [
        "EXCHANGE",
        "INSERT INTO",
        "ALTER TABLE spans ATTACH",
        "ALTER TABLE spans_by_month",
        "DROP TABLE IF EXISTS spans_by_month SYNC",
    ],
)
def test_move_that_was_broken_off_goes_on(by_month: Store, monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    _insert(by_month, T0, LATER, T0 + 20 * DAY_NS)
    run = by_month.command

    def break_off(sql: str, **params: object) -> object:
        if sql.lstrip().startswith(refused):
            raise StoreError("killed")
        return run(sql, **params)

    with monkeypatch.context() as patch:
        patch.setattr(by_month, "command", break_off)
        with pytest.raises(StoreError, match="killed"):
            partition_by_day(by_month)
    _insert(by_month, T0)

    partition_by_day(by_month)

    assert by_month.query_rows(_PARTITIONS) == [("20260921", 2), ("20260922", 1), ("20261011", 1)]
    assert by_month.query_rows(_TABLES) == []


def test_two_that_move_at_a_time_lose_nothing(by_month: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _insert(by_month, T0, LATER, T0 + 20 * DAY_NS)
    run, others = by_month.command, iter([partition_by_day])

    def let_another_be_first(sql: str, **params: object) -> object:
        if sql.lstrip().startswith("INSERT INTO"):
            for other in others:
                other(by_month)
        return run(sql, **params)

    monkeypatch.setattr(by_month, "command", let_another_be_first)
    with pytest.raises(StoreError):
        partition_by_day(by_month)  # what it was about to read is gone
    monkeypatch.undo()

    partition_by_day(by_month)

    assert by_month.query_rows(_PARTITIONS) == [("20260921", 1), ("20260922", 1), ("20261011", 1)]
