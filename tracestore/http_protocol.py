"""HTTP/1.1 as uvicorn speaks it, with bounds on the head of a request.

uvicorn's fast parser keeps a head however long it is, and waits for its end for ever. Until then nobody knows whom a request
is from, so neither the key nor the budget of memory that stand before a body can help.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# More than any proxy lets through. The piece in which a head begins may hold what came before it and is not counted.
_MAX_HEAD_BYTES = 128 * 2**10
_HEAD_S = 60.0


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 to a head that is too long, and hangs up on one that does not end."""

    _patience: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_before = self._patience
        super().data_received(data)
        if began_before is not None and self._patience is began_before:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

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
