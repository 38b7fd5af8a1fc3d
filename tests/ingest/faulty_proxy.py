"""A TCP proxy on loopback that breaks its first connections and passes the others on."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable

Fault = Callable[[socket.socket, int], None]


def reset(client: socket.socket, target_port: int) -> None:
    """Take the beginning of a request and break the connection: nothing of it reaches the target."""
    client.recv(65536)
    _break(client)


def answer_429(client: socket.socket, target_port: int) -> None:
    """Throttle, as a gateway in front does."""
    _read_request(client)
    client.sendall(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def lose_answer(client: socket.socket, target_port: int) -> None:
    """Pass the request on and break the connection in the place of its answer."""
    with socket.create_connection(("127.0.0.1", target_port), timeout=90) as target:
        target.sendall(_read_request(client))
        assert target.recv(65536).startswith(b"HTTP/1.1 200")
    _break(client)


def _read_request(client: socket.socket) -> bytes:
    """Return an HTTP request as it came, to its last byte: what is not read would turn the answer into a reset connection."""
    received = b""
    while not _is_whole(received) and (part := client.recv(65536)):
        received += part
    return received


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if size := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        return len(body) >= int(size[1])
    return bool(end) and body.endswith(b"0\r\n\r\n")  # chunked


def _break(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends RST
    client.close()


class FaultyProxy:
    """Listens on `port` until the end of the `with` block. One fault a connection, in order; `connections` counts them all."""

    def __init__(self, target_port: int, *faults: Fault) -> None:
        self._target_port, self._faults = target_port, list(faults)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                fault = self._faults[self.connections] if self.connections < len(self._faults) else self._pass_on
                self.connections += 1
                threading.Thread(target=self._run, args=(fault, client), daemon=True).start()

    def _run(self, fault: Fault, client: socket.socket) -> None:
        with client:
            fault(client, self._target_port)

    @staticmethod
    def _pass_on(client: socket.socket, target_port: int) -> None:
        with socket.create_connection(("127.0.0.1", target_port)) as target:
            back = threading.Thread(target=_copy, args=(target, client), daemon=True)
            back.start()
            _copy(client, target)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
