"""How many spans a second this machine takes: `python -m bench.ingest [--seconds 20] [--connections 8] [--json FILE]`.

Starts a private instance, sends pre-encoded requests of 512 spans over keep-alive connections from a process of its own, and
reports what was acknowledged, how soon all of it was in ClickHouse, the answer times, memory and disk. Generator and server
share the machine's cores. Spans look like an agent's: about 1.7 KB, with model calls, tools and their messages.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest.checkpoint import is_drained
from tests.live import LiveServer, start_server

SPANS_A_REQUEST = 512
_DISTINCT_BODIES = 32
_SPANS_A_TRACE = 8
# Every id starts with these four bytes, which the generator replaces by a counter: no two requests share an id.
_MARK = b"\xfe\xed\xfa\xce"
_WORDS = [
    "order", "refund", "customer", "policy", "invoice", "please", "the", "was", "not", "found", "payment", "shipping", "delayed",
    "we", "can", "offer", "a", "credit", "of", "thirty", "days", "after", "delivery", "according", "to", "account", "settings",
    "agent", "will", "escalate", "when", "amount", "exceeds", "limit", "thank", "you", "for", "waiting",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Rates in spans a second. `queryable` counts until the last acknowledged span was in ClickHouse.

    `acknowledge_cpu_us_a_span` is the server's processor time while requests came in, inserts included: on a machine that
    does other work it says more than the rates.
    """

    acknowledged_spans: int
    acknowledged_a_second: float
    queryable_a_second: float
    refused_requests: int
    p50_ms: float
    p99_ms: float
    peak_rss_mib: float
    acknowledge_cpu_us_a_span: float
    disk_bytes_a_span: float
    body_bytes_a_span: float


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _messages(chance: random.Random, words: int) -> str:
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": _text(chance, words)}]}])


def _attributes(chance: random.Random, step: int) -> dict[str, str | int]:
    common: dict[str, str | int] = {
        "session.id": f"session-{chance.randrange(10**6)}",
        "user.id": f"user-{chance.randrange(10**5)}",
    }
    if step == 0:
        return common | {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "support",
            "gen_ai.input.messages": _messages(chance, 60),
            "gen_ai.output.messages": _messages(chance, 80),
        }
    if step % 2:
        return common | {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": f"chatcmpl-{chance.randrange(10**12)}",
            "gen_ai.usage.input_tokens": chance.randrange(200, 4000),
            "gen_ai.usage.output_tokens": chance.randrange(10, 800),
            "gen_ai.request.temperature": "0.2",
            "gen_ai.input.messages": _messages(chance, 140),
            "gen_ai.output.messages": _messages(chance, 70),
        }
    return common | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": chance.choice(("lookup_order", "refund", "search_policy")),
        "gen_ai.tool.call.id": f"call_{chance.randrange(10**9)}",
        "gen_ai.tool.call.arguments": json.dumps({"order_id": chance.randrange(10**6), "note": _text(chance, 30)}),
        "gen_ai.tool.call.result": _text(chance, 140),
    }


def _fill_span(span: Span, chance: random.Random, trace_id: bytes, ids: list[bytes], step: int, start_ns: int) -> None:
    span.trace_id, span.span_id = trace_id, ids[step]
    if step:
        span.parent_span_id = ids[0]
    span.name = ("invoke_agent support", "chat gpt-4o-mini", "execute_tool")[0 if not step else 1 if step % 2 else 2]
    span.kind = Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano = start_ns + step * 10**8
    span.end_time_unix_nano = span.start_time_unix_nano + chance.randrange(10**7, 10**9)
    for key, value in _attributes(chance, step).items():
        attribute = span.attributes.add(key=key)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value
    if step and chance.random() < 0.03:
        span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "TimeoutError: the order service did not answer"


def build_body(seed: int) -> bytes:
    """Return one serialized request of SPANS_A_REQUEST spans in traces of eight."""
    chance = random.Random(seed)
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in {
        "service.name": "support-agent",
        "service.version": f"v{seed % 4}",
        "deployment.environment.name": "prod",
    }.items():
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "bench"
    now_ns = time.time_ns()
    for _ in range(SPANS_A_REQUEST // _SPANS_A_TRACE):
        trace_id = _MARK + chance.randbytes(12)
        ids = [_MARK + chance.randbytes(4) for _ in range(_SPANS_A_TRACE)]
        for step in range(_SPANS_A_TRACE):
            _fill_span(scope_spans.spans.add(), chance, trace_id, ids, step, now_ns - chance.randrange(10**9))
    return request.SerializeToString()


class _Template:
    """A request as bytes whose ids can be made new in place."""

    def __init__(self, host: str, body: bytes) -> None:
        fields = {"Host": host, "Content-Type": "application/x-protobuf", "Content-Length": len(body)}
        head = "\r\n".join(["POST /v1/traces HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
        self.data = numpy.frombuffer(bytearray(head.encode() + body), dtype=numpy.uint8)
        raw, at, marks = self.data.tobytes(), 0, []
        while (at := raw.find(_MARK, at)) >= 0:
            marks.append(at)
            at += 4
        self._places = numpy.array(marks)[:, None] + numpy.arange(4)

    def renew(self, number: int) -> None:
        self.data[self._places] = numpy.frombuffer(number.to_bytes(4, "little"), dtype=numpy.uint8)


def _read_answer(connection: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    return int(head.split(b" ", 2)[1])


def _send_until(
    deadline: float, address: tuple[str, int], first: int, step: int, bodies: list[bytes], out: list[tuple[int, float]]
) -> None:
    templates = [_Template(f"{address[0]}:{address[1]}", body) for body in bodies]
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = first
        while time.monotonic() < deadline:
            template = templates[(number // step) % len(templates)]
            template.renew(number)
            started = time.monotonic()
            connection.sendall(template.data.data)
            status = _read_answer(connection)
            out.append((status, time.monotonic() - started))
            number += step
            if status == 503:
                time.sleep(0.1)


def generate(address: tuple[str, int], seconds: float, connections: int, results: Any) -> None:
    """Send for `seconds` and put the list of (status, seconds) of all requests on the queue. Runs in a process of its own."""
    bodies = [build_body(seed) for seed in range(_DISTINCT_BODIES)]
    share = max(1, _DISTINCT_BODIES // connections)
    results.put("ready")
    answers: list[tuple[int, float]] = []
    deadline = time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=_send_until,
            args=(deadline, address, index, connections, bodies[index * share % _DISTINCT_BODIES :][:share], answers),
        )
        for index in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(answers)


def _peak_rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _disk_bytes(folder: Path) -> int:
    return sum(entry.stat().st_blocks * 512 for entry in folder.rglob("*") if entry.is_file() and not entry.is_symlink())


def measure(server: LiveServer, *, seconds: float, connections: int) -> Result:
    """Load the server, wait until everything is stored, and return the figures."""
    parts = urlsplit(server.otlp_url)
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    address = (parts.hostname or "127.0.0.1", parts.port or 4318)
    generator = context.Process(target=generate, args=(address, seconds, connections, results))
    generator.start()
    results.get(timeout=120)
    disk_before = _disk_bytes(server.data / "clickhouse")
    started, cpu_before_s = time.monotonic(), _cpu_s(server.process.pid)
    answers: list[tuple[int, float]] = results.get(timeout=seconds + 120)
    sent_s, cpu_s = time.monotonic() - started, _cpu_s(server.process.pid) - cpu_before_s
    generator.join(30)
    deadline = time.monotonic() + 600
    while not is_drained(server.data / "spool") and time.monotonic() < deadline:
        time.sleep(0.02)
    stored_s = time.monotonic() - started
    spans = sum(SPANS_A_REQUEST for status, _ in answers if status == 200)
    times_ms = sorted(taken * 1000 for status, taken in answers if status == 200)
    return Result(
        acknowledged_spans=spans,
        acknowledged_a_second=round(spans / sent_s),
        queryable_a_second=round(spans / stored_s),
        refused_requests=sum(status != 200 for status, _ in answers),
        p50_ms=round(statistics.median(times_ms), 1),
        p99_ms=round(times_ms[int(len(times_ms) * 0.99)], 1),
        peak_rss_mib=round(_peak_rss_mib(server.process.pid)),
        acknowledge_cpu_us_a_span=round(cpu_s / spans * 1e6, 1),
        disk_bytes_a_span=round((_disk_bytes(server.data / "clickhouse") - disk_before) / spans),
        body_bytes_a_span=round(len(build_body(0)) / SPANS_A_REQUEST),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder:
        server = start_server(Path(folder))
        try:
            result = measure(server, seconds=options.seconds, connections=options.connections)
        finally:
            server.kill()
    for name, value in asdict(result).items():
        print(f"{name:>22}  {value:,}")
    if options.json:
        options.json.write_text(json.dumps(asdict(result) | {"cores": os.cpu_count()}, indent=2))


if __name__ == "__main__":
    main()
