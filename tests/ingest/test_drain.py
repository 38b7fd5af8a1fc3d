"""From the spool into the embedded store: exactly once, past refusals, outages and restarts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ingest import drain as drain_module
from ingest.service import Ingest
from ingest.spool.checkpoint import Batch
from tests.ingest.conftest import build_request, build_span, ids_of
from tests.ingest.drains import REFUSED_BYTES, Bench
from tests.logs import build_logs
from tests.otlp_messages import sized
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import BadInsert, StoreError, StoreUnavailable
from tracestore.clickhouse.landing import Record, insert_batch, stamp
from tracestore.model import Signal
from tracestore.semconv.scores import EVALUATION_EVENT


def can_merge(store: Store) -> bool:
    """Whether the engine would merge spans now."""
    try:
        store.command("OPTIMIZE TABLE spans FINAL")
    except StoreError:
        return False
    return True


def test_open_batch_is_replayed_without_a_second_row(store: Store, tmp_path: Path) -> None:
    """A crash after the insert and before the checkpoint: the same rows go in again under the same number."""
    spans = [build_span() for _ in range(5)]
    bench = Bench(tmp_path, store)
    bench.append(*(build_request(span).SerializeToString() for span in spans))
    requests, end = bench.spool.read(bench.spool.first, max_bytes=10**6, max_requests=100)
    batch = Batch(1, requests[0].position, end)
    bench.checkpoint.save(batch)
    insert_batch(
        store,
        [(request.project_id, request.received_at_ns, request.payload) for request in requests],
        writer=bench.checkpoint.writer,
        batch_seq=1,
    )
    bench.spool.close()

    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans)
    assert bench.announced == [(bench.checkpoint.writer, 1)]


def test_replay_after_one_half_of_a_large_batch_adds_only_the_other(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_HALVED_BYTES", 1)
    spans = [build_span() for _ in range(5)]
    bench = Bench(tmp_path, store)
    bench.append(*(build_request(span).SerializeToString() for span in spans))
    requests, end = bench.spool.read(bench.spool.first, max_bytes=10**6, max_requests=100)
    bench.checkpoint.save(Batch(1, requests[0].position, end))
    insert_batch(
        store,
        [(request.project_id, request.received_at_ns, request.payload) for request in requests[:3]],
        writer=bench.checkpoint.writer,
        batch_seq=1,
        part="0",
    )
    bench.spool.close()

    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans)


def _break_off(store: Store, table: str) -> None:
    """Leave a table as a kill between the note of a part's token and the part itself does: the note is there, the part is not."""
    parts = store.query_rows(
        "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND active", table=table
    )
    store.command(f"DETACH TABLE {table}")
    for (path,) in parts:
        shutil.rmtree(path)
    store.command(f"ATTACH TABLE {table}")


_COPIES = {
    "spans": "SELECT count() FROM spans",
    "trace_touches": "SELECT count() FROM trace_touches WHERE batch_seq = 1",
    "trace_index": "SELECT count() FROM trace_index",
    "logs": "SELECT count() FROM logs",
    "log_index": "SELECT count() FROM log_index",
    "scores": "SELECT count() FROM scores FINAL",
}


@pytest.mark.parametrize("table", _COPIES)
def test_replay_stores_what_clickhouse_only_noted(store: Store, tmp_path: Path, table: str) -> None:
    spans = [build_span() for _ in range(5)]
    bench = Bench(tmp_path, store)
    bench.append(*(stamp(build_request(span).SerializeToString(), ingest_key="", spans=1) for span in spans))
    for span in spans:
        record = build_logs({"trace_id": span.trace_id.hex(), "body": "x", "event_name": EVALUATION_EVENT})
        bench.spool.append(1, time.time_ns(), stamp(record, ingest_key="", spans=1), Signal.LOGS).result(60)
    requests, end = bench.spool.read(bench.spool.first, max_bytes=10**6, max_requests=100)
    bench.checkpoint.save(Batch(1, requests[0].position, end))
    for signal in Signal:
        records = [
            (request.project_id, request.received_at_ns, request.payload) for request in requests if request.signal is signal
        ]
        insert_batch(store, records, writer=bench.checkpoint.writer, batch_seq=1, signal=signal)
    before = {name: store.query_rows(sql) for name, sql in _COPIES.items()}
    _break_off(store, table)
    bench.spool.close()

    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans)
    assert store.query_rows(_COPIES[table]) == before[table] == [(len(spans),)]


def test_insert_that_breaks_off_is_completed_by_its_retry(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_RETRY_S", (0.05,))
    inserts: list[str] = []

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)
        inserts.append(part)
        if len(inserts) == 1:
            _break_off(store, "spans")
            raise StoreUnavailable("No space left on device")

    spans = [build_span() for _ in range(5)]
    bench = Bench(tmp_path, store, insert)
    bench.append(*(build_request(span).SerializeToString() for span in spans))
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans)
    assert len(inserts) == 3


def _damage(folder: Path, marker: bytes) -> None:
    """Change one byte of the request that holds the marker, as a disk may."""
    segment = min((folder / "spool").glob("*.segment"))
    segment.write_bytes(segment.read_bytes().replace(marker, marker[:-1] + b"?", 1))


@pytest.mark.parametrize(("refused", "done", "damaged"), [(False, "0", 1), (False, "1", 3), (True, "0", 0)])
def test_damage_between_one_half_and_the_replay_of_both_costs_itself_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool, done: str, damaged: int
) -> None:
    """Halves that were cut by number would shift: a request would then come under a name that ClickHouse has."""
    monkeypatch.setattr(drain_module, "_HALVED_BYTES", 2**40 if refused else 1)
    spans = [build_span(name=f"marker{number}") for number in range(5)]
    payloads = [stamp(build_request(span).SerializeToString(), ingest_key="", spans=1) for span in spans]
    inserted: list[str] = []

    def insert_one_half(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if part != done:
            raise BadInsert("refused") if not part else StoreUnavailable("connection refused")
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)
        inserted.append(part)

    bench = Bench(tmp_path, store, insert_one_half)
    bench.append(*payloads)
    bench.drain.start()
    wait_until(lambda: inserted and bench.drain.last_error)
    assert bench.drain.stop(30)
    bench.spool.close()
    _damage(tmp_path, f"marker{damaged}".encode())

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if refused and not part:
            raise BadInsert("refused")
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    stored_before = set(bench.ids())
    bench.insert = insert
    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    intact = {ids_of(span)[0] for number, span in enumerate(spans) if number != damaged}
    assert bench.ids() == sorted(intact | stored_before)
    assert inserted == [done]


_HANGING = """
import sys, threading, time
from pathlib import Path
import django
django.setup()
from ingest import drain
from ingest.spool.checkpoint import Checkpoint
from ingest.dead_letters import DeadLetters
from ingest.spool.queue import Spool
folder = Path(sys.argv[1])
spool = Spool(folder / "spool", max_bytes=10**9)
for future in [spool.append(1, 1, b"x" * 100) for _ in range(4)]:
    future.result(60)
drain._HALVED_BYTES = 1
inserts = []
def insert(records, *, part, **_):
    inserts.append(part)
    threading.Event().wait()
checkpoint = Checkpoint(spool.folder, first=spool.first, end=spool.end)
work = drain.Drain(spool, checkpoint, DeadLetters(folder / "dead-letters"), insert, None, lambda *_: None)
work.start()
while len(inserts) < 2:
    time.sleep(0.02)
assert not work.stop(0)
"""


def test_half_that_hangs_does_not_hold_up_the_end_of_the_process(tmp_path: Path) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tracestore.settings"}
    subprocess.run([sys.executable, "-c", _HANGING, tmp_path], env=environment, timeout=150, check=True)


def test_stop_takes_no_longer_than_it_may_though_nothing_can_be_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ClickHouse nor the relational database answers."""
    over, hanging, waited_s = threading.Event(), threading.Semaphore(0), 0.0
    join, read_clock = threading.Thread.join, time.monotonic

    def hang(*_: object, **__: object) -> None:
        hanging.release()
        over.wait(200)

    def wait_by_a_clock_of_our_own(thread: threading.Thread, timeout: float | None = None) -> None:
        nonlocal waited_s
        assert timeout is not None
        waited_s += timeout if thread.is_alive() else 0

    monkeypatch.setattr("ingest.service.insert_batch", hang)
    monkeypatch.setattr("ingest.service.refusals.flush", hang)
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)
    ingest.accept(1, build_request(build_span()).SerializeToString()).result(60)
    assert all(hanging.acquire(timeout=120) for _ in range(2))

    with monkeypatch.context() as stopping:
        stopping.setattr(threading.Thread, "join", wait_by_a_clock_of_our_own)
        stopping.setattr(time, "monotonic", lambda: read_clock() + waited_s)
        ingest.stop(4)
    over.set()
    for thread in (ingest._drain._thread, ingest._flusher._thread):
        join(thread, 120)
    ingest.spool.close()

    assert 0 < waited_s <= 4.001


def test_restart_goes_on_where_it_stopped(store: Store, tmp_path: Path) -> None:
    first, second = build_span(), build_span()
    bench = Bench(tmp_path, store)
    bench.drain.start()
    bench.append(build_request(first).SerializeToString())
    wait_until(lambda: bench.announced)
    bench.close()

    bench.open()
    bench.append(build_request(second).SerializeToString())
    bench.drain.start()
    wait_until(lambda: len(bench.announced) == 2)
    bench.close()

    assert bench.ids() == ids_of(first, second)
    assert [seq for _, seq in bench.announced] == [1, 2]
    assert bench.announced[0][0] == bench.announced[1][0]


def test_outage_is_waited_out(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_RETRY_S", (0.05,))
    failures = iter(range(3))

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("connection refused")
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    span = build_span()
    bench = Bench(tmp_path, store, insert)
    bench.append(build_request(span).SerializeToString())
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(span)
    assert bench.drain.last_error == ""


def test_rules_that_cannot_be_read_repeat_no_insert_and_do_not_hold_up_the_stop(store: Store, tmp_path: Path) -> None:
    inserts: list[int] = []
    away: list[bool] = []

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        inserts.append(batch_seq)

    def find_mapped(project_ids: object) -> list[int]:
        if inserts:
            away.append(True)
            raise StoreUnavailable("the database is away")
        return []

    bench = Bench(tmp_path, store, insert)
    bench.drain._find_mapped = find_mapped
    bench.append(REFUSED_BYTES)
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.append(REFUSED_BYTES)
    wait_until(lambda: len(away) > 2)
    bench.close()

    assert inserts == [1]
    assert bench.drain.last_error == "the database is away"


def test_stop_during_an_outage_leaves_the_data_for_the_next_start(store: Store, tmp_path: Path) -> None:
    def refuse(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        raise StoreUnavailable("connection refused")

    span = build_span()
    bench = Bench(tmp_path, store, refuse)
    bench.append(build_request(span).SerializeToString())
    bench.drain.start()
    wait_until(lambda: bench.drain.last_error)
    bench.close()
    assert bench.ids() == []

    bench.insert = partial(insert_batch, store)
    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(span)


@pytest.mark.parametrize("halved_bytes", [1, 2**40])
def test_refused_request_becomes_a_dead_letter_and_the_others_are_stored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halved_bytes: int
) -> None:
    monkeypatch.setattr(drain_module, "_HALVED_BYTES", halved_bytes)
    spans = [build_span() for _ in range(6)]
    payloads = [build_request(span).SerializeToString() for span in spans]
    bench = Bench(tmp_path, store)
    bench.append(*payloads[:3], REFUSED_BYTES, *payloads[3:])
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    letters = bench.dead_letters.find()
    assert bench.ids() == ids_of(*spans)
    assert [bench.dead_letters.read_payload(letter.name) for letter in letters] == [REFUSED_BYTES]
    assert letters[0].reason


# What upb takes and ClickHouse refuses: bytes to append to a span.
TOLERATED = {
    "kind as a text": b"\x32\x01x",
    "kind beyond 32 bits": b"\x30\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    "name as a number": b"\x28\x07",
    "status as a number": b"\x78\x02",
    "bool of 18": b"\x4a\x07\x0a\x01k\x12\x02\x10\x12",
    "our own field as a text": b"",
}


def test_what_only_clickhouse_refuses_is_stored_and_holds_up_nobody(store: Store, tmp_path: Path) -> None:
    """Without rewriting, each such request took a dozen inserts until it was found, and was lost to the sender."""
    spans = [build_span() for _ in range(40)]
    payloads = [build_request(span).SerializeToString() for span in spans]
    odd = [build_span() for _ in TOLERATED]
    for span, (name, field) in zip(odd, TOLERATED.items(), strict=True):
        content = span.SerializeToString() + field
        scope_spans = b"\x12" + sized(b"\x12" + sized(content))
        own = b"\xc2\xa9\x07\x01x" if name == "our own field as a text" else b""
        payloads.insert(20, stamp(b"\x0a" + sized(scope_spans) + own, ingest_key="shop", spans=1))
    inserts: list[str] = []

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        inserts.append(part)
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    bench = Bench(tmp_path, store, insert)
    bench.append(*payloads)
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans, *odd)
    assert bench.dead_letters.find() == []
    assert inserts == ["", "c"]
    assert store.query_rows("SELECT sum(spans) FROM intake WHERE ingest_key = 'shop'") == [(len(odd),)]


def test_store_that_refuses_everything_makes_no_dead_letters(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing table or a revoked grant is not the sender's fault."""
    monkeypatch.setattr(drain_module, "_RETRY_S", (0.05,))
    broken = [True]

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if broken:
            raise BadInsert("Table otlp_traces does not exist")
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    span = build_span()
    bench = Bench(tmp_path, store, insert)
    bench.append(build_request(span).SerializeToString())
    bench.drain.start()
    wait_until(lambda: "refuses every insert" in bench.drain.last_error)
    broken.clear()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(span)
    assert bench.dead_letters.find() == []


def test_request_that_always_exhausts_the_store_does_not_hold_up_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of memory looks like an outage; that other inserts pass tells the two apart."""
    monkeypatch.setattr(drain_module, "_RETRY_S", (0.01,))
    huge, spans = build_span(name="huge"), [build_span() for _ in range(3)]

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        if any(b"huge" in bytes(payload) for _, _, payload in records):
            raise StoreUnavailable("Memory limit exceeded")
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    bench = Bench(tmp_path, store, insert)
    bench.append(*(build_request(span).SerializeToString() for span in [spans[0], huge, *spans[1:]]))
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(*spans)
    assert [letter.reason for letter in bench.dead_letters.find()] == ["Memory limit exceeded"]


def test_merges_wait_while_the_drain_is_far_behind_and_no_longer(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_HOLD_MERGES_BYTES", 2500)
    monkeypatch.setattr(drain_module, "_MAX_BATCH_BYTES", 500)
    monkeypatch.setattr(drain_module, "_MAX_HELD_BATCHES", 3)
    merged: list[bool] = []  # after each batch: whether ClickHouse merges spans

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        merged.append(can_merge(store))
        insert_batch(store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part)

    bench = Bench(tmp_path, store, insert)
    spans = [build_span(name="x" * 400) for _ in range(12)]
    bench.append(*(build_request(span).SerializeToString() for span in spans))
    bench.drain.start()
    wait_until(lambda: not bench.spool.bytes_after(bench.checkpoint.batch.end))
    bench.close()

    assert merged[:5] == [True, False, False, False, True], merged
    assert bench.ids() == ids_of(*spans)
    assert can_merge(store)


def test_open_batch_with_a_damaged_request_is_replayed_as_one_insert(store: Store, tmp_path: Path) -> None:
    """In two inserts under one token the second would be dropped as a repetition of the first."""
    first, second, third = build_span(), build_span(name="x" * 50), build_span()
    bench = Bench(tmp_path, store)
    bench.append(*(build_request(span).SerializeToString() for span in (first, second, third)))
    requests, end = bench.spool.read(bench.spool.first, max_bytes=10**6, max_requests=100)
    bench.checkpoint.save(Batch(1, requests[0].position, end))
    bench.spool.close()
    segment = min((tmp_path / "spool").glob("*.segment"))
    segment.write_bytes(segment.read_bytes().replace(b"xxxx", b"xxyx", 1))

    bench.open()
    bench.drain.start()
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(first, third)


def test_segment_that_is_gone_is_told_and_the_next_are_stored(store: Store, tmp_path: Path) -> None:
    span = build_span()
    bench = Bench(tmp_path, store, segment_bytes=2000)
    bench.append(build_request(build_span(name="x" * 3000)).SerializeToString())
    bench.append(build_request(build_span(name="x" * 3000)).SerializeToString())
    bench.append(build_request(span).SerializeToString())
    bench.spool.close()
    (tmp_path / "spool" / f"{2:016d}.segment").unlink()

    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)
    wait_until(lambda: not ingest.status().waiting_bytes)
    ingest.stop(60)

    assert [letter.reason for letter in ingest.dead_letters.find()] == [
        "Segment 2 of the spool is gone, with what was acknowledged in it and not stored yet."
    ]
    assert len(bench.ids()) == 2
    assert ids_of(span)[0] in bench.ids()


def test_age_of_what_waits_is_known(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)
    wait_until(lambda: not ingest.status().waiting_bytes)
    assert ingest.find_oldest_waiting() is None
    away = [True]

    def insert(*args: object, **kwargs: object) -> None:
        if away:
            raise StoreUnavailable("the store is away")

    monkeypatch.setattr(ingest._drain, "_insert_batch", insert)
    before = datetime.now(UTC)
    ingest.accept(1, build_request(build_span()).SerializeToString(), spans=1).result(60)
    wait_until(lambda: ingest.status().drain_error)
    oldest = ingest.find_oldest_waiting()
    away.clear()
    wait_until(lambda: ingest.find_oldest_waiting() is None)
    ingest.stop(60)

    assert oldest is not None
    assert before <= oldest <= datetime.now(UTC)
