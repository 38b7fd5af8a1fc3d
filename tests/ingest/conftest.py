"""A receiver on real sockets, HTTP and gRPC, with its own spool, draining into the embedded store."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import pytest
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest import service
from ingest.receivers.otlp_http import application
from ingest.service import Ingest
from tests.ingest.drains import wait_until_drained
from tests.live import free_ports
from tracestore.clickhouse.client import Store
from tracestore.keys import forget_keys
from tracestore.privacy import policy
from tracestore.process.server import Server

# grpc.aio ends its poller when the last of its objects is collected, wherever that is, and may then wait for itself for ever.
# One more user of it keeps the poller until the process ends.
grpc.aio.init_grpc_aio()

PROTOBUF, JSON = "application/x-protobuf", "application/json"


@dataclass
class Answer:
    """What came back. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The running receiver and what it stores into. `stop` ends it as the product ends, before the end of the test."""

    port: int
    grpc_port: int
    ingest: Ingest
    store: Store
    stop: Callable[[], None]
    announced: list[tuple[str, int]] = field(default_factory=list)

    def send(self, body: bytes | Iterator[bytes] = b"", path: str = "/v1/traces", method: str = "POST", **headers: str) -> Answer:
        """Send one request; an underscore in a header's name stands for a dash. An iterator is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            named = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
            wanted = {name: value for name, value in named.items() if value}
            connection.request(method, path, body, wanted, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def wait_until_drained(self) -> None:
        wait_until_drained(self.ingest)

    def stored_spans(self) -> list[tuple[str, str]]:
        """Return (trace id, span id) in hex of every row, duplicates included, after everything accepted has been inserted."""
        self.wait_until_drained()
        rows = self.store.query_rows("SELECT lower(hex(trace_id)), lower(hex(span_id)) FROM spans WHERE project_id > 0")
        return sorted((str(trace_id), str(span_id)) for trace_id, span_id in rows)


def build_request(*spans: Span) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "shop"
    resource_spans.scope_spans.add().spans.extend(spans)
    return request


def build_span(**overrides: object) -> Span:
    now_ns = time.time_ns()
    values = {
        "trace_id": os.urandom(16),
        "span_id": os.urandom(8),
        "name": "chat",
        "start_time_unix_nano": now_ns - 10**9,
        "end_time_unix_nano": now_ns,
    }
    return Span(**(values | overrides))  # type: ignore[arg-type]


def ids_of(*spans: Span) -> list[tuple[str, str]]:
    return sorted((span.trace_id.hex(), span.span_id.hex()) for span in spans)


class IdleFlusher:
    """In the place of the flusher, whose thread would write past a test's transaction, or log that the test has no database."""

    def __init__(self, *flushes: Callable[[], None]) -> None:
        pass

    def start(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def stop(self, timeout_s: float) -> None:
        pass


@pytest.fixture
def receiver(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    forget_keys()
    policy.forget_policies()
    # Most tests have no relational database; those of privacy put rules here, or use a whole server.
    monkeypatch.setattr(policy, "find_policy", lambda project_id: None)
    monkeypatch.setattr(service, "Flusher", IdleFlusher)
    announced: list[tuple[str, int]] = []
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: announced.append((writer, batch_seq)))
    port, grpc_port = free_ports(2)
    started = threading.Event()
    config = uvicorn.Config(
        application, host="127.0.0.1", port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=3
    )
    server = Server(config, started.set, grpc_port, lambda: False)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(90)

    def stop() -> None:
        server.should_exit = True
        thread.join(60)
        ingest.stop(60)  # an insert under way would show in the next test

    yield Receiver(port, grpc_port, ingest, store, stop, announced)
    stop()


def open_connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)
