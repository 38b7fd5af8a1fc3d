"""What parts hold is noted once for parts that have the index of words, and believed of no other part."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.ingest.conftest import build_request, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.part_contents import PartContents, find_ngrams, parts_where
from tracestore.timerange import DAY_NS

_T0 = 1_790_000_000 * 10**9
_batches = iter(range(1, 10**6))


def _insert(store: Store, name: str, *, day: int = 0, spans: int = 2, keys: int = 1) -> None:
    attributes = [KeyValue(key=f"{name}.{number}", value=AnyValue(string_value="x")) for number in range(keys)]
    start_ns = _T0 + day * DAY_NS
    request = build_request(*(build_span(name=name, start_time_unix_nano=start_ns, attributes=attributes) for _ in range(spans)))
    insert_batch(store, [(1, time.time_ns(), request.SerializeToString())], writer="part contents", batch_seq=next(_batches))


def _build_index(store: Store, partition: str = "20260921") -> None:
    store.command(
        "ALTER TABLE spans MATERIALIZE INDEX words IN PARTITION ID {partition:String} SETTINGS mutations_sync = 1",
        partition=partition,
    )


def _note_all(store: Store, contents: PartContents) -> list[str]:
    return list(iter(lambda: contents.tend(store), ""))


def _read_noted(store: Store) -> dict[str, set[str]]:
    """Return the n-grams of each part as texts."""
    rows = store.query_rows("SELECT part, bitmapToArray(ngrams) FROM part_contents")
    return {part: {number.to_bytes(4, "little").decode() for number in ngrams} for part, ngrams in rows}


@pytest.fixture
def contents() -> PartContents:
    return PartContents(least_spans=2)


@pytest.fixture
def unmerged(store: Store) -> Iterator[Store]:
    store.hold_merges(["spans"], True)
    yield store
    store.hold_merges(["spans"], False)


def test_contents_are_noted_of_parts_that_have_the_index(store: Store, contents: PartContents) -> None:
    _insert(store, "Zebra é1 xy wolf")
    _insert(store, "unindexed", day=1, spans=3)
    _insert(store, "small", day=2, spans=1)
    unbuilt = _note_all(store, contents)
    _build_index(store)
    _build_index(store, "20260923")

    noted = _note_all(store, contents)

    assert unbuilt == []
    assert [name.split("_")[0] for name in noted] == ["20260921"]
    [ngrams] = _read_noted(store).values()
    assert {"zebr", "ebra", "wolf"} <= ngrams
    assert {"unin", "smal", "Zebr"}.isdisjoint(ngrams)
    keys = store.query_rows("SELECT knows_keys, attributes, resource_attributes, scope_attributes FROM part_contents")
    assert keys == [(True, ["Zebra é1 xy wolf.0"], ["service.name"], [])]
    assert _note_all(store, PartContents(least_spans=2)) == []  # of another process


@pytest.mark.parametrize(("keys", "knows_keys"), [(10_000, True), (10_001, False)])
def test_too_many_keys_are_no_knowledge(store: Store, contents: PartContents, keys: int, *, knows_keys: bool) -> None:
    for first in range(0, keys, 1000):
        _insert(store, f"k{first}", keys=min(1000, keys - first), spans=1)
    store.command("OPTIMIZE TABLE spans FINAL")
    _build_index(store)
    _note_all(store, contents)

    assert store.query_rows("SELECT knows_keys FROM part_contents") == [(knows_keys,)]


def test_nothing_is_noted_while_merges_are_held(store: Store, contents: PartContents) -> None:
    _insert(store, "alpha")
    _build_index(store)
    store.hold_merges(["spans"], True)
    while_held = contents.tend(store)
    store.hold_merges(["spans"], False)

    assert while_held == ""
    assert contents.tend(store).startswith("20260921")


def test_parts_that_are_gone_are_forgotten(store: Store, contents: PartContents) -> None:
    _insert(store, "alpha")
    _build_index(store)
    [part] = _note_all(store, contents)
    gone = "INSERT INTO part_contents (part, files) SELECT concat('20260101_1_1_0_', toString(number)), '' FROM numbers(%s)"
    store.command(gone % "100")
    contents.tend(store)
    few = len(_read_noted(store))
    store.command(gone % "100, 1")
    contents.tend(store)

    assert few == 101
    assert list(_read_noted(store)) == [part]


def test_what_is_noted_of_another_part_of_that_name_is_not_believed(store: Store, contents: PartContents) -> None:
    _insert(store, "alpha")
    _build_index(store)
    [part] = _note_all(store, contents)
    everywhere = parts_where("true")
    believed = store.query_rows(everywhere)
    store.command("TRUNCATE TABLE part_contents")
    store.command("INSERT INTO part_contents (part, files) SELECT {part:String}, 'others'", part=part)

    assert believed == [(part,)]
    assert store.query_rows(everywhere) == []
    assert _note_all(store, contents) == [part]
    assert store.query_rows(everywhere) == [(part,)]


def test_ngrams_are_those_of_the_engine(store: Store) -> None:
    [(ngrams,)] = store.query_rows("SELECT arraySort(arrayMap(x -> reinterpretAsUInt32(x), ngrams('order2', 4)))")

    assert find_ngrams("Order2") == ngrams
    assert find_ngrams("abc") == []
