"""The store's clients."""

from __future__ import annotations

import pytest

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError


def test_nothing_of_an_answer_that_broke_off_stands_in_the_next(store: Store) -> None:
    for _ in range(5):
        with pytest.raises(StoreError):
            store.query_rows("SELECT throwIf(number = 5000, 'late'), number FROM numbers(10000) SETTINGS max_block_size = 100")

        assert store.query_rows("SELECT 7") == [(7,)]
