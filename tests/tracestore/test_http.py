"""What is read of a request before anybody knows whom it is from."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tracestore import asgi
from tracestore.asgi import application
from tracestore.process import http_protocol

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]
WAIT_S = 120


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def talk_to(app: Any, talk: Talk) -> bytes:
    """Return what `talk` returns of a connection to a listener that speaks HTTP as the server does."""

    async def run() -> bytes:
        config = uvicorn.Config(app, http=http_protocol.BoundedHttp, lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: http_protocol.BoundedHttp(config, state, {}), "127.0.0.1", 0)
        async with asyncio.timeout(WAIT_S), listener:
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            try:
                return await talk(reader, writer)
            finally:
                writer.close()

    return asyncio.run(run())


def slow_down_time(most_s: float) -> None:
    """Let no more pass from one look at the event loop's clock to the next: a pause of the machine is no silence of a client."""
    loop = asyncio.get_running_loop()
    seen, now = time.monotonic(), loop.time()

    def read_clock() -> float:
        nonlocal seen, now
        before, seen = seen, time.monotonic()
        now += min(seen - before, most_s)
        return now

    loop.time = read_clock  # type: ignore[method-assign]


def test_head_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_HEAD_S", 3600)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-endless: ")
        try:
            for _ in range(1024):
                writer.write(b"a" * 2**16)
                await writer.drain()
            return await reader.read()
        except ConnectionError:  # the answer may be lost with the connection, of which more was sent than was read
            return b""

    assert talk_to(answer_ok, talk)[:12] in (b"", b"HTTP/1.1 400")


def test_connection_whose_head_never_ends_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_HEAD_S", 0.1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        return await reader.read()

    assert talk_to(answer_ok, talk) == b""


def test_connection_too_many_is_refused_until_another_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_MAX_CONNECTIONS", 2)
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        address = writer.get_extra_info("peername")
        _, second = await asyncio.open_connection(*address)
        third, _ = await asyncio.open_connection(*address)
        refusal = await third.read()
        writer.write(request)
        answer = await reader.readuntil(b"ok")
        second.close()
        await second.wait_closed()
        while True:  # the server hears of the end a moment later
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request)
            later = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            if later.startswith(b"HTTP/1.1 200"):
                return refusal + b"|" + answer

    refusal, answer = talk_to(answer_ok, talk).split(b"|")

    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 2" in refusal
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_connections_are_a_part_of_the_files_that_may_be_open() -> None:
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2**20 if granted[1] == resource.RLIM_INFINITY else min(granted[1], 2**20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, granted[1]))
    try:
        few = http_protocol.max_connections()
        http_protocol.raise_file_limit()

        assert few == 256
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most > 1024
        assert few < http_protocol.max_connections() <= 4096
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, granted)


def test_long_heads_and_bodies_pass_one_after_another() -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 60_000 + b"\r\ncontent-length: 300000\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        statuses = b""
        writer.write((head + b"b" * 300_000) * 5)
        for _ in range(5):
            statuses += (await reader.readuntil(b"ok"))[9:12]
        return statuses

    assert talk_to(answer_ok, talk) == b"200" * 5


def test_answer_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_STALLED_S", 0.2)
    size = 2**24
    gone = asyncio.Event()

    async def answer_much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(4 * size).encode())]})
        for more in (True, True, True, False):
            await send({"type": "http.response.body", "body": bytes(size), "more_body": more})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(WAIT_S / 2):
            await gone.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        return b"" if http_protocol.BoundedHttp._connected.total() else b"dropped"

    assert talk_to(answer_much, talk) == b"dropped"


def test_answer_that_is_read_slowly_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_STALLED_S", 0.5)
    size = 2**24

    async def answer_much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        slow_down_time(0.1)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        arrived = 0
        while arrived < size:
            part = await reader.read(2**20)
            assert part, f"closed after {arrived} bytes"
            arrived += len(part)
            await asyncio.sleep(0.02)
        return str(arrived).encode()

    assert talk_to(answer_much, talk) == str(size).encode()


@pytest.mark.parametrize("path", ["/login", "/api/v1/scores"])
def test_body_that_stops_arriving_is_given_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "_BODY_S", 0.2)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(head.encode() + b"a")
        return await reader.read()

    answer = talk_to(application, talk)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive in time" in answer


@pytest.mark.parametrize("path", ["/login", "/api/v1/scores"])
def test_body_without_end_is_cut_off(path: str) -> None:
    pieces, sent = [2**20] * 64, []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(pieces.pop()), "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")],
    }  # fmt: skip
    asyncio.run(application(scope, receive, send))

    assert sent[0]["status"] == 413
    assert len(pieces) > 60
    said = sent[1]["body"].decode()
    assert (
        json.loads(said)["error"]["message"] if path.startswith("/api/") else said
    ) == "The body of this request is too large."
