"""SIGKILL in the middle of ingest, again and again: what was acknowledged is there, once; nothing is there twice."""

from __future__ import annotations

import http.client
import os
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.spool.checkpoint import is_drained
from tests.ingest.conftest import PROTOBUF, build_request, build_span
from tests.live import LiveServer, count_stored, start_server, wait_until_accepting
from tests.logs import build_logs
from tests.waiting import wait_until

CRASHES = 6
SENDERS = 3
SPANS_A_TRACE = 20


class Sender(threading.Thread):
    """Posts one new trace after the other and notes the ids of those that were acknowledged."""

    def __init__(self, otlp_url: str, number: int) -> None:
        super().__init__(daemon=True)
        self._address = urlsplit(otlp_url)
        self._number = number
        self.acknowledged: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=60)
        for count in range(1_000_000):
            trace_id = bytes([0xC0, self._number]) + count.to_bytes(14, "big")
            now_ns = time.time_ns()
            spans = [
                Span(
                    trace_id=trace_id,
                    span_id=bytes([1]) + step.to_bytes(7, "big"),
                    name="step",
                    start_time_unix_nano=now_ns,
                    end_time_unix_nano=now_ns + 5,
                )
                for step in range(SPANS_A_TRACE)
            ]
            try:
                connection.request("POST", "/v1/traces", build_request(*spans).SerializeToString(), {"content-type": PROTOBUF})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                return  # the server was killed: what was under way may or may not be stored
            if response.status == 200:
                self.acknowledged.append(trace_id.hex())


def crash_while_sending(server: LiveServer, round_number: int) -> list[str]:
    senders = [Sender(server.otlp_url, round_number * SENDERS + number) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 60
    # Not the same moment each time: in the first insert, between two, in the middle of many.
    while sum(len(sender.acknowledged) for sender in senders) < 5 + 72 * round_number and time.monotonic() < deadline:
        time.sleep(0.005)
    server.kill()
    for sender in senders:
        sender.join(90)
    return [trace_id for sender in senders for trace_id in sender.acknowledged]


@pytest.mark.timeout(900)
def test_acknowledged_spans_survive_six_kills_exactly_once(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_number in range(CRASHES):
        server = start_server(tmp_path, wait=False)
        wait_until_accepting(server)
        acknowledged += crash_while_sending(server, round_number)

    server = start_server(tmp_path, wait=False)
    wait_until_accepting(server)
    wait_until(lambda: is_drained(tmp_path / "spool"))
    assert server.stop() == 0
    stored = count_stored(tmp_path)

    assert len(acknowledged) > 100
    assert [trace_id for trace_id in acknowledged if stored.get(trace_id) != (SPANS_A_TRACE, SPANS_A_TRACE)] == []
    assert set(stored.values()) == {(SPANS_A_TRACE, SPANS_A_TRACE)}


@pytest.mark.timeout(600)
def test_acknowledged_logs_survive_a_kill_exactly_once(tmp_path: Path) -> None:
    """Killed after the answer and again after the drain has begun; spans of the same traces go through the same batches."""
    trace_ids = [os.urandom(16).hex() for _ in range(60)]
    for half in (trace_ids[:30], trace_ids[30:]):
        server = start_server(tmp_path, wait=False)
        wait_until_accepting(server)
        for trace_id in half:
            for path, body in (
                ("logs", build_logs({"trace_id": trace_id, "body": "a"}, {"trace_id": trace_id, "body": "b"})),
                ("traces", build_request(build_span(trace_id=bytes.fromhex(trace_id))).SerializeToString()),
            ):
                request = urllib.request.Request(f"{server.otlp_url}/v1/{path}", body, {"Content-Type": PROTOBUF})
                with urllib.request.urlopen(request, timeout=90) as answer:
                    assert answer.status == 200
        server.kill()

    server = start_server(tmp_path, wait=False)
    wait_until_accepting(server)
    wait_until(lambda: is_drained(tmp_path / "spool"))
    assert server.stop() == 0

    assert count_stored(tmp_path, "logs", "record_id") == dict.fromkeys(trace_ids, (2, 2))
    assert count_stored(tmp_path) == dict.fromkeys(trace_ids, (1, 1))
