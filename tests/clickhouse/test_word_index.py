"""The index of words is built for parts that merges left alone, one day at a time, and given up when merges have to wait."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.ingest.conftest import build_request, build_span
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.word_index import WordIndex
from tracestore.timerange import DAY_NS

_T0 = 1_790_000_000 * 10**9
_TOKENS = "SELECT count() FROM mergeTreeTextIndex(currentDatabase(), 'spans', 'words') WHERE token = {token:String}"
_UNDER_WAY = "SELECT count() FROM system.mutations WHERE table = 'spans' AND NOT is_done"
_SECONDS_OLD = "SELECT now() - max(create_time) FROM system.mutations WHERE table = 'spans'"
_batches = iter(range(1, 10**6))


def _insert(store: Store, name: str, *, day: int = 0, spans: int = 1) -> None:
    start_ns = _T0 + day * DAY_NS
    request = build_request(*(build_span(name=name, start_time_unix_nano=start_ns) for _ in range(spans)))
    insert_batch(store, [(1, time.time_ns(), request.SerializeToString())], writer="word index", batch_seq=next(_batches))


def _holders(store: Store, token: str) -> int:
    """Return in how many parts the index knows a word."""
    return int(store.query_rows(_TOKENS, token=token)[0][0])


def _wait_until_built(store: Store) -> None:
    wait_until(lambda: store.query_rows(_UNDER_WAY) == [(0,)])


def _eager(*, most_parts: int = 300) -> WordIndex:
    return WordIndex(settled_s=0, least_spans=2, rest=0, most_parts=most_parts)


@pytest.fixture
def held(store: Store) -> Iterator[Store]:
    """A store whose `spans` are not merged, nor mutated."""
    store.hold_merges(["spans"], True)
    yield store
    store.hold_merges(["spans"], False)
    _wait_until_built(store)


def test_neither_inserts_nor_merges_build_the_index(store: Store) -> None:
    _insert(store, "alpha")
    _insert(store, "alpha")
    store.command("OPTIMIZE TABLE spans FINAL")

    assert _holders(store, "alpha") == 0


def test_index_is_built_for_the_day_of_the_largest_part_that_lacks_it(store: Store) -> None:
    _insert(store, "alpha", spans=2)
    _insert(store, "beta", day=1, spans=3)
    _insert(store, "gamma", day=2)
    index = _eager()

    begun = []
    for _ in range(3):
        begun.append(index.tend(store))
        _wait_until_built(store)

    assert begun == ["20260922", "20260921", ""]
    assert [_holders(store, name) for name in ("alpha", "beta", "gamma")] == [1, 1, 0]
    assert _eager().tend(store) == ""  # of another process


def test_part_that_may_soon_be_merged_has_to_wait(store: Store) -> None:
    _insert(store, "alpha", spans=2)

    assert WordIndex(least_spans=2, rest=0).tend(store) == ""
    assert WordIndex(settled_s=0, rest=0).tend(store) == ""
    assert _holders(store, "alpha") == 0


def test_it_rests_after_a_build(held: Store) -> None:
    _insert(held, "alpha", spans=2)
    index = WordIndex(settled_s=0, least_spans=2, rest=10_000)
    index.tend(held)
    wait_until(lambda: held.query_rows(_SECONDS_OLD)[0][0] > 0)  # times of mutations are in seconds: it is to take one at least
    held.hold_merges(["spans"], False)
    _wait_until_built(held)
    _insert(held, "beta", day=1, spans=3)

    assert index.tend(held) == ""
    assert _eager().tend(held) == "20260922"


def test_building_waits_while_merges_are_held(held: Store) -> None:
    _insert(held, "alpha", spans=2)
    index = _eager()

    begun, while_building = index.tend(held), index.tend(held)
    holders = _holders(held, "alpha")
    held.hold_merges(["spans"], False)
    _wait_until_built(held)

    assert (begun, while_building) == ("20260921", "")
    assert (holders, _holders(held, "alpha")) == (0, 1)


def test_it_is_given_up_for_a_while_when_parts_add_up(held: Store) -> None:
    for _ in range(3):
        _insert(held, "alpha", spans=2)
    patient, index = _eager(), _eager(most_parts=2)
    begun = patient.tend(held)

    at_once = index.tend(held)
    _wait_until_built(held)
    held.command("OPTIMIZE TABLE spans FINAL")
    later = index.tend(held)

    assert (begun, at_once, later) == ("20260921", "", "")
    assert _holders(held, "alpha") == 0
    assert _eager().tend(held) == "20260921"
