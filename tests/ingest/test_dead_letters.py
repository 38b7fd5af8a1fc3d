"""Requests that were refused or damaged: kept, listed, and stored when they are replayed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from ingest import drain as drain_module
from ingest.service import Ingest
from tests.ingest.conftest import Receiver, build_request, build_span, ids_of
from tests.ingest.drains import REFUSED_BYTES, Bench
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import Record
from tracestore.model import Signal


def test_dead_letter_is_replayed_by_command(receiver: Receiver, settings: Settings, tmp_path: Path) -> None:
    settings.DATA = tmp_path
    span = build_span()
    receiver.ingest.dead_letters.add(
        "w-1-0", build_request(span).SerializeToString(), project_id=1, received_at_ns=1, refused_at_ns=2, reason="Cannot parse"
    )
    listed, replayed = io.StringIO(), io.StringIO()

    call_command("replay_dead_letters", stdout=listed)
    call_command("replay_dead_letters", "--all", stdout=replayed)
    wait_until(lambda: not receiver.ingest.dead_letters.count())

    assert "w-1-0" in listed.getvalue()
    assert "Cannot parse" in listed.getvalue()
    assert receiver.stored_spans() == ids_of(span)


def test_dead_letter_is_replayed_while_requests_keep_coming(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_PACE_S", 0.0)
    span = build_span()
    bench = Bench(tmp_path, store)

    def insert(records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        bench.append(REFUSED_BYTES)  # each insert finds the next request waiting

    bench.drain._insert_batch = insert
    bench.dead_letters.add(
        "w-1-0", build_request(span).SerializeToString(), project_id=1, received_at_ns=1, refused_at_ns=2, reason="Cannot parse"
    )
    bench.dead_letters.request_replay("w-1-0")
    bench.append(REFUSED_BYTES)
    bench.drain.start()
    wait_until(lambda: not bench.dead_letters.count())

    bench.drain.stop(0)
    wait_until(lambda: not bench.drain.is_alive)
    bench.spool.close()


def test_dead_letter_that_cannot_be_read_holds_up_nobody(store: Store, tmp_path: Path) -> None:
    span = build_span()
    bench = Bench(tmp_path, store)
    bench.dead_letters.add("w-1-0", b"", project_id=1, received_at_ns=1, refused_at_ns=2, reason="Cannot parse")
    bench.dead_letters.request_replay("w-1-0")
    (tmp_path / "dead-letters" / "w-1-0.pb").unlink()
    (tmp_path / "dead-letters" / "w-1-0.pb").mkdir()
    bench.drain.start()
    bench.append(build_request(span).SerializeToString())
    wait_until(lambda: bench.announced)
    bench.close()

    assert bench.ids() == ids_of(span)
    assert bench.drain.last_error == ""


def test_unknown_dead_letter_is_named(settings: Settings, tmp_path: Path) -> None:
    settings.DATA = tmp_path

    with pytest.raises(CommandError, match="nothing"):
        call_command("replay_dead_letters", "nothing")


def test_damaged_request_becomes_a_dead_letter_and_the_others_are_stored(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    """One whose header is intact is replayed when asked for, with the letter that the disk changed; other bytes are kept."""
    settings.DATA = tmp_path
    first, second, third = build_span(name="x" * 3000), build_span(), build_span()
    bench = Bench(tmp_path, store)
    bench.append(*(build_request(span).SerializeToString() for span in (first, second, third)))
    bench.spool.close()
    segment = min((tmp_path / "spool").glob("*.segment"))
    content = bytearray(segment.read_bytes().replace(b"xxxx", b"xxyx", 1))
    at_second = content.index(b"TSR2", 10)
    content[at_second + 4 : at_second + 8] = b"\xff\xff\xff\xff"
    segment.write_bytes(content)

    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)
    wait_until(lambda: not ingest.status().waiting_bytes)
    letters = {letter.is_request: letter for letter in ingest.dead_letters.find()}
    stored_before = bench.ids()
    call_command("replay_dead_letters", "--all", stdout=io.StringIO())
    wait_until(lambda: len(bench.ids()) == 2)
    ingest.stop(60)

    assert stored_before == ids_of(third)
    assert bench.ids() == ids_of(first, third)
    assert store.query_rows("SELECT max(name LIKE '%y%') FROM spans") == [(1,)]
    assert "checksum" in letters[True].reason
    assert "what they were cannot be told" in letters[False].reason
    assert [letter.is_request for letter in ingest.dead_letters.find()] == [False]
    with pytest.raises(CommandError, match="nobody can replay"):
        call_command("replay_dead_letters", letters[False].name)
