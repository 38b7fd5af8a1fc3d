"""Reading a request's body: bounded in size, in time and in memory over all requests."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_IDLE_S = 20.0  # SDKs give a whole export 10 s; a body that rests this long is not coming any more
_WHOLE_S = 120.0  # nor may one drip: what has arrived of it holds memory that others want
_STEP_BYTES = 2**20
_MAX_MEMBERS = 1000  # each costs a copy of what follows it: a body of empty members would keep a thread busy for hours
ENCODINGS = ("identity", "gzip", "deflate")


class TooLarge(Exception):
    """The body is larger than allowed, on the wire or inflated."""


class Corrupt(Exception):
    """The body is not what Content-Encoding says."""


class Stalled(Exception):
    """The body stopped arriving."""


class Disconnected(Exception):
    """The client has gone; nobody waits for an answer."""


class NoMemory(Exception):
    """Other requests hold all the memory that bodies may take."""


class MemoryBudget:
    """Bytes that all requests in work may hold together, and those of one project."""

    def __init__(self) -> None:
        self._held = 0
        self._held_by: Counter[int] = Counter()
        self._lock = threading.Lock()

    def take(self, size: int, limit: int, project_id: int = 0, share: int | None = None) -> None:
        """Raises NoMemory when the total would pass the limit, or that of the project its share, None for all of it.

        A lone request always gets what it asks for.
        """
        with self._lock:
            if self._held and self._held + size > limit:
                raise NoMemory
            mine = self._held_by[project_id]
            if share is not None and mine and mine + size > share:
                raise NoMemory
            self._held += size
            self._held_by[project_id] += size

    def take_if_free(self, size: int, limit: int) -> bool:
        """Take, also for a lone request, only what keeps the total within the limit; tell whether it did."""
        with self._lock:
            fits = self._held + size <= limit
            if fits:
                self._held += size
                self._held_by[0] += size
            return fits

    def give_back(self, size: int, project_id: int = 0) -> None:
        with self._lock:
            self._held -= size
            self._held_by[project_id] -= size
            if not self._held_by[project_id]:
                del self._held_by[project_id]


budget = MemoryBudget()  # of all requests, whatever brought them


class Allowance:
    """One request's part of the budget, given back at the end of a `with` block.

    A project has three quarters at most: whatever it sends, there is room for a body of another.
    """

    def __init__(self, budget: MemoryBudget, *, max_body_bytes: int, project_id: int = 0) -> None:
        self._budget, self.max_body_bytes, self._project_id = budget, max_body_bytes, project_id
        self._limit, self._share = 4 * max_body_bytes, 3 * max_body_bytes
        self._taken = 0
        self._closed = False
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Raises NoMemory, also after the end of the block: a thread may still inflate when the client has gone."""
        with self._lock:
            if self._closed:
                raise NoMemory
            self._budget.take(size, self._limit, self._project_id, self._share)
            self._taken += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
            self._budget.give_back(self._taken, self._project_id)


async def read_body(receive: Receive, allowance: Allowance) -> bytes:
    """Return the body as it is on the wire, chunked or not. Raises TooLarge, NoMemory, Stalled or Disconnected."""
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(_IDLE_S) as patience:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > allowance.max_body_bytes:
                    raise TooLarge
                if chunk:
                    allowance.take(len(chunk))
                    chunks.append(chunk)
                    patience.reschedule(min(loop.time() + _IDLE_S, started + _WHOLE_S))
                if not message.get("more_body", False):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise Stalled from None


def _find_window(body: bytes, encoding: str) -> int:
    """Return what zlib takes as `wbits`: gzip's header, that of zlib (RFC 1950, 2.2), or none."""
    if encoding != "deflate":
        return 31
    has_zlib_header = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return 15 if has_zlib_header else -15


def inflate(body: bytes, encoding: str, allowance: Allowance) -> bytes:
    """Undo the content encoding step by step, so that a small body cannot become a huge one. Raises TooLarge, Corrupt, NoMemory.

    gzip may have several members (RFC 1952, 2.2). `deflate` is a zlib stream (RFC 9110, 8.4.1.2); a raw one is tolerated.
    """
    if encoding == "identity" or not body:
        return body
    window = _find_window(body, encoding)
    pieces: list[bytes] = []
    size = 0
    stream = zlib.decompressobj(window)
    rest = body
    members = 1
    try:
        while True:
            piece = stream.decompress(rest, _STEP_BYTES)
            size += len(piece)
            if size > allowance.max_body_bytes:
                raise TooLarge
            allowance.take(len(piece))
            pieces.append(piece)
            if stream.eof:
                rest = stream.unused_data.lstrip(b"\0")  # some writers pad to a block
                if not rest or encoding != "gzip":
                    return b"".join(pieces)
                if members == _MAX_MEMBERS:
                    raise Corrupt(f"it has more than {_MAX_MEMBERS} members")
                members += 1
                stream = zlib.decompressobj(window)
            elif stream.unconsumed_tail:
                rest = stream.unconsumed_tail
            elif piece:
                rest = b""
            else:
                raise Corrupt("it ends in the middle")
    except zlib.error as error:
        raise Corrupt(str(error)) from None
