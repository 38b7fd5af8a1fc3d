"""`make soak`: real exporters send without pause while the instance is killed, stopped, frozen and starved of disk.

For SOAK_MINUTES (10). In the end everything that an exporter was told is stored must be there, and nothing twice: neither a span
beside itself nor a trace in parts. Prints its seed and a summary; exits 1 when anything is lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import secrets
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_span_in_context

from ingest.spool.checkpoint import is_drained
from tests.live import LiveServer, count_stored, free_ports, start_server, wait_until_accepting
from tests.logs import build_logs

SPANS_A_TRACE, RECORDS_A_TRACE = 20, 2
_DRAIN_TIMEOUT_S = 600


class _Sender(threading.Thread):
    """Sends one trace after the other until told to stop, `pause_s` between; notes the ids of those that were acknowledged."""

    def __init__(self, send: Callable[[], tuple[str, bool]], pause_s: float) -> None:
        super().__init__(daemon=True)
        self._send, self._pause_s, self._stopping = send, pause_s, threading.Event()
        self.acknowledged: list[str] = []
        self.failed = 0

    def run(self) -> None:
        while not self._stopping.wait(self._pause_s):
            trace_id, is_acknowledged = self._send()
            if is_acknowledged:
                self.acknowledged.append(trace_id)
            else:
                self.failed += 1

    def stop(self) -> None:
        self._stopping.set()


def _spans_through(exporter: SpanExporter) -> Callable[[], tuple[str, bool]]:
    """Return what sends one trace by a real exporter, which tries again by itself for ten seconds."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "soak"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("soak")

    def send() -> tuple[str, bool]:
        memory.clear()
        root = tracer.start_span("invoke_agent soak", context=Context())
        inside = set_span_in_context(root)
        for _ in range(SPANS_A_TRACE - 1):
            tracer.start_span("chat", context=inside, attributes={"gen_ai.request.model": "gpt-5", "text": "x" * 500}).end()
        root.end()
        result = exporter.export(memory.get_finished_spans())
        return f"{root.get_span_context().trace_id:032x}", result is SpanExportResult.SUCCESS

    return send


def _logs_to(url: str) -> Callable[[], tuple[str, bool]]:
    """Return what sends the records of one trace, once: without a second try nothing may be there twice, not even for a while."""

    def send() -> tuple[str, bool]:
        trace_id = secrets.token_hex(16)
        body = build_logs(*({"trace_id": trace_id, "body": f"{number}"} for number in range(RECORDS_A_TRACE)))
        request = urllib.request.Request(f"{url}/v1/logs", body, {"Content-Type": "application/x-protobuf"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return trace_id, answer.status == 200
        except OSError:
            time.sleep(0.2)
            return trace_id, False

    return send


@dataclass
class Report:
    """What happened and what was found wrong."""

    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    problems: list[str] = field(default_factory=list)

    def describe(self) -> str:
        lines = [f"faults: {dict(self.faults)}", f"copies of spans that exporters sent again: {self.copies}"]
        lines += [
            f"{name}: {count:,} traces acknowledged, {self.failed[name]:,} not" for name, count in self.acknowledged.items()
        ]
        return "\n".join([*lines, *self.problems, f"{len(self.problems)} problems"])


FAULTS = ("kill", "stop", "freeze", "full disk")


def soak(data: Path, *, seconds: float, seed: int, faults: tuple[str, ...] = FAULTS, pause_s: float = 0) -> Report:
    """Run for `seconds`, or until each of `faults` has happened once, whichever is later.

    `pause_s` between two traces of a sender leaves processors to others; without it two cores are full.
    """
    chance, report = random.Random(seed), Report()
    port, http_port, grpc_port = free_ports(3)

    def start() -> LiveServer:
        server = start_server(
            data,
            wait=False,
            TRACESTORE_PORT=str(port),
            TRACESTORE_OTLP_HTTP_PORT=str(http_port),
            TRACESTORE_OTLP_GRPC_PORT=str(grpc_port),
        )
        server.otlp_url = f"http://127.0.0.1:{http_port}"
        wait_until_accepting(server)
        return server

    server = start()
    url = server.otlp_url
    sending = {
        "python http": _spans_through(HttpExporter(f"{url}/v1/traces")),
        "python http gzip": _spans_through(HttpExporter(f"{url}/v1/traces", compression=Compression.Gzip)),
        "python grpc": _spans_through(GrpcExporter(f"http://127.0.0.1:{grpc_port}", insecure=True)),
        "logs": _logs_to(url),
    }
    senders = {name: _Sender(send, pause_s) for name, send in sending.items()}
    for sender in senders.values():
        sender.start()
    try:
        deadline = time.monotonic() + seconds
        waiting = list(faults)
        while waiting or time.monotonic() < deadline:
            time.sleep(chance.uniform(0.2, 4))
            fault = waiting.pop() if waiting else chance.choice(faults)
            report.faults[fault] += 1
            server = _break(server, fault, chance, start)
        for sender in senders.values():
            sender.stop()
        for sender in senders.values():
            sender.join(60)
        drained_by = time.monotonic() + _DRAIN_TIMEOUT_S
        while not is_drained(data / "spool") and time.monotonic() < drained_by:
            time.sleep(0.2)
        if status := server.stop():
            report.problems.append(f"the instance ended with {status}")
    except BaseException:
        server.kill()
        raise
    for name, sender in senders.items():
        report.acknowledged[name], report.failed[name] = len(sender.acknowledged), sender.failed
    _count(data, senders, report)
    return report


def _break(server: LiveServer, fault: str, chance: random.Random, start: Callable[[], LiveServer]) -> LiveServer:
    """Do one harm and return the instance that runs afterwards."""
    match fault:
        case "kill":
            server.kill()
            return start()
        case "stop":
            server.stop()
            return start()
        case "freeze":
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.5, 5))
            server.process.send_signal(signal.SIGCONT)
        case _:  # no file may grow beyond this: for spool, checkpoint and engine alike that is a full disk
            full = chance.choice((1, 4096, 2**20))
            _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (full, hard))
            time.sleep(chance.uniform(0.5, 5))
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    return server


def _count(data: Path, senders: dict[str, _Sender], report: Report) -> None:
    stored = count_stored(data)
    for name, sender in senders.items():
        if name == "logs":
            continue
        wrong = [trace_id for trace_id in sender.acknowledged if stored.get(trace_id, (0, 0))[1] != SPANS_A_TRACE]
        if wrong:
            report.problems.append(f"{name}: {len(wrong)} acknowledged traces are not whole, {wrong[0]} first")
    parts = sum(distinct != SPANS_A_TRACE for _, distinct in stored.values())
    if parts:
        report.problems.append(f"{parts} traces are stored in part")
    report.copies = sum(rows - distinct for rows, distinct in stored.values())
    records = count_stored(data, "logs", "record_id")
    lost = [trace_id for trace_id in senders["logs"].acknowledged if trace_id not in records]
    if lost:
        report.problems.append(f"logs: {len(lost)} acknowledged exports are lost, {lost[0]} first")
    if any(counts != (RECORDS_A_TRACE, RECORDS_A_TRACE) for counts in records.values()):
        report.problems.append("logs: an export that was sent once is there in part or twice")
    if letters := list((data / "dead-letters").glob("*.json")):
        report.problems.append(f"{len(letters)} dead letters")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", "10")))
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="tracestore-soak-"))
    print(f"seed {arguments.seed}, {arguments.minutes} minutes, data in {data}", flush=True)
    report = soak(data, seconds=60 * arguments.minutes, seed=arguments.seed)
    print(report.describe(), flush=True)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
