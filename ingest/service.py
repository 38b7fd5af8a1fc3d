"""The ingest role of a process: spool, drain and what is known about them."""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ingest.dead_letters import DeadLetters
from ingest.drain import Drain
from ingest.spool.checkpoint import Checkpoint
from ingest.spool.queue import Spool
from ingest.spool.records import Damage, Position
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import Record, insert_batch, recover_batch, stamp
from tracestore.clickhouse.migrate import SYNCED
from tracestore.intake.flusher import Flusher
from tracestore.intake.refusals import refusals
from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.model import Signal
from tracestore.privacy.counts import masked_counts
from tracestore.process import telemetry
from tracestore.timerange import moment_of

log = logging.getLogger(__name__)

FindMappings = Callable[[Collection[int]], Mapping[int, str]]
_REFUSE_AFTER_FAILURE_S = 1.0
_LOOK_EVERY_S = 0.02
_DRAIN_ENDED = "The thread that empties the spool has ended; restart the process."


@dataclass(frozen=True)
class IngestStatus:
    """What an operator asks about ingest. `refusal` is "" while requests are accepted, else why they are not.

    `waiting_bytes` are acknowledged and not yet in ClickHouse, the oldest for `oldest_age_s` seconds; `drain_error` is what
    ClickHouse answered to the last failed insert, "" once one has passed, or says that nothing is inserted any more. Spans and
    log records are counted since the start.
    """

    refusal: str
    waiting_bytes: int
    oldest_age_s: float
    drain_error: str
    dead_letters: int
    accepted_spans: int
    rejected_spans: int
    accepted_log_records: int
    rejected_log_records: int
    last_rejection: str
    writer: str


class Ingest:
    """Accepts checked requests durably and feeds them to the store until stopped. One per process and data folder."""

    def __init__(
        self,
        store: Store,
        *,
        data: Path | None = None,
        spool_max_bytes: int | None = None,
        find_mappings: FindMappings = lambda _: {},
    ) -> None:
        """`find_mappings(project ids)` returns the encoded rules of those that have some, or raises StoreUnavailable."""
        self._store, self._find_mappings = store, find_mappings
        self._data = data or settings.DATA
        self._spool_max_bytes = spool_max_bytes or settings.SPOOL_MAX_BYTES
        self._counting = threading.Lock()
        self._accepting = False
        self._accepted = dict.fromkeys(Signal, 0)
        self._rejected = dict.fromkeys(Signal, 0)
        self._last_rejection = ""
        self.dead_letters = DeadLetters(self._data / "dead-letters")

    def start(self, on_inserted: Callable[[str, int], None]) -> None:
        """Open the spool, finish what an earlier process left, and accept requests.

        `on_inserted(writer, batch_seq)` is called in the drain's thread after each insert, at least once a batch.
        Raises SpoolInUse when another process works in the same data folder.
        """
        global _running
        self.spool = Spool(self._data / "spool", max_bytes=self._spool_max_bytes, on_damage=self._keep_damage)
        self._checkpoint = Checkpoint(self.spool.folder, first=self.spool.first, end=self.spool.end)
        for number in self.spool.find_missing(self._checkpoint.batch.start, self._checkpoint.batch.end):
            reason = f"Segment {number} of the spool is gone, with what was acknowledged in it and not stored yet."
            log.error("ingest: %s", reason)
            self._keep_damage(Damage(Position(number, 0), b"", reason))
        self.spool.release(self._checkpoint.batch.start)
        self._drain = Drain(
            self.spool,
            self._checkpoint,
            self.dead_letters,
            self._insert,
            partial(recover_batch, self._store),
            on_inserted,
            find_mapped=self._find_mappings,
            hold_merges=partial(self._store.hold_merges, (*SYNCED, "traces")),
        )
        self._drain.start()
        self._accepting = True
        self._flusher = Flusher(refusals.flush, masked_counts.flush)
        self._flusher.start()
        _running = self

    def stop(self, timeout_s: float) -> None:
        """Refuse new requests, drain and write counts for at most `timeout_s` in all, leave the rest in the spool for the next
        start.
        """
        global _running
        if not self._accepting:
            return
        self._accepting = False
        if _running is self:
            _running = None
        deadline = time.monotonic() + timeout_s
        self._flusher.finish()  # beside the drain
        has_ended = self._drain.stop(timeout_s)
        self._flusher.stop(max(0.0, deadline - time.monotonic()))
        if not has_ended:
            log.warning("ingest: an insert is still under way; it is repeated, without effect, at the next start")
            return  # the drain's thread still reads: the spool's files close with the process
        waiting = self.spool.waiting_bytes
        self.spool.close()
        if waiting:
            log.info("ingest: %d bytes stay in the spool until the next start", waiting)

    def _insert(self, records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None:
        """As insert_batch, for records of one table: those of projects that had rules when the batch was cut are read by the
        rules of this moment.
        """
        mapped = self._checkpoint.batch.mapped if signal is Signal.TRACES else ()
        mappings = self._find_mappings(mapped) if records[0][0] in mapped else None
        insert_batch(self._store, records, signal=signal, writer=writer, batch_seq=batch_seq, part=part, mappings=mappings)

    def _keep_damage(self, damage: Damage) -> None:
        """Keep what cannot be read as a dead letter; one of the same bytes at the same place is the same."""
        request, position = damage.request, damage.position
        self.dead_letters.add(
            f"damaged-{position.segment}-{position.offset}-{zlib.crc32(damage.content):08x}",
            request.payload if request else damage.content,
            project_id=request.project_id if request else DEFAULT_PROJECT_ID,
            received_at_ns=request.received_at_ns if request else time.time_ns(),
            refused_at_ns=time.time_ns(),
            reason=damage.reason,
            signal=request.signal if request else Signal.TRACES,
            is_request=request is not None,
        )

    def refusal(self) -> str:
        """Return why requests are not accepted now, "" when they are. Cheap: asked before each request's body is read."""
        if not self._accepting:
            return "The server is stopping."
        if not self.spool.is_alive:
            return "The thread that writes the spool has ended; restart the process."
        if self.spool.is_full:
            return "The spool is full, because ClickHouse does not keep up or cannot be reached."
        if self.spool.last_error and time.monotonic() - self.spool.failed_at_s < _REFUSE_AFTER_FAILURE_S:
            return f"The server cannot store data now: {self.spool.last_error}."
        return ""

    def accept(
        self, project_id: int, payload: bytes, signal: Signal = Signal.TRACES, *, ingest_key: str = "", spans: int = 0
    ) -> Future[None]:
        """Store a serialized Export...ServiceRequest; the future resolves once it is durable or raises SpoolUnwritable.

        `ingest_key` names the key that it came with, "" for none; `spans` is the number of its spans or log records.
        """
        stamped = stamp(payload, ingest_key=ingest_key, spans=spans)
        return self.spool.append(project_id, time.time_ns(), stamped, signal)

    def wait_until_stored(self, timeout_s: float) -> bool:
        """Wait until all that was acknowledged before this call can be queried; tell whether it can."""
        end, deadline = self.spool.end, time.monotonic() + timeout_s
        while self._checkpoint.batch.start < end:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True

    def count(self, signal: Signal, *, accepted: int, rejected: int, message: str) -> None:
        counter = telemetry.SPANS if signal is Signal.TRACES else telemetry.LOG_RECORDS
        counter.labels("accepted").inc(accepted)
        counter.labels("rejected").inc(rejected)
        with self._counting:
            self._accepted[signal] += accepted
            self._rejected[signal] += rejected
            self._last_rejection = message or self._last_rejection

    def find_oldest_waiting(self) -> datetime | None:
        """Return when the oldest of what was acknowledged and cannot be queried yet came, None when nothing waits.

        What an earlier process has left may be of any age until the drain has looked at it.
        """
        oldest_ns = self._drain.oldest_received_at_ns
        if not self.spool.waiting_bytes or (self._drain.has_looked and not oldest_ns):  # it came this very moment
            return None
        return moment_of(oldest_ns)

    def status(self) -> IngestStatus:
        oldest_ns = self._drain.oldest_received_at_ns
        return IngestStatus(
            refusal=self.refusal(),
            waiting_bytes=self.spool.waiting_bytes,
            oldest_age_s=max(0, time.time_ns() - oldest_ns) / 1e9 if oldest_ns else 0.0,  # a clock may be set back
            drain_error=self._drain.last_error if self._drain.is_alive else _DRAIN_ENDED,
            dead_letters=self.dead_letters.count(),
            accepted_spans=self._accepted[Signal.TRACES],
            rejected_spans=self._rejected[Signal.TRACES],
            accepted_log_records=self._accepted[Signal.LOGS],
            rejected_log_records=self._rejected[Signal.LOGS],
            last_rejection=self._last_rejection,
            writer=self._checkpoint.writer,
        )


_running: Ingest | None = None


def get_running_ingest() -> Ingest | None:
    """Return the started Ingest of this process, None before the start and after the stop."""
    return _running


class _StatusCollector(Collector):
    """Gauges of /metrics that are asked for when they are read; none in a process that takes no spans."""

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []  # the registry would otherwise ask for values now, to learn the names

    def collect(self) -> Iterable[GaugeMetricFamily]:
        ingest = get_running_ingest()
        if ingest is None:
            return
        status = ingest.status()
        for name, help_text, value in (
            ("tracestore_spool_waiting_bytes", "Acknowledged bytes that are not in ClickHouse yet.", status.waiting_bytes),
            ("tracestore_spool_max_bytes", "Size at which requests are answered 503.", ingest.spool.max_bytes),
            ("tracestore_spool_oldest_age_seconds", "Age of the oldest request of the batch in work.", status.oldest_age_s),
            ("tracestore_dead_letters", "Requests that ClickHouse refused and that wait for a replay.", status.dead_letters),
            ("tracestore_ingest_refusing", "1 while every request is answered 503.", float(bool(status.refusal))),
        ):
            yield GaugeMetricFamily(name, help_text, value)


REGISTRY.register(_StatusCollector())
