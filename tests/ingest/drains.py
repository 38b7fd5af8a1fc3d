"""A drain with its spool, and waiting for the drain of a whole ingest."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from ingest.dead_letters import DeadLetters
from ingest.drain import Drain, Insert
from ingest.service import Ingest
from ingest.spool.checkpoint import Checkpoint
from ingest.spool.queue import Spool
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch, recover_batch

# Passes as Protobuf for anybody who skips unknown groups; ClickHouse reads the field as an unfinished message.
REFUSED_BYTES = b"\x0a\xff\xff\xff\xff\x0f"


class Bench:
    """A spool, its checkpoint and a drain that can be started again, as a process would.

    What a test appends is one batch, unless segments are small: a batch ends with its segment, and each sync may begin the next.
    """

    def __init__(self, folder: Path, store: Store, insert: Insert | None = None, segment_bytes: int = 10**6) -> None:
        self.folder, self.store, self.segment_bytes = folder, store, segment_bytes
        self.insert: Insert = insert or partial(insert_batch, store)
        self.dead_letters = DeadLetters(folder / "dead-letters")
        self.announced: list[tuple[str, int]] = []
        self.open()

    def open(self) -> None:
        self.spool = Spool(self.folder / "spool", max_bytes=10**9, segment_bytes=self.segment_bytes)
        self.checkpoint = Checkpoint(self.spool.folder, first=self.spool.first, end=self.spool.end)
        self.drain = Drain(
            self.spool,
            self.checkpoint,
            self.dead_letters,
            self.insert,
            partial(recover_batch, self.store),
            lambda writer, seq: self.announced.append((writer, seq)),
            hold_merges=partial(self.store.hold_merges, ["spans"]),
        )

    def close(self) -> None:
        assert self.drain.stop(90)
        self.spool.close()

    def append(self, *payloads: bytes) -> None:
        for future in [self.spool.append(1, time.time_ns(), payload) for payload in payloads]:
            future.result(60)

    def ids(self) -> list[tuple[str, str]]:
        rows = self.store.query_rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM spans WHERE project_id > 0")
        return sorted((str(trace_id), str(span_id)) for trace_id, span_id in rows)


def wait_until_drained(ingest: Ingest) -> None:
    """Wait until all that it has acknowledged is in the store."""
    wait_until(lambda: not ingest.status().waiting_bytes)
