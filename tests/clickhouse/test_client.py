"""The store's clients."""

from __future__ import annotations

import threading

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store


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
