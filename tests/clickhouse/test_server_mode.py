"""Server mode: the store over HTTP, and a server that refuses, hangs, is slow, or whose answers get lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest import drain as drain_module
from ingest.service import Ingest
from tests.clickhouse.gateway import Gateway, serve
from tests.ingest.conftest import build_request, build_span
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreError
from tracestore.clickhouse.landing import insert_batch
from tracestore.clickhouse.migrate import migrate
from tracestore.jobs import summarize


@pytest.fixture
def gateway(store: Store) -> Iterator[Gateway]:
    with serve(store) as running:
        yield running


@pytest.fixture
def remote(gateway: Gateway) -> Iterator[Store]:
    """A store that knows nothing but the server's URL."""
    remote = Store(url=gateway.url, timeout_s=60)
    yield remote
    remote.close()


@dataclass
class _Count:
    value: int


def test_queries_bind_parameters_and_errors_keep_their_kind(remote: Store) -> None:
    assert remote.query("SELECT {value:UInt64} + 1 AS value", _Count, value=41) == [_Count(42)]
    assert remote.query_arrow("SELECT toFixedString('ab', 2) AS id").to_pylist() == [{"id": b"ab"}]
    with pytest.raises(StoreError, match="no_such_table"):
        remote.query_rows("SELECT 1 FROM no_such_table")
    with pytest.raises(QueryTooExpensive):
        Store(url=remote._url, timeout_s=1).query_rows("SELECT count() FROM numbers(1e12) WHERE sipHash64(number) = 0")


def test_migrations_find_a_server_up_to_date(remote: Store) -> None:
    assert migrate(remote) == []


@pytest.mark.django_db
def test_summaries_and_rollups_are_written_over_http(store: Store, remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summarize, "get_store", lambda: remote)
    insert_batch(remote, [(1, time.time_ns(), build_request(build_span()).SerializeToString())], writer="remote", batch_seq=1)

    assert summarize.summarize_pending() == 1
    assert summarize.roll_up_pending() == 1
    assert not summarize.has_rested()  # others may have inserted meanwhile

    assert store.query_rows("SELECT count(), sum(span_count) FROM traces FINAL") == [(1, 1)]
    assert store.query_rows("SELECT sum(requests) FROM rollups FINAL WHERE dimension = ''") == [(1,)]


@pytest.mark.parametrize("fault", ["refuse", "lose", "slow", "hang"])
def test_faults_of_the_server_lose_and_double_nothing(
    store: Store, remote: Store, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(drain_module, "_RETRY_S", (0.1,))
    if fault == "hang":  # the others are told without waiting; an insert that only is slow must not be given up
        monkeypatch.setattr("tracestore.clickhouse.client._ANSWER_TIMEOUT_S", 12)
    ingest = Ingest(remote, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)
    spans = [build_span() for _ in range(30)]
    try:
        gateway.fault = fault
        for number, span in enumerate(spans):
            ingest.accept(1, build_request(span).SerializeToString()).result(60)
            if number == 15:
                wait_until(lambda: gateway.seen)
                if fault != "slow":
                    wait_until(lambda: ingest.status().drain_error)
                time.sleep(0.3)
                gateway.fault = ""
                gateway.release.set()
        wait_until(lambda: not ingest.status().waiting_bytes)
    finally:
        ingest.stop(60)

    assert store.query_rows("SELECT count(), uniqExact(span_id) FROM spans") == [(len(spans), len(spans))]
    assert store.query_rows("SELECT sum(received_spans) FROM trace_index") == [(len(spans),)]
    assert ingest.dead_letters.find() == []
