"""The exporters that people use, against the running product: what they sent is what is stored, once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.ingest.conftest import Receiver

NODE = Path(__file__).resolve().parent.parent / "node_exporter"
TRACES, SPANS_A_TRACE, RECORDS = 150, 5, 1200


@pytest.mark.parametrize("compression", list(Compression))
def test_python_exporter(receiver: Receiver, compression: Compression) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "python"}))
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/traces", compression=compression, timeout=30)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    for _ in range(TRACES):
        with tracer.start_as_current_span("invoke_agent"):
            for step in range(SPANS_A_TRACE - 1):
                tracer.start_span("chat", attributes={"step": step, "text": "x" * 500}).end()

    assert provider.force_flush(30_000)
    provider.shutdown()

    ids = receiver.stored_spans()
    assert len(ids) == len(set(ids)) == TRACES * SPANS_A_TRACE
    assert len({trace_id for trace_id, _ in ids}) == TRACES


def test_python_log_exporter(receiver: Receiver) -> None:
    """Records carry the ids of the span in which they were emitted."""
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/logs", compression=Compression.Gzip, timeout=30)
    provider = LoggerProvider(resource=Resource({"service.name": "python"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("agent")
    with TracerProvider().get_tracer("test").start_as_current_span("chat") as span:
        for number in range(RECORDS):
            logger.emit(severity_number=SeverityNumber.WARN, body=f"step {number}", event_name="step")

    assert provider.force_flush(30_000)
    provider.shutdown()

    receiver.wait_until_drained()
    columns = (
        "lower(hex(trace_id)), lower(hex(span_id)), severity_number, service, count(), uniqExact(body), uniqExact(record_id)"
    )
    rows = receiver.store.query_rows(f"SELECT {columns} FROM logs WHERE project_id = 1 GROUP BY ALL")
    context = span.get_span_context()
    assert rows == [(f"{context.trace_id:032x}", f"{context.span_id:016x}", 13, "python", RECORDS, RECORDS, RECORDS)]


@pytest.mark.skipif(not (NODE / "node_modules").exists(), reason="run `npm ci` in tests/node_exporter first")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_node_exporter_with_json(receiver: Receiver, compression: str) -> None:
    url = f"http://127.0.0.1:{receiver.port}/v1/traces"

    done = subprocess.run(
        ["node", "send.mjs", url, str(TRACES), str(SPANS_A_TRACE), compression],
        cwd=NODE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    ids = receiver.stored_spans()
    assert len(ids) == len(set(ids)) == TRACES * SPANS_A_TRACE
    kept = receiver.store.query_rows(
        "SELECT DISTINCT attributes['step'], attributes['ratio'], attributes['deep'] != '' FROM spans "
        "WHERE project_id = 1 AND name = 'chat' ORDER BY 1"
    )
    assert [tuple(row) for row in kept] == [(str(step), "0.5", True) for step in range(SPANS_A_TRACE - 1)]
