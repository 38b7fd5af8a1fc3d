"""Send fuzzed bodies through the whole of ingest and see that nothing breaks and nothing is lost."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc

from ingest.dead_letters import DeadLetters
from ingest.receivers.otlp_http import application
from ingest.service import Ingest
from ingest.spool.checkpoint import is_drained
from tests.fuzz.mutations import GUARD, JSON, PROTOBUF, Body, Mutator
from tests.fuzz.result import Result
from tests.live import LiveServer, start_server
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import read_span_count
from tracestore.model import Signal
from tracestore.models import Privacy
from tracestore.privacy import policy
from tracestore.privacy.masking import PRESETS

_GROUP = 200  # sent at once, so that they share a sync
_TRIES = 10
_WAITING_BYTES = 64 * 2**20
_SERVICES = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_GRPC_STATUS = {grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.RESOURCE_EXHAUSTED: 413}


async def _call(body: Body) -> tuple[int, str]:
    """Return status and body of the answer of the receiver's own ASGI application."""
    headers = [
        (b"content-type", body.content_type.encode()),
        (b"content-encoding", body.encoding.encode()),
        (b"content-length", str(len(body.content)).encode()),
    ]
    scope = {"type": "http", "method": "POST", "path": f"/v1/{body.signal}", "headers": headers, "client": ("127.0.0.1", 1)}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.content}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], str(sent[1]["body"][:300])


async def _call_patiently(body: Body) -> tuple[int, str]:
    """Send again what was put off, as exporters do: on a busy machine rules of privacy may have to wait too long."""
    for _ in range(_TRIES):
        status, detail = await _call(body)
        if status != 503:
            break
        await asyncio.sleep(1)
    return status, detail


def fuzz_in_process(store: Store, data: Path, mutator: Mutator, bodies: int) -> Result:
    """Send `bodies` bodies to a receiver of this process that drains into `store`, which must be empty, then count.

    Every other body passes the strictest privacy rules, which rewrite it. The relational database has no part in this.
    """
    result = Result()
    strictest = policy.build_policy(Privacy(presets=list(PRESETS), stores_content=False, stores_error_texts=False))
    policies = itertools.cycle((None, strictest))

    async def find_policy(project_id: int) -> policy.Policy | None:
        return next(policies)

    ingest = Ingest(store, data=data)
    ingest.start(lambda writer, batch_seq: None)
    try:
        with patch("ingest.receivers.admission.find_policy_async", find_policy):
            asyncio.run(_send_all(ingest, mutator, bodies, result, data))
        _wait_until_drained(ingest, 0, timeout_s=600)
        _count_stored(store, ingest, result)
    finally:
        ingest.stop(60)
    return result


async def _send_all(ingest: Ingest, mutator: Mutator, bodies: int, result: Result, folder: Path) -> None:
    for first in range(0, bodies, _GROUP):
        group = [mutator.make() for _ in range(min(_GROUP, bodies - first))]
        for body, (status, detail) in zip(group, await asyncio.gather(*map(_call_patiently, group)), strict=True):
            result.add(body, status, detail, folder)
        if ingest.status().waiting_bytes > _WAITING_BYTES:
            await asyncio.to_thread(_wait_until_drained, ingest, _WAITING_BYTES // 2, timeout_s=600)


def _wait_until_drained(ingest: Ingest, waiting_bytes: int, *, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while ingest.status().waiting_bytes > waiting_bytes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"ingest does not go on: {ingest.status()}")
        time.sleep(0.05)


def _find_guards(store: Store, result: Result) -> None:
    for signal, table in ((Signal.TRACES, "spans"), (Signal.LOGS, "logs")):
        found = store.query_rows(
            f"SELECT DISTINCT trace_id FROM {table} WHERE startsWith(trace_id, {{guard:String}})", guard=GUARD.decode()
        )
        lost = result.guards[signal] - {bytes(trace_id) for (trace_id,) in found}
        if lost:
            result.fail(
                f"{len(lost)} of {len(result.guards[signal])} guards among the {signal} are not stored: {min(lost).hex()}"
            )
        result.guard_count += len(result.guards[signal])
        result.guards[signal] = set()


def _count_stored(store: Store, ingest: Ingest, result: Result) -> None:
    """Compare what was acknowledged with what is stored: rows of intake are never merged away, unlike copies of a span."""
    _find_guards(store, result)
    in_letters = 0
    for letter in ingest.dead_letters.find():
        result.dead_letters[letter.reason[:120]] += 1
        in_letters += read_span_count(ingest.dead_letters.read_payload(letter.name)) if letter.signal is Signal.TRACES else 0
    [(counted,)] = store.query_rows("SELECT sum(spans) FROM intake")
    result.spans = ingest.status().accepted_spans
    if counted + in_letters != result.spans:
        result.fail(f"{result.spans} spans were acknowledged, {counted} are stored and {in_letters} are in dead letters")


def fuzz_over_sockets(open_store: Callable[[], Store], data: Path, mutator: Mutator, bodies: int) -> Result:
    """Start an instance on `data`, send it `bodies` bodies, stop it and look into its store."""
    result = Result()
    server = start_server(data)
    try:
        _send_over_sockets(server, mutator, bodies, result)
    except BaseException:
        server.kill()
        raise
    if status := server.stop():
        result.fail(f"the instance ended with {status}")
    if "Traceback" in server.log.read_text():
        result.fail(f"the instance met an error that nobody expected, see {server.log}")
    _find_guards(open_store(), result)
    for letter in DeadLetters(data / "dead-letters").find():
        result.dead_letters[letter.reason[:120]] += 1
    return result


def _send_over_sockets(server: LiveServer, mutator: Mutator, bodies: int, result: Result) -> None:
    sockets = Sockets(server.otlp_url, server.grpc_address)
    for _ in range(bodies):
        body = mutator.make()
        status, detail = sockets.send(body)
        result.add(body, status, detail, server.data)
    sockets.close()
    deadline = time.monotonic() + 600
    while not is_drained(server.data / "spool"):
        if time.monotonic() > deadline:
            raise TimeoutError("the instance does not empty its spool")
        time.sleep(0.1)
    with urllib.request.urlopen(server.url + "/readyz", timeout=90):  # raises when it is not ready any more
        pass


class Sockets:
    """Sends bodies to a running server, over HTTP and every fourth over gRPC."""

    def __init__(self, otlp_url: str, grpc_address: str) -> None:
        host, _, port = otlp_url.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=90)
        self._channel = grpc.insecure_channel(grpc_address)
        self._sent = 0

    def send(self, body: Body) -> tuple[int, str]:
        self._sent += 1
        if self._sent % 4 == 0 and body.content_type == PROTOBUF and body.encoding == "identity":
            return self._send_grpc(body)
        headers = {"content-type": body.content_type, "content-encoding": body.encoding}
        self._connection.request("POST", f"/v1/{body.signal}", body.content, headers)
        response = self._connection.getresponse()
        answer = response.read()
        expected = JSON if body.content_type == JSON else PROTOBUF
        if response.getheader("content-type") != expected:
            return 500, f"answered as {response.getheader('content-type')}"
        if body.content_type == JSON:
            json.loads(answer)
        return response.status, str(answer[:300])

    def _send_grpc(self, body: Body) -> tuple[int, str]:
        try:
            answer = self._channel.unary_unary(_SERVICES[body.signal])(body.content, timeout=90)
        except grpc.RpcError as error:
            return _GRPC_STATUS.get(error.code(), 500), f"{error.code()} {error.details()}"
        return 200, str(answer[:300])

    def close(self) -> None:
        self._connection.close()
        self._channel.close()
