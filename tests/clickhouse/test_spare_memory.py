"""What a load leaves behind goes back to the system when nothing is written or merged any more."""

from __future__ import annotations

import time

import pytest

from tests.spans import build_request
from tracestore.clickhouse import spare_memory
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.spare_memory import SpareMemory, resident_bytes

pytestmark = pytest.mark.django_db


def insert(store: Store, seq: int) -> None:
    span = {"trace_id": "a" * 32, "span_id": "1" * 16, "parent": "", "start_ns": time.time_ns(), "name": "step"}
    insert_batch(store, [(1, time.time_ns(), build_request(span))], writer="spare", batch_seq=seq)


def test_memory_is_returned_when_nothing_was_written_since_the_last_look(store: Store) -> None:
    spare = SpareMemory()
    insert(store, 1)
    looks = [spare.tend(store)]
    insert(store, 2)
    looks.append(spare.tend(store))
    before = resident_bytes()
    looks.append(spare.tend(store))
    after = resident_bytes()

    assert looks == [False, False, True]
    assert after < before


def test_memory_that_has_hardly_grown_is_left(store: Store) -> None:
    spare = SpareMemory()
    looks = [spare.tend(store) for _ in range(4)]

    assert looks == [False, True, False, False]


def test_memory_is_left_while_merges_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = SpareMemory()
    spare.tend(store)

    monkeypatch.setattr(spare_memory, "_MERGES", "SELECT count() FROM system.one")
    during = spare.tend(store)
    monkeypatch.undo()

    assert (during, spare.tend(store)) == (False, True)
