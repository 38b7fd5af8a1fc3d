"""Connections of OTLP/gRPC: pings, age, broken calls, too many, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingest.receivers import otlp_grpc
from tests.ingest.conftest import Receiver, build_request, build_span
from tests.ingest.grpc_calls import CODE, TRACES, call, call_on, open_channel
from tests.live import free_ports
from tracestore.process import http_protocol
from tracestore.process import server as server_module

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME, PING_FRAME, GOAWAY_FRAME = 4, 6, 7


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + bytes(4) + payload


def read_frames(received: bytes) -> list[int]:
    at, kinds = 0, []
    while at + 9 <= len(received):
        kinds.append(received[at + 3])
        at += 9 + int.from_bytes(received[at : at + 3], "big")
    return kinds


def open_http2(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(PREFACE + frame(SETTINGS_FRAME))
    return connection


def read_until(connection: socket.socket, received: bytes, kind: int, count: int = 1) -> bytes:
    """Return what has been received once it holds so many frames of a kind."""
    while read_frames(received).count(kind) < count:
        part = connection.recv(65536)
        assert part, f"closed after {read_frames(received)}"
        received += part
    return received


@pytest.fixture
def short_ping_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    assert otlp_grpc._MIN_PING_INTERVAL_MS <= 10_000  # clients ping every 20 s
    monkeypatch.setattr(otlp_grpc, "_MIN_PING_INTERVAL_MS", 300)


@pytest.mark.usefixtures("short_ping_interval")
def test_keepalive_pings_are_tolerated_down_to_the_interval(receiver: Receiver) -> None:
    ping, received = frame(PING_FRAME, b"12345678"), b""
    with open_http2(receiver.grpc_port) as connection:
        for number in range(8):
            connection.sendall(ping)
            # Each waits for its answer: a server that is slow would otherwise find several at once.
            received = read_until(connection, received, PING_FRAME, number + 1)
            time.sleep(0.4)
        assert GOAWAY_FRAME not in read_frames(received)

        connection.sendall(8 * ping)
        read_until(connection, received, GOAWAY_FRAME)


def test_connection_moves_on_when_it_is_old_and_no_call_notices(monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    assert 60_000 <= otlp_grpc._MAX_CONNECTION_AGE_MS < 3_600_000
    monkeypatch.setattr(otlp_grpc, "_MAX_CONNECTION_AGE_MS", 500)
    receiver: Receiver = request.getfixturevalue("receiver")

    with open_channel(receiver) as channel:
        codes = set()
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            codes.add(call_on(channel, build_request(build_span()).SerializeToString()).code)
    with open_http2(receiver.grpc_port) as connection:
        read_until(connection, b"", GOAWAY_FRAME)

    assert codes == {CODE.OK}


def raw_call(message: bytes) -> bytes:
    """A unary call of TraceService/Export, its message as given: five bytes of flag and length belong to it."""
    path = TRACES.encode()
    headers = b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x01\x01x"  # POST, http, path, authority
    for name, value in ((b"content-type", b"application/grpc"), (b"te", b"trailers")):
        headers += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return b"".join((PREFACE, frame(SETTINGS_FRAME), stream_frame(1, 4, headers), stream_frame(0, 1, message)))


def stream_frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", 1) + payload


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        os.urandom(5000),
        PREFACE + frame(99, b"?" * 100) * 50,
        raw_call(b"\x00\xff\xff\xff\xf0garbage"),
        raw_call(b"\x00\x00\x00\xff\xffgarbage"),
        raw_call(b"\x01\x00\x00\x00\x01x"),
        raw_call(b""),
        raw_call(b"\x00\x00"),
    ],
    ids=[
        "http1",
        "noise",
        "unknown frames",
        "4 GiB announced",
        "cut short",
        "compressed with nothing",
        "no message",
        "half a length",
    ],
)
def test_broken_call_disturbs_nobody_and_leaves_no_traceback(
    receiver: Receiver, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", receiver.grpc_port), timeout=60) as connection:
        connection.sendall(sent)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while connection.recv(65536):
                pass

    assert call(receiver, build_request(build_span()).SerializeToString()).code is CODE.OK
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_client_that_leaves_without_taking_its_answer_leaves_no_traceback(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    no_window = frame(SETTINGS_FRAME, struct.pack(">HI", 4, 0))  # SETTINGS_INITIAL_WINDOW_SIZE: the answer has to wait
    request = raw_call(bytes(5))  # an empty message
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", receiver.grpc_port), timeout=60) as connection:
            connection.sendall(PREFACE + no_window + request[len(PREFACE) + len(frame(SETTINGS_FRAME)) :])
            taken = b""
            while b"application/grpc" not in taken:  # the head of the answer
                taken += connection.recv(65536)

    assert call(receiver, build_request(build_span()).SerializeToString()).code is CODE.OK
    time.sleep(0.5)  # for what is told late
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_second_server_on_the_port_fails(receiver: Receiver) -> None:
    async def start_another() -> None:
        await otlp_grpc.start("127.0.0.1", receiver.grpc_port)

    with pytest.raises(OSError, match=f":{receiver.grpc_port}"):
        asyncio.run(start_another())
    assert call(receiver, b"").code is CODE.OK


def test_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_MAX_CONNECTIONS", 2)
    (port,) = free_ports(1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0)[1:] + b"\4\0" + struct.pack(">I", 0)

    async def connect() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(preface)
        opened.append(writer)
        with contextlib.suppress(ConnectionError):
            return await reader.read(9)
        return b""

    async def connect_three() -> list[bytes]:
        server = await otlp_grpc.start("127.0.0.1", port)
        answers = [await asyncio.wait_for(connect(), 60) for _ in range(3)]
        for writer in opened:
            writer.close()
        await server.stop(0)
        return answers

    opened: list[asyncio.StreamWriter] = []
    answers = asyncio.run(connect_three())

    assert [bool(answer) for answer in answers] == [True, True, False]


def test_stop_lets_calls_under_way_finish(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, under_way = os.fdatasync, threading.Event()
    monkeypatch.setattr(server_module, "_REQUESTS_STOP_S", 60)  # a pause of the machine may be longer than users grant

    def take_long(descriptor: int) -> None:
        under_way.set()
        time.sleep(1)
        synced(descriptor)

    monkeypatch.setattr(os, "fdatasync", take_long)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(call, receiver, build_request(build_span()).SerializeToString())
        assert under_way.wait(60)
        receiver.stop()

        assert pending.result(60).code is CODE.OK
    assert call(receiver, b"").code is CODE.UNAVAILABLE
