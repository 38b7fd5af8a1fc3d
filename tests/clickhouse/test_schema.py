"""The engine's copy of the schema of OTLP, which a full disk can leave empty."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.ingest.conftest import build_request, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch


def _insert(store: Store, batch_seq: int) -> None:
    body = build_request(build_span()).SerializeToString()
    insert_batch(store, [(1, time.time_ns(), body)], writer="schema", batch_seq=batch_seq)


_FORGET = "SYSTEM DROP FORMAT SCHEMA CACHE FOR Protobuf"  # what was read, as after a start


def test_schema_that_a_full_disk_cut_off_is_written_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the copy lies in the working directory, which other tests have in common
    store.command(_FORGET)
    _insert(store, 1)
    [copy] = tmp_path.glob("__cache__/*.proto")
    os.truncate(copy, 0)
    store.command(_FORGET)

    with pytest.raises(StoreUnavailable, match="lost the schema"):
        _insert(store, 2)
    _insert(store, 2)

    assert store.query_rows("SELECT count() FROM spans") == [(2,)]
