"""The disk queue between an acknowledgement and ClickHouse: numbered segment files of checksummed records.

`append` returns a future that resolves once the record is on stable storage. One thread writes and syncs; whatever
arrives during a sync shares the next one, so a thousand small requests cost a few syncs, not a thousand.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from ingest.spool.durable_files import make_folder, sync_folder, write_all, write_durably
from ingest.spool.records import (
    HEADER_BYTES,
    Damage,
    Position,
    SpooledRequest,
    decode_records,
    encode_record,
    find_damage,
    measure_first,
)
from tracestore.model import Signal
from tracestore.process import telemetry

log = logging.getLogger(__name__)

_KEY_BYTES = 16
# What says that this file cannot be read, now and later. Anything else (out of descriptors, of memory) passes.
_UNREADABLE = {errno.EIO, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.EUCLEAN, errno.ESTALE}
_SUFFIX = ".segment"
_RECORDS_A_WRITE = 500  # two buffers each; IOV_MAX is 1024 on Linux
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SpoolInUse(ImproperlyConfigured):
    """Another process has this spool folder open. A mistake in the set-up: it stops the start with a sentence."""


class SpoolUnreadable(ImproperlyConfigured):
    """A segment is there that this user may not read. Stops the start with a sentence: it holds what was acknowledged."""


class SpoolUnwritable(Exception):
    """The record could not be made durable; nothing of it was kept. The message says why."""


@dataclass(frozen=True)
class _Pending:
    project_id: int
    received_at_ns: int
    payload: bytes
    signal: Signal
    durable: Future[None]


def _describe(error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    return "the disk is full" if error.errno in _FULL else f"the disk refused the write: {error.strerror}"


def _load_key(path: Path) -> bytes:
    """Return the key of the seals, made when there is none. Losing it costs no record, only the way past a damaged one."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != _KEY_BYTES:
        key = os.urandom(_KEY_BYTES)
        write_durably(path, key)
    return key


class Spool:
    """An append-only queue of requests in one folder, which one process at a time may open."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        segment_bytes: int = 64 * 2**20,
        on_damage: Callable[[Damage], None] = lambda damage: None,
    ) -> None:
        """Lock the folder and cut off a record that a crash left incomplete. Raises SpoolInUse, SpoolUnreadable or OSError.

        `on_damage` is called, in the reader's thread, for what cannot be read before it is skipped; when it raises, it is not.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self.last_error = ""
        self.failed_at_s = 0.0  # monotonic time of the last failed write
        self._segment_bytes = segment_bytes
        self._on_damage = on_damage
        make_folder(folder)
        self._lock_file = self._lock()
        self._key = _load_key(folder / "key")
        numbers = sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}"))
        self._sizes = {number: self._path(number).stat().st_size for number in numbers}
        # Records of earlier processes are verified when read: only what this process wrote is known to be whole.
        self._first_own_segment = (numbers[-1] + 1) if numbers else 1
        try:
            for number in numbers:
                os.close(os.open(self._path(number), os.O_RDONLY))
            if numbers:
                self._cut_torn_tail(numbers[-1])
        except PermissionError as error:
            os.close(self._lock_file)
            raise SpoolUnreadable(
                f"{error.filename} cannot be read ({error.strerror}). It holds acknowledged data: give it back to the user that "
                "Tracestore runs as (chown)."
            ) from None
        self._start = Position(numbers[0], 0) if numbers else Position(1, 0)
        self._end = Position(self._first_own_segment, 0)
        self._descriptor = self._open_segment(self._first_own_segment)
        self._reader: tuple[int, int] | None = None  # segment number, descriptor
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._closing = False
        self._must_rotate = False
        self._arrived = threading.Condition()
        self._durable = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def _lock(self) -> int:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SpoolInUse(
                f"Another process is using the spool in {self.folder}; stop it, or set TRACESTORE_DATA to another folder."
            ) from None
        return descriptor

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:016d}{_SUFFIX}"

    def _cut_torn_tail(self, number: int) -> None:
        """Cut off what comes after the last record that was written as a whole, damaged since or not."""
        path = self._path(number)
        data = path.read_bytes()
        good = at = 0
        while at < len(data):
            for _, after in decode_records(data[at:] if at else data, number, at, verify=True):
                good = at = after
            if at < len(data):
                damage = find_damage(data[at:], number, at, self._key)
                at += len(damage.content)
                if damage.request:
                    good = at
        torn = self._sizes[number] - good
        if torn:
            log.warning("spool: cut %d bytes of an incomplete record from %s", torn, path.name)
            os.truncate(path, good)
            self._sizes[number] = good

    def _open_segment(self, number: int) -> int:
        descriptor = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        sync_folder(self.folder)
        self._sizes[number] = 0
        return descriptor

    @property
    def waiting_bytes(self) -> int:
        """Bytes accepted and not yet released, including those not yet durable."""
        with self._durable:
            stored = sum(size for number, size in self._sizes.items() if number >= self._start.segment)
            return stored - self._start.offset + self._pending_bytes

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs that makes records durable."""
        return self._thread.is_alive()

    @property
    def is_full(self) -> bool:
        return self.waiting_bytes >= self.max_bytes

    @property
    def first(self) -> Position:
        """Where the oldest segment starts."""
        with self._durable:
            return Position(min(self._sizes), 0)

    @property
    def end(self) -> Position:
        """Everything before this is durable and may be read."""
        with self._durable:
            return self._end

    def append(self, project_id: int, received_at_ns: int, payload: bytes, signal: Signal = Signal.TRACES) -> Future[None]:
        """Queue a record; the future resolves when it is durable, or raises SpoolUnwritable."""
        durable: Future[None] = Future()
        durable.set_running_or_notify_cancel()  # a request that is given up must not cancel what the thread will resolve
        with self._arrived:
            if self._closing:
                durable.set_exception(SpoolUnwritable("The server is stopping."))
                return durable
            self._pending.append(_Pending(project_id, received_at_ns, payload, signal, durable))
            self._pending_bytes += len(payload) + HEADER_BYTES
            self._arrived.notify()
        return durable

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._pending and not self._closing:
                    self._arrived.wait()
                batch, self._pending = self._pending, []
            if not batch:
                return
            self._commit(batch)

    def _commit(self, batch: list[_Pending]) -> None:
        """Write and sync the batch; on failure cut the file back to its last good byte and fail every waiter."""
        error: SpoolUnwritable | None = None
        size = sum(len(item.payload) + HEADER_BYTES for item in batch)
        started = time.monotonic()
        try:
            if self._end.offset >= self._segment_bytes or self._must_rotate:
                self._rotate()
            offset = self._end.offset
            for first in range(0, len(batch), _RECORDS_A_WRITE):
                buffers: list[bytes] = []
                for item in batch[first : first + _RECORDS_A_WRITE]:
                    header, payload = encode_record(
                        item.project_id, item.received_at_ns, item.payload, item.signal,
                        key=self._key, segment=self._end.segment, offset=offset,
                    )  # fmt: skip
                    buffers += header, payload
                    offset += HEADER_BYTES + len(item.payload)
                write_all(self._descriptor, buffers)
            os.fdatasync(self._descriptor)
            telemetry.SPOOL_SYNC.observe(time.monotonic() - started)
        except Exception as cause:  # the thread must outlive anything: without it every request would wait for ever
            telemetry.SPOOL_FAILURES.inc()
            reason = _describe(cause)
            self.last_error, self.failed_at_s = reason, time.monotonic()
            error = SpoolUnwritable(f"The server cannot store data now: {reason}.")
            log.error("spool: %s; %d requests were answered 503", reason, len(batch))
            self._abandon_segment()
        with self._arrived, self._durable:  # `append` changes the sum under the one lock, readers look under the other
            self._pending_bytes -= size
            if error is None:
                self.last_error = ""
                self._end = Position(self._end.segment, self._end.offset + size)
                self._sizes[self._end.segment] = self._end.offset
                self._durable.notify_all()
        for item in batch:
            if error is None:
                item.durable.set_result(None)
            else:
                item.durable.set_exception(error)

    def _rotate(self) -> None:
        number = self._end.segment + 1
        descriptor = self._open_segment(number)
        os.close(self._descriptor)
        with self._durable:
            self._descriptor, self._end = descriptor, Position(number, 0)
        self._must_rotate = False

    def _abandon_segment(self) -> None:
        """Cut off what was not made durable and go on in a new file: after a failed sync the kernel may drop unwritten pages."""
        self._must_rotate = True
        try:
            os.ftruncate(self._descriptor, self._end.offset)
        except OSError as cause:
            log.error("spool: cannot cut %s back: %s", self._path(self._end.segment).name, cause.strerror)

    def wait_for_data(self, position: Position, timeout_s: float, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Return whether something durable lies after `position`, waiting at most `timeout_s` for it, and not once `is_over`.

        `wake` makes it ask again.
        """
        with self._durable:
            self._durable.wait_for(lambda: self._bytes_after(position) > 0 or is_over(), timeout_s)
            return self._bytes_after(position) > 0

    def wake(self) -> None:
        """End waits for data that are over."""
        with self._durable:
            self._durable.notify_all()

    def bytes_after(self, position: Position) -> int:
        with self._durable:
            return self._bytes_after(position)

    def _bytes_after(self, position: Position) -> int:
        stored = sum(size for number, size in self._sizes.items() if number >= position.segment)
        return stored - (position.offset if position.segment in self._sizes else 0)

    def read(
        self, start: Position, *, max_bytes: int, max_requests: int, end: Position | None = None
    ) -> tuple[list[SpooledRequest], Position]:
        """Return durable requests from `start` on and the position after them, at least one if there is one.

        A batch stays within one segment, and takes the rest of it along when that makes it at most a quarter larger than
        `max_bytes`: a handful of requests costs an insert of its own. With `end`, returns exactly the requests before it.
        """
        start = self._skip_finished_segments(start)
        with self._durable:
            size = self._sizes.get(start.segment, 0)
        limit = end.offset if end is not None and end.segment == start.segment else size
        left = limit - start.offset
        wanted = left if end is not None or left <= max_bytes * 5 // 4 else max_bytes
        try:
            data = self._pread(start, wanted)
            if end is None and len(data) < (first_bytes := measure_first(data)):
                data = self._pread(start, min(first_bytes, limit - start.offset))
            inherited = start.segment < self._first_own_segment
            requests: list[SpooledRequest] = []
            after = start.offset
            for request, next_offset in decode_records(data, start.segment, start.offset, verify=inherited):
                requests.append(request)
                after = next_offset
                if end is None and len(requests) == max_requests:
                    break
            if not requests and wanted > 0:
                data = self._pread(start, limit - start.offset)
                damage = find_damage(data, start.segment, start.offset, self._key)
                self._note_damage(damage)
                # A file that has become shorter ends here.
                after = start.offset + len(damage.content) if len(data) > len(damage.content) else limit
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            requests, after = [], limit
            self._set_aside(start, error)
        return requests, Position(start.segment, after)

    def _note_damage(self, damage: Damage) -> None:
        path = self._path(damage.position.segment)
        log.error("spool: %d bytes of %s from byte %d on are damaged", len(damage.content), path.name, damage.position.offset)
        self._on_damage(damage)
        telemetry.SPOOL_DAMAGED.inc(len(damage.content))

    def _set_aside(self, position: Position, error: OSError) -> None:
        """Go past a segment that cannot be read, and keep its file: the disk or its rights may be repaired. Raises OSError."""
        path = self._path(position.segment)
        with self._durable:
            if position.segment == self._end.segment:
                self._must_rotate = True  # the reader waits for the next segment, and passes over this one then
                raise error
        aside = path.with_suffix(".unreadable")
        with contextlib.suppress(OSError):
            os.replace(path, aside)
            sync_folder(self.folder)
        kept = f"kept as {aside}" if aside.exists() else "gone"
        reason = f"{path.name} of the spool cannot be read from byte {position.offset} on ({error.strerror}); the file is {kept}."
        self._note_damage(Damage(position, b"", reason))

    def find_missing(self, start: Position, end: Position) -> list[int]:
        """Return the numbers of segments that are gone although the batch from `start` to `end` or what follows needs them.

        Segments are written and deleted in order, without a gap; those before the first are gone because they were done with.
        """
        with self._durable:
            needed = {start.segment} if start < end else set()
            needed |= set(range(max(start.segment, min(self._sizes)), self._end.segment))
            return sorted(needed - set(self._sizes))

    def _skip_finished_segments(self, position: Position) -> Position:
        with self._durable:
            while position.segment < self._end.segment and position.offset >= self._sizes.get(position.segment, 0):
                position = Position(min(number for number in self._sizes if number > position.segment), 0)
        return position

    def _pread(self, start: Position, size: int) -> bytes:
        if self._reader is None or self._reader[0] != start.segment:
            if self._reader is not None:
                os.close(self._reader[1])
            self._reader = (start.segment, os.open(self._path(start.segment), os.O_RDONLY))
        return os.pread(self._reader[1], size, start.offset)

    def release(self, position: Position) -> None:
        """Forget everything before `position`: delete the segments that end before it."""
        position = self._skip_finished_segments(position)
        with self._durable:
            self._start = max(self._start, position)
            done = [number for number in self._sizes if number < self._start.segment]
            for number in done:
                del self._sizes[number]
        for number in done:
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Make everything appended durable, then let the folder go. Appending afterwards fails."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join()
        os.close(self._descriptor)
        if self._reader is not None:
            os.close(self._reader[1])
            self._reader = None
        os.close(self._lock_file)
