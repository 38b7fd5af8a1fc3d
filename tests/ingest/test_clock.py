"""The wall clock jumps while spans arrive: by hours, both ways, also between an insert and its replay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingest.service import Ingest
from ingest.spool.checkpoint import Batch
from tests.ingest.conftest import Receiver, build_request, build_span, ids_of
from tests.ingest.drains import wait_until_drained
from tests.ingest.grpc_calls import TRACES, open_channel
from tracestore.clickhouse.client import Store

_HOUR_NS = 3600 * 10**9
_JUMPS_H = (5, -7, 26, -3, 0.01, -0.01)


class _Clock:
    """A wall clock that is set by hand; it runs on in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset_ns = 0
        real_ns = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + self.offset_ns)
        monkeypatch.setattr(time, "time", lambda: (real_ns() + self.offset_ns) / 1e9)

    def jump(self, hours: float) -> None:
        self.offset_ns += int(hours * _HOUR_NS)


def test_jumps_during_ingest_lose_and_double_nothing(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(monkeypatch)
    spans = []
    for hours in _JUMPS_H:
        before, between, after = (build_span() for _ in range(3))
        assert receiver.send(build_request(before).SerializeToString()).status == 200
        clock.jump(hours)
        assert receiver.send(build_request(between).SerializeToString()).status == 200
        assert receiver.ingest.status().oldest_age_s >= 0
        with open_channel(receiver) as channel:
            channel.unary_unary(TRACES)(build_request(after).SerializeToString())  # a deadline of the client would jump too
        spans += [before, between, after]

    assert receiver.stored_spans() == ids_of(*spans)
    assert receiver.store.query_rows("SELECT sum(spans) FROM intake") == [(len(spans),)]
    assert receiver.ingest.status().dead_letters == 0


@pytest.mark.parametrize("hours", [5, -5])
def test_jump_before_a_replay_doubles_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    clock = _Clock(monkeypatch)
    spans = [build_span() for _ in range(3)]
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda *_: None)
    start = ingest.spool.end
    ingest.accept(1, build_request(*spans).SerializeToString(), spans=len(spans)).result(60)  # one batch
    wait_until_drained(ingest)
    end, batch_seq = ingest.spool.end, ingest._checkpoint.batch.batch_seq
    assert batch_seq == 1
    ingest.stop(60)
    ingest._checkpoint.save(Batch(batch_seq, start, end))  # as if the process had died after the insert

    clock.jump(hours)
    again = Ingest(store, data=tmp_path)
    again.start(lambda *_: None)
    again.accept(1, build_request(late := build_span()).SerializeToString(), spans=1).result(60)
    wait_until_drained(again)
    again.stop(60)

    rows = store.query_rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM spans WHERE project_id > 0")
    assert sorted(rows) == ids_of(*spans, late)
    assert store.query_rows("SELECT sum(spans) FROM intake") == [(4,)]
