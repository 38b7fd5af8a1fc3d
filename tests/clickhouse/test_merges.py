"""What merges do when they go on after the drain has held them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator

import pytest

from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError

# Inserts make parts of level 1, the first merges parts of level 2, which stay for minutes when they are merged again.
_MERGED = """
SELECT max(max_block_number - min_block_number + 1) FROM system.parts
WHERE level = 2 AND partition_id = '197001' AND database = currentDatabase() AND table = {table:String}
"""
_ACTIVE = "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}"
_INSERTS, _MOST = 40, 12


@pytest.mark.parametrize("table", ["spans", "logs"])
def test_merge_takes_few_of_many_waiting_parts(store: Store, table: str) -> None:
    store.hold_merges([table], True)
    for number in range(_INSERTS):
        store.command(f"INSERT INTO {table} (project_id) SELECT {number + 1}")

    store.hold_merges([table], False)
    wait_until(lambda: store.query_rows(_ACTIVE, table=table)[0][0] < _INSERTS / 2)

    assert 1 < store.query_rows(_MERGED, table=table)[0][0] <= _MOST


def fails(statement: Callable[[], object]) -> bool:
    try:
        statement()
    except (StoreError, ValueError):
        return True
    return False


def broken_off() -> Generator[bytes, None, None]:
    yield b""
    raise ValueError("the rest of the body cannot be read")


@pytest.mark.parametrize("failing", ["statement", "body"])
def test_merges_that_are_held_stay_held_whatever_else_fails(store: Store, failing: str) -> None:
    """The engine ends with its last client: what fails must not take that with it."""
    statements: dict[str, Callable[[], object]] = {
        "statement": lambda: store.query_rows("SELECT nothing"),
        "body": lambda: store.insert_raw("spans", broken_off(), "RowBinary", {}),
    }
    store.hold_merges(["spans"], True)
    failed = sum(fails(statements[failing]) for _ in range(20))  # more than there are clients
    gc.collect()
    store.command("INSERT INTO spans (project_id) SELECT 1")
    store.command("INSERT INTO spans (project_id) SELECT 2")

    with pytest.raises(StoreError, match="Cancelled"):
        store.command("OPTIMIZE TABLE spans FINAL")

    assert failed == 20
    store.hold_merges(["spans"], False)
    store.command("OPTIMIZE TABLE spans FINAL")

    assert failed == 20
