"""What the disk did not take whole is found, although the engine says that it is written."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.ingest.conftest import build_request, build_span, ids_of
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch

_FULL_BYTES = 1500  # the driver's own file of the request is smaller, what the engine writes of it is larger


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a size: the kernel answers EFBIG where a full disk answers ENOSPC, in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _insert(store: Store, batch_seq: int, payload: bytes) -> None:
    insert_batch(store, [(1, time.time_ns(), payload)], writer="parts", batch_seq=batch_seq)


def _stored(store: Store) -> list[tuple[str, str]]:
    rows = store.query_rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM spans WHERE project_id > 0")
    return sorted((str(trace_id), str(span_id)) for trace_id, span_id in rows)


def _names(store: Store) -> set[str]:
    """Return the parts that hold rows: a TRUNCATE leaves empty ones, for as long as merged parts stay."""
    found = store.query_rows("SELECT name FROM system.parts WHERE table = 'spans' AND active AND rows > 0")
    return {name for (name,) in found}


def _settle(store: Store) -> None:
    """Check until nothing is found: merges of the engine may have met the full disk as well."""
    for _ in range(10):
        try:
            return store.check_parts()
        except StoreUnavailable:
            continue
    pytest.fail("parts are cut short again and again")


def test_insert_that_the_disk_did_not_take_fails_and_can_be_repeated(store: Store) -> None:
    spans = [build_span() for _ in range(5)]
    payload = build_request(*spans).SerializeToString()

    with full_disk(), pytest.raises(StoreUnavailable, match="disk"):
        _insert(store, 1, payload)
    _settle(store)
    assert _stored(store) == []

    _insert(store, 1, payload)
    assert _stored(store) == ids_of(*spans)
    assert store.query_rows("SELECT uniqExact(trace_id) FROM trace_touches WHERE writer = 'parts'") == [(5,)]


def test_insert_beside_one_whose_rows_were_lost_fails_as_well(store: Store) -> None:
    """Who finds a part that was cut short takes it out: the insert that wrote it must hear of it too."""
    begun = store._parts.begin() if store._parts else 0
    with full_disk(), pytest.raises(StoreUnavailable):
        _insert(store, 2, build_request(*[build_span() for _ in range(5)]).SerializeToString())

    assert store._parts
    with store._client("command") as client, pytest.raises(StoreUnavailable):
        store._parts.check(client, begun)
    _settle(store)


def test_merge_that_the_disk_did_not_take_is_undone(store: Store) -> None:
    spans = [build_span() for _ in range(15)]
    for number in range(3):
        _insert(store, 10 + number, build_request(*spans[5 * number :][:5]).SerializeToString())
    before = _names(store)

    with full_disk():
        store.command("OPTIMIZE TABLE spans FINAL")
    assert _names(store) != before
    with pytest.raises(StoreUnavailable, match="disk"):
        store.check_parts()

    _settle(store)
    assert _stored(store) == ids_of(*spans)
    store.command("OPTIMIZE TABLE spans FINAL")
    store.check_parts()
    assert _stored(store) == ids_of(*spans)
    assert len(_names(store)) == 1
