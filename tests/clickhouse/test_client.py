"""The store's clients."""

from __future__ import annotations

import threading

import pytest

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError


def test_what_writes_does_not_wait_behind_reads(store: Store) -> None:
    while store._places.acquire(blocking=False):  # as many slow reads as there may be
        pass
    writing = threading.Thread(target=insert_traces, args=(store, {}), daemon=True)
    try:
        writing.start()
        writing.join(120)
        assert not writing.is_alive()
    finally:
        for _ in range(16):
            store._places.release()


def test_nothing_of_an_answer_that_broke_off_stands_in_the_next(store: Store) -> None:
    for _ in range(5):
        with pytest.raises(StoreError):
            store.query_rows("SELECT throwIf(number = 5000, 'late'), number FROM numbers(10000) SETTINGS max_block_size = 100")

        assert store.query_rows("SELECT 7") == [(7,)]
