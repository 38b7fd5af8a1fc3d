"""HTTP/1.1 as uvicorn speaks it, with bounds on the head of a request, on connections, and on answers that nobody reads.

uvicorn's fast parser keeps a head however long it is, and waits for its end for ever. Until then nobody knows whom a request
is from, so neither the key nor the budget of memory that stand before a body can help. Nor does it mind how many are connected,
until no file can be opened any more: by the database neither. And it waits for ever for who asks and does not read the answer,
which holds the memory of that and up to two threads.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# More than any proxy lets through. The piece in which a head begins may hold what came before it and is not counted.
_MAX_HEAD_BYTES = 128 * 2**10
_HEAD_S = 60.0
# A client that took nothing of its answer for so long has gone, or means no good.
_STALLED_S = 30.0
# To one port; each takes some 10 KB. And no more than leave three quarters of the process's files to others.
_MAX_CONNECTIONS = 4096
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def raise_file_limit() -> None:
    """Let the process open as many files as it may, up to 2**20: shells grant 1,024. The embedded engine does so by itself."""
    granted, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2**20 if most == resource.RLIM_INFINITY else min(most, 2**20)
    if granted != resource.RLIM_INFINITY and granted < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def max_connections() -> int:
    """Return how many clients may be connected to one port."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(_MAX_CONNECTIONS, files // 4)


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 to a head that is too long, 503 to a connection too many, and hangs up on a head that does not end and on who
    does not read.
    """

    _connected: Counter[int] = Counter()  # to each port, so that what exporters open never keeps people from pages
    _port = 0
    _patience: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._port = transport.get_extra_info("sockname")[1]
        self._connected[self._port] += 1
        if self._connected[self._port] > max_connections():
            transport.write(_FULL)
            transport.close()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connected[self._port] -= 1
        self._end_head()
        self._end_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_before = self._patience
        super().data_received(data)
        if began_before is not None and self._patience is began_before:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._end_stall()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_reader()  # what is closed waits, too, until the rest was taken

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def _await_head(self) -> None:
        if self._patience is None:
            self._head_bytes = 0
            self._patience = self.loop.call_later(_HEAD_S, self._hang_up)

    def _end_head(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        self._patience = None
        self.transport.close()

    def _await_reader(self) -> None:
        if self._stall is None:
            self._stall = self.loop.call_later(_STALLED_S, self._check_reader, self.transport.get_write_buffer_size())

    def _check_reader(self, waited_bytes: int) -> None:
        self._stall = None
        waiting_bytes = self.transport.get_write_buffer_size()
        if waiting_bytes and waiting_bytes >= waited_bytes:
            self.transport.abort()
        elif waiting_bytes:
            self._await_reader()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
