"""The thread that moves requests from the spool into ClickHouse, each exactly once."""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from typing import Protocol

from google.protobuf.message import DecodeError

from ingest.dead_letters import DeadLetters
from ingest.otlp.check import canonicalize
from ingest.spool.checkpoint import Batch, Checkpoint
from ingest.spool.queue import Spool, SpoolUnwritable
from ingest.spool.records import Position, SpooledRequest
from tracestore.clickhouse.errors import BadInsert, StoreError, StoreUnavailable
from tracestore.clickhouse.landing import Record, read_span_count
from tracestore.model import Signal
from tracestore.process import telemetry

log = logging.getLogger(__name__)

_LINGER_S = 0.05  # what arrives this soon after the first request of a batch joins it
_PACE_S = 0.9  # small batches start at least this far apart: each insert costs about 0.2 s of planning, and makes a part to merge
_MAX_BATCH_BYTES = 56 * 2**20  # with the rest that the spool adds a batch is a segment of 64 MiB, with what it is longer
_MAX_BATCH_REQUESTS = 4096
# An insert keeps one core busy. A full batch means that the drain is behind: half of it beside the other half keeps two cores
# busy, for a second analysis of the view (0.13 s). Smaller ones leave a core to requests.
_HALVED_BYTES = _MAX_BATCH_BYTES * 7 // 8
# So much waiting means that requests come faster than inserts take them. Merges then wait until less than a batch is left: they
# would take the processor from inserts, and memory on top of theirs. Not for longer than this many batches, two parts each.
_HOLD_MERGES_BYTES = 4 * _MAX_BATCH_BYTES
_MAX_HELD_BATCHES = 64
# A hundred rules about the longest texts of each span take fifty times the size of a batch in memory.
_MAX_MAPPED_BYTES = 16 * 2**20
_RETRY_S = (0.25, 0.5, 1.0, 2.0, 5.0)
_SUSPECT_AFTER_TRIES = 8
_IDLE_S = 1.0
_ENDING_S = 1.0  # of the time of a stop, for the end itself: a thread that waits for another try ends at once


class Insert(Protocol):
    """`tracestore.clickhouse.landing.insert_batch` bound to a store."""

    def __call__(self, records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int, part: str = "") -> None: ...


class Recover(Protocol):
    """`tracestore.clickhouse.landing.recover_batch` bound to a store."""

    def __call__(self, records: Sequence[Record], *, signal: Signal, writer: str, batch_seq: int) -> Collection[int]: ...


class _Stopping(Exception):
    """The drain was told to stop while the store was unavailable."""


def _canonicalize(request: SpooledRequest) -> SpooledRequest:
    try:
        return replace(request, payload=canonicalize(request.payload, request.signal))
    except DecodeError:  # of an older version, or damaged: it will be refused again, alone
        return request


@dataclass(frozen=True)
class _Piece:
    """Requests of one table that are inserted together, under a name within their batch: those in `offsets` of the segment.

    Pieces are cut by place, not by number: a replay finds fewer requests when the disk has damaged one, and ClickHouse drops
    what comes under a name that it has, whatever it is.
    """

    requests: Sequence[SpooledRequest]
    offsets: range
    part: str = ""

    def cut(self) -> list[_Piece]:
        """Return the halves that hold something."""
        middle = (self.offsets.start + self.offsets.stop) // 2
        first = bisect_left(self.requests, middle, key=lambda request: request.position.offset)
        halves = (
            _Piece(self.requests[:first], range(self.offsets.start, middle), self.part + "0"),
            _Piece(self.requests[first:], range(middle, self.offsets.stop), self.part + "1"),
        )
        return [half for half in halves if half.requests]


class Drain:
    """Reads batches from the spool, inserts them, and keeps the checkpoint."""

    def __init__(
        self,
        spool: Spool,
        checkpoint: Checkpoint,
        dead_letters: DeadLetters,
        insert: Insert,
        recover: Recover,
        on_inserted: Callable[[str, int], None],
        find_mapped: Callable[[Collection[int]], Iterable[int]] = lambda _: (),
        hold_merges: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`on_inserted(writer, batch_seq)` is called at least once for every batch that holds traces, after its insert.

        `find_mapped(project ids)` returns those that have rules of their own, or raises StoreUnavailable.
        `hold_merges(True)` asks the store to begin no merges until `hold_merges(False)`; either may raise StoreError.
        """
        self._spool, self._checkpoint, self._dead_letters = spool, checkpoint, dead_letters
        self._insert_batch, self._recover_batch = insert, recover
        self._on_inserted, self._find_mapped, self._hold_merges = on_inserted, find_mapped, hold_merges
        self._batches_behind = 0  # since the spool held too much; 0 when it does not
        self._holds_merges = False
        self.last_error = ""
        self.oldest_received_at_ns = 0  # of the batch in work; 0 when nothing waits
        self.has_looked = False  # at what an earlier process may have left in the spool
        self._is_replay = False  # of a batch that an earlier process may have inserted
        self._finish = threading.Event()  # drain what is there, then end
        self._abort = threading.Event()  # end now
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """Drain what is possible within the time, leave the rest for the next start. Returns whether the thread ended."""
        ending_s = min(_ENDING_S, timeout_s)
        self._finish.set()
        self._spool.wake()
        self._thread.join(timeout_s - ending_s)
        self._abort.set()
        self._thread.join(ending_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._abort.is_set():
            try:
                self._drain()
                return
            except _Stopping:
                return
            except Exception as error:  # the thread must outlive a full disk or a bug: nothing else empties the spool
                self.last_error = str(error)
                log.exception("drain: failed; trying again")
                self._abort.wait(_RETRY_S[-1])
            finally:
                self._pace_merges(0)

    def _drain(self) -> None:
        position = self._replay_open_batch()
        while not self._abort.is_set():
            if not self._spool.wait_for_data(position, _IDLE_S, self._finish.is_set):
                self._note_idle(position)
                if self._finish.is_set():
                    return
            else:
                started = time.monotonic()
                self._linger(position, _LINGER_S)
                position = self._drain_batch(position)
                self._pace_merges(self._spool.bytes_after(position))
                self._linger(position, _PACE_S - (time.monotonic() - started))
            self._accept_replays()

    def _replay_open_batch(self) -> Position:
        """Insert the batch that the checkpoint names once more, exactly as it was, and return where it ends."""
        batch = self._checkpoint.batch
        start = batch.start
        requests: list[SpooledRequest] = []
        while start < batch.end:  # in pieces where the spool is damaged; but one number is one insert
            piece, start = self._spool.read(start, max_bytes=0, max_requests=0, end=batch.end)
            requests += piece
        self._is_replay = True
        self._insert_batch_of_signals(requests, batch.batch_seq)
        self._is_replay = False
        return batch.end

    def _linger(self, position: Position, seconds: float) -> None:
        """Wait for more, unless a full batch is there or it is time to stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._spool.bytes_after(position) < _MAX_BATCH_BYTES:
            if self._finish.wait(min(left, 0.02)):
                return

    def _drain_batch(self, start: Position) -> Position:
        requests, end = self._spool.read(start, max_bytes=_MAX_BATCH_BYTES, max_requests=_MAX_BATCH_REQUESTS)
        mapped = self._find_mapped_patiently({request.project_id for request in requests})
        batch = Batch(self._checkpoint.batch.batch_seq + 1, requests[0].position if requests else start, end, mapped)
        self._checkpoint.save(batch)
        self._spool.release(batch.start)
        if requests:
            self.oldest_received_at_ns = min(request.received_at_ns for request in requests)
            self.has_looked = True
            self._insert_batch_of_signals(requests, batch.batch_seq)
            spans = sum(read_span_count(request.payload) for request in requests if request.signal is Signal.TRACES)
            telemetry.DRAIN_BATCHES.inc()
            telemetry.DRAIN_BYTES.inc(sum(len(request.payload) for request in requests))
            telemetry.DRAIN_SPANS.inc(spans)
        return end

    def _pace_merges(self, waiting_bytes: int) -> None:
        """Hold merges while the drain is far behind, for a bounded number of batches."""
        if waiting_bytes < _MAX_BATCH_BYTES:
            self._batches_behind = 0
        elif self._batches_behind or waiting_bytes >= _HOLD_MERGES_BYTES:
            self._batches_behind += 1
        hold = 0 < self._batches_behind <= _MAX_HELD_BATCHES
        if hold is not self._holds_merges:
            try:
                self._hold_merges(hold)
                self._holds_merges = hold
            except StoreError as error:  # asked again after the next batch
                log.warning("drain: merges cannot be %s: %s", "held" if hold else "let go", error)

    def _find_mapped_patiently(self, project_ids: Collection[int]) -> tuple[int, ...]:
        """Return which projects have rules, waiting for as long as nobody knows. Raises _Stopping when told to end."""
        for tries in count():
            try:
                return tuple(sorted(self._find_mapped(project_ids)))
            except StoreUnavailable as error:
                if not self.last_error:
                    log.warning("drain: the rules of projects cannot be read, the spool keeps the data: %s", error)
                self.last_error = str(error)
            if self._finish.is_set() or self._abort.wait(_RETRY_S[min(tries, len(_RETRY_S) - 1)]):
                raise _Stopping
        raise AssertionError("counting does not end")

    def _note_idle(self, position: Position) -> None:
        self.oldest_received_at_ns = 0
        self.has_looked = True
        batch = self._checkpoint.batch
        if batch.start < position:
            self._checkpoint.save(Batch(batch.batch_seq, position, position))
            self._spool.release(position)

    def _insert_batch_of_signals(self, requests: Sequence[SpooledRequest], batch_seq: int) -> None:
        """Insert a batch, each signal into its table by itself: what is wrong with one must not repeat the other."""
        batch = self._checkpoint.batch
        start = batch.start.offset
        for signal in Signal:
            if of_signal := [request for request in requests if request.signal is signal]:
                mapped = batch.mapped if signal is Signal.TRACES else ()
                if plain := [request for request in of_signal if request.project_id not in mapped]:
                    self._insert_side_by_side(_Piece(plain, range(start, batch.end.offset)), batch_seq)
                by_rules = [request for request in of_signal if request.project_id in mapped]
                for number, piece in groupby(by_rules, lambda request: (request.position.offset - start) // _MAX_MAPPED_BYTES):
                    first = start + number * _MAX_MAPPED_BYTES
                    self._insert(_Piece(list(piece), range(first, first + _MAX_MAPPED_BYTES), f"rules{number}."), batch_seq)
                if signal is Signal.TRACES:
                    self._tell(batch_seq)

    def _insert_side_by_side(self, piece: _Piece, batch_seq: int) -> None:
        """Insert the halves of a large batch at the same time."""
        halves = piece.cut() if len(piece.offsets) >= _HALVED_BYTES else [piece]
        failures: list[Exception] = []

        def insert_first() -> None:
            try:
                self._insert(halves[0], batch_seq)
            except Exception as error:
                failures.append(error)

        # A daemon like the drain's own thread: an insert that hangs must not hold up the end of the process.
        beside = threading.Thread(target=insert_first, name="drain-half", daemon=True)
        if len(halves) > 1:
            beside.start()
        try:
            self._insert(halves[-1], batch_seq)
        finally:
            if len(halves) > 1:
                beside.join()
        if failures:
            raise failures[0]

    def _insert(self, piece: _Piece, batch_seq: int, *, is_rewritten: bool = False) -> None:
        """Insert all of a piece. What is refused is rewritten, then cut in halves until the request is alone that ClickHouse
        refuses for good. It is buried.
        """
        requests = piece.requests
        while True:
            try:
                return self._insert_patiently(requests, batch_seq, piece.part)
            except BadInsert as error:
                reason = str(error)
            if not is_rewritten and (rewritten := [_canonicalize(request) for request in requests]) != list(requests):
                # ClickHouse is stricter than upb. Found one by one they would take a dozen inserts each, and hold up the rest.
                return self._insert(_Piece(rewritten, piece.offsets, piece.part + "c"), batch_seq, is_rewritten=True)
            if len(requests) > 1:
                for half in piece.cut():
                    self._insert(half, batch_seq, is_rewritten=True)
                return None
            if self._store_accepts_another(requests[0], batch_seq):
                return self._bury(requests[0], reason)
            self.last_error = f"ClickHouse refuses every insert: {reason}"
            log.error("drain: %s", self.last_error)
            if self._finish.is_set() or self._abort.wait(_RETRY_S[-1]):
                raise _Stopping

    def _insert_patiently(self, requests: Sequence[SpooledRequest], batch_seq: int, part: str) -> None:
        """Insert, waiting for as long as the store is unavailable. Raises BadInsert, or _Stopping when told to end.

        A batch that fails again and again while the store takes another one is itself the reason (it needs more memory than
        an insert may use, say), and counts as refused: it must not hold up the spool for ever.
        """
        tries = 0
        while True:
            try:
                self._insert_once(requests, batch_seq, part)
                if tries or self._is_replay:
                    self._insert_missing(requests, batch_seq, part)
                self.last_error = ""
                return
            except StoreUnavailable as error:
                reason = str(error)
            if not self.last_error:
                log.warning("drain: the store is unavailable, the spool keeps the data: %s", reason)
            self.last_error = reason
            pause = _RETRY_S[min(tries, len(_RETRY_S) - 1)]
            tries += 1
            if tries % _SUSPECT_AFTER_TRIES == 0 and self._store_accepts_another(requests[0], batch_seq):
                raise BadInsert(reason)
            if self._finish.is_set() or self._abort.wait(pause):
                raise _Stopping

    def _insert_missing(self, requests: Sequence[SpooledRequest], batch_seq: int, part: str) -> None:
        """Insert, under a new name, what ClickHouse has dropped as known and does not have (see recover_batch)."""
        signal, writer = requests[0].signal, self._checkpoint.writer
        records = [(request.project_id, request.received_at_ns, request.payload) for request in requests]
        missing = self._recover_batch(records, signal=signal, writer=writer, batch_seq=batch_seq)
        if rest := [request for request in requests if request.received_at_ns in missing]:
            log.warning("drain: %d requests of batch %d were not stored by an insert that broke off; again", len(rest), batch_seq)
            self._insert_once(rest, batch_seq, f"{part}r{time.time_ns()}")

    def _insert_once(self, requests: Sequence[SpooledRequest], batch_seq: int, part: str) -> None:
        records = [(request.project_id, request.received_at_ns, request.payload) for request in requests]
        started = time.monotonic()
        try:
            writer = self._checkpoint.writer
            self._insert_batch(records, signal=requests[0].signal, writer=writer, batch_seq=batch_seq, part=part)
        except (BadInsert, StoreUnavailable) as error:
            telemetry.INSERT_FAILURES.labels("refused" if isinstance(error, BadInsert) else "unavailable").inc()
            raise
        telemetry.DRAIN_INSERT.observe(time.monotonic() - started)

    def _store_accepts_another(self, request: SpooledRequest, batch_seq: int) -> bool:
        """Whether an empty request of the same kind passes: a missing table or a revoked grant refuses all, which is not the
        sender's fault.
        """
        empty = replace(request, received_at_ns=time.time_ns(), payload=b"")
        try:
            self._insert_once([empty], batch_seq, "probe")
        except (BadInsert, StoreUnavailable):
            return False
        return True

    def _bury(self, request: SpooledRequest, reason: str) -> None:
        name = f"{self._checkpoint.writer}-{request.position.segment}-{request.position.offset}"
        self._dead_letters.add(
            name,
            request.payload,
            project_id=request.project_id,
            received_at_ns=request.received_at_ns,
            refused_at_ns=time.time_ns(),
            reason=reason,
            signal=request.signal,
        )
        log.error(
            "drain: ClickHouse refused a request of %d bytes, kept as dead letter %s: %s", len(request.payload), name, reason
        )

    def _tell(self, batch_seq: int) -> None:
        try:
            self._on_inserted(self._checkpoint.writer, batch_seq)
        except Exception:  # the spans are stored; the summary job finds them on its next round as well
            log.exception("drain: could not announce batch %d", batch_seq)

    def _accept_replays(self) -> None:
        """Take dead letters whose replay was asked for back into the spool."""
        for letter in self._dead_letters.find_requested():
            try:
                payload = self._dead_letters.read_payload(letter.name)
                self._spool.append(letter.project_id, letter.received_at_ns, payload, letter.signal).result()
                self._dead_letters.remove(letter.name)
            except (OSError, SpoolUnwritable) as error:
                log.warning("drain: dead letter %s cannot be replayed now: %s", letter.name, error)
                return
            log.info("drain: dead letter %s goes into the spool again", letter.name)
