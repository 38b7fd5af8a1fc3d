"""The exporters that people use, against the running product: what they sent is stored, once, whatever happens between."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ingest.receivers import otlp_http as receiver_module
from ingest.receivers.refusing import Refused
from ingest.spool.checkpoint import is_drained
from tests.ingest.conftest import Receiver
from tests.ingest.faulty_proxy import Fault, FaultyProxy, answer_429, lose_answer, reset
from tests.live import count_stored, start_server
from tests.waiting import wait_until

NODE = Path(__file__).resolve().parent.parent / "node_exporter"
TRACES, SPANS_A_TRACE, RECORDS = 150, 5, 1200
NODE_CLIENTS = ("node http/json", "node http/protobuf", "node grpc")
CLIENTS = ("python http", "python grpc", *NODE_CLIENTS)


class _Noting(SpanExporter):
    """Passes on to a real exporter, up to `tries` times, and notes whether it reported a batch as failed."""

    def __init__(self, exporter: SpanExporter, tries: int = 1) -> None:
        self._exporter, self._tries = exporter, tries
        self.results: set[SpanExportResult] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for _ in range(self._tries):
            if (result := self._exporter.export(spans)) is SpanExportResult.SUCCESS:
                break
        self.results.add(result)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def send_from_python(exporter: SpanExporter, traces: int) -> bool:
    noting = _Noting(exporter)
    provider = TracerProvider(resource=Resource({"service.name": "python"}))
    # Nothing goes by the clock: a pause of the machine in the middle would make two batches of one.
    provider.add_span_processor(BatchSpanProcessor(noting, schedule_delay_millis=120_000))
    tracer = provider.get_tracer("test")
    for _ in range(traces):
        with tracer.start_as_current_span("invoke_agent"):
            for step in range(SPANS_A_TRACE - 1):
                tracer.start_span("chat", attributes={"step": step, "text": "x" * 500}).end()
    assert provider.force_flush(90_000)
    provider.shutdown()
    assert noting.results
    return noting.results == {SpanExportResult.SUCCESS}


def send_from_node(protocol: str, url: str, traces: int, compression: str, timeout_s: float) -> bool:
    done = subprocess.run(
        ["node", "send.mjs", protocol, url, str(traces), str(SPANS_A_TRACE), compression, str(int(timeout_s * 1000))],
        cwd=NODE, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "SyntaxError" not in done.stderr, done.stderr
    return done.returncode == 0


def send(client: str, port: int, traces: int, *, compressed: bool = False, timeout_s: float = 60) -> bool:
    """Send with a real exporter; return whether it reported everything as delivered."""
    if client in NODE_CLIENTS and not (NODE / "node_modules").exists():
        pytest.fail("run `npm ci` in tests/node_exporter first, or `make test`")
    url, traces_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/v1/traces"
    language, protocol = client.split(" ")
    if language == "node":
        compression = "gzip" if compressed else "none"
        return send_from_node(protocol, url if protocol == "grpc" else traces_url, traces, compression, timeout_s)
    if protocol == "http":
        http_compression = Compression.Gzip if compressed else Compression.NoCompression
        return send_from_python(HttpExporter(endpoint=traces_url, compression=http_compression, timeout=timeout_s), traces)
    grpc_compression = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
    return send_from_python(GrpcExporter(endpoint=url, insecure=True, compression=grpc_compression, timeout=timeout_s), traces)


def port_of(receiver: Receiver, client: str) -> int:
    return receiver.grpc_port if client.endswith("grpc") else receiver.port


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("compressed", [False, True])
def test_everything_is_stored_once(receiver: Receiver, client: str, compressed: bool) -> None:
    assert send(client, port_of(receiver, client), TRACES, compressed=compressed)

    ids = receiver.stored_spans()
    assert len(ids) == len(set(ids)) == TRACES * SPANS_A_TRACE
    assert len({trace_id for trace_id, _ in ids}) == TRACES
    if client in NODE_CLIENTS:
        kept = receiver.store.query_rows(
            "SELECT DISTINCT attributes['step'], attributes['ratio'], attributes['deep'] != '' FROM spans "
            "WHERE project_id = 1 AND name = 'chat' ORDER BY 1"
        )
        assert [tuple(row) for row in kept] == [(str(step), "0.5", True) for step in range(SPANS_A_TRACE - 1)]


def test_python_log_exporter(receiver: Receiver) -> None:
    """Records carry the ids of the span in which they were emitted."""
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/logs", compression=Compression.Gzip, timeout=60)
    provider = LoggerProvider(resource=Resource({"service.name": "python"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("agent")
    with TracerProvider().get_tracer("test").start_as_current_span("chat") as span:
        for number in range(RECORDS):
            logger.emit(severity_number=SeverityNumber.WARN, body=f"step {number}", event_name="step")

    assert provider.force_flush(90_000)
    provider.shutdown()

    receiver.wait_until_drained()
    columns = (
        "lower(hex(trace_id)), lower(hex(span_id)), severity_number, service, count(), uniqExact(body), uniqExact(record_id)"
    )
    rows = receiver.store.query_rows(f"SELECT {columns} FROM logs WHERE project_id = 1 GROUP BY ALL")
    context = span.get_span_context()
    assert rows == [(f"{context.trace_id:032x}", f"{context.span_id:016x}", 13, "python", RECORDS, RECORDS, RECORDS)]


def test_python_deflate_is_stored(receiver: Receiver) -> None:
    exporter = HttpExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/traces", compression=Compression.Deflate, timeout=60)

    assert send_from_python(exporter, 20)
    assert len(set(receiver.stored_spans())) == 20 * SPANS_A_TRACE


# What goes wrong on the way. One batch: what becomes of it is known exactly.

BATCH_TRACES = 20
BATCH_SPANS = BATCH_TRACES * SPANS_A_TRACE


@dataclass(frozen=True)
class Outcome:
    """Whether the exporter reported success, and how many rows its batch became."""

    delivered: bool
    rows: int


STORED, LOST, UNNOTICED = Outcome(True, BATCH_SPANS), Outcome(False, 0), Outcome(False, BATCH_SPANS)
TWICE = Outcome(True, 2 * BATCH_SPANS)


def check_outcome(receiver: Receiver, delivered: bool, expected: Outcome) -> None:
    ids = receiver.stored_spans()
    receiver.store.hold_merges(["spans"], False)
    assert Outcome(delivered, len(ids)) == expected
    assert len(set(ids)) == min(expected.rows, BATCH_SPANS)
    receiver.store.command("OPTIMIZE TABLE spans FINAL")
    assert len(receiver.stored_spans()) == min(expected.rows, BATCH_SPANS)


@pytest.mark.parametrize(
    ("client", "fault", "expected"),
    [
        ("python http", answer_429, STORED),
        ("node http/json", answer_429, STORED),
        ("node http/protobuf", answer_429, STORED),
        ("python http", reset, STORED),
        ("python grpc", reset, STORED),
        ("node http/json", reset, LOST),  # this exporter does not try again, and says so
        ("node http/protobuf", reset, LOST),
        ("node grpc", reset, LOST),
        ("python http", lose_answer, TWICE),
        ("node http/json", lose_answer, UNNOTICED),
        ("node http/protobuf", lose_answer, UNNOTICED),
    ],
)
def test_broken_connection(receiver: Receiver, client: str, fault: Fault, expected: Outcome) -> None:
    receiver.store.hold_merges(["spans"], True)  # what came twice is to be seen
    with FaultyProxy(port_of(receiver, client), fault) as proxy:
        delivered = send(client, proxy.port, BATCH_TRACES)

    assert proxy.connections == (1 if expected in (LOST, UNNOTICED) else 2)
    check_outcome(receiver, delivered, expected)


@pytest.mark.parametrize(
    ("client", "expected"),
    [(client, LOST if client == "node grpc" else STORED) for client in CLIENTS],  # node's gRPC exporter never tries again
)
def test_full_spool_is_waited_out(receiver: Receiver, client: str, expected: Outcome) -> None:
    usual, refused = receiver.ingest.spool.max_bytes, threading.Event()
    refusal = receiver.ingest.refusal

    def note_refusal() -> str:
        reason = refusal()
        if reason:
            refused.set()
            receiver.ingest.spool.max_bytes = usual
        return reason

    receiver.ingest.spool.max_bytes = 0
    receiver.ingest.refusal = note_refusal  # type: ignore[method-assign]

    delivered = send(client, port_of(receiver, client), BATCH_TRACES)

    assert refused.is_set()
    check_outcome(receiver, delivered, expected)


def test_exporter_tries_again_after_429_and_503_alone(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer that the receiver has, once, to a batch of its own; Retry-After comes with what is to be tried again."""
    answer = receiver_module._answer
    due: list[int] = []

    async def refuse_once(*arguments: Any) -> bytes:
        if due:
            raise Refused(due.pop(), "not now")
        return await answer(*arguments)

    monkeypatch.setattr(receiver_module, "_answer", refuse_once)
    delivered, delayed = set(), set()
    for status in (*receiver_module._RPC_CODES, 500):
        due.append(status)
        if send("python http", receiver.port, 1):
            delivered.add(status)
        due.append(status)
        if "retry-after" in receiver.send().headers:
            delayed.add(status)

    assert delivered == delayed == {429, 503}
    assert len(receiver.stored_spans()) == 2 * SPANS_A_TRACE


@pytest.mark.parametrize("client", CLIENTS)
def test_slow_answer_within_the_exporters_patience(receiver: Receiver, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, slow = os.fdatasync, []

    def take_long(descriptor: int) -> None:
        slow.append(descriptor)
        time.sleep(2)
        synced(descriptor)

    monkeypatch.setattr(os, "fdatasync", take_long)

    delivered = send(client, port_of(receiver, client), BATCH_TRACES)

    assert len(slow) == 1
    check_outcome(receiver, delivered, STORED)


@pytest.mark.parametrize("client", CLIENTS)
def test_answer_that_the_exporter_does_not_wait_for(receiver: Receiver, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, given_up = os.fdatasync, threading.Event()

    def wait_and_sync(descriptor: int) -> None:
        given_up.wait(120)
        synced(descriptor)

    monkeypatch.setattr(os, "fdatasync", wait_and_sync)

    # Long enough for a busy machine to connect and send within it.
    delivered = send(client, port_of(receiver, client), BATCH_TRACES, timeout_s=8)
    given_up.set()

    check_outcome(receiver, delivered, UNNOTICED)


@pytest.mark.timeout(600)
def test_restart_loses_nothing(tmp_path: Path) -> None:
    first = start_server(tmp_path)
    # More patient than the exporter alone, which gives a batch up after a minute: a slow machine needs longer to start.
    noting = _Noting(GrpcExporter(endpoint=f"http://{first.grpc_address}", insecure=True, timeout=120), tries=5)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(noting, max_queue_size=10**6, schedule_delay_millis=50))
    over, sent = threading.Event(), 0

    def keep_sending() -> None:
        nonlocal sent
        while not over.wait(0.005):
            provider.get_tracer("test").start_span("step").end()
            sent += 1

    sending = threading.Thread(target=keep_sending, daemon=True)
    sending.start()
    time.sleep(1)
    stopped = first.stop()  # with exports under way
    second = start_server(tmp_path, TRACESTORE_OTLP_GRPC_PORT=first.grpc_address.rpartition(":")[2])
    over.set()
    sending.join(60)
    flushed = provider.force_flush(120_000)
    provider.shutdown()
    wait_until(lambda: is_drained(tmp_path / "spool"))

    assert (stopped, flushed, noting.results, second.stop()) == (0, True, {SpanExportResult.SUCCESS}, 0)
    stored = count_stored(tmp_path)
    assert sent > 100
    assert len(stored) == sent
    assert {distinct for _, distinct in stored.values()} == {1}
    assert "Traceback" not in second.log.read_text()
