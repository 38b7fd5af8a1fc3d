"""Receivers that take a connection and never answer hold up their own messages, nothing else; a restart brings them there."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.alerts.receivers import WebhookReceiver, receive_webhooks
from tests.live import LiveServer, start_server
from tests.waiting import wait_until

CHANNELS = 24


@pytest.fixture
def monitor() -> Iterator[WebhookReceiver]:
    with receive_webhooks() as monitor:
        yield monitor


@pytest.fixture
def server(tmp_path: Path, monitor: WebhookReceiver) -> Iterator[LiveServer]:
    server = start_server(tmp_path / "data", TRACESTORE_ALERT_INTERVAL_S="1", TRACESTORE_HEARTBEAT_URL=monitor.url)
    yield server
    server.kill()


@pytest.fixture
def black_hole() -> Iterator[socket.socket]:
    """Connections wait in the kernel's queue, accepted by nobody until a test does."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.settimeout(150)
        yield listener


def send_span(server: LiveServer, service: str) -> None:
    now_ns = time.time_ns()
    span: Any = {
        "traceId": f"{now_ns:032x}", "spanId": f"{now_ns:016x}", "name": "run", "kind": 1,
        "startTimeUnixNano": str(now_ns), "endTimeUnixNano": str(now_ns),
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    body: Any = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    requests.post(server.otlp_url + "/v1/traces", json=body, timeout=60).raise_for_status()


def find_traces(server: LiveServer, service: str) -> list[Any]:
    answer = requests.get(server.url + "/api/v1/traces", params={"q": f"service:{service}"}, timeout=60)
    traces: list[Any] = answer.json()["results"]
    return traces


def create_channel(server: LiveServer, name: str, target: str) -> None:
    session = requests.Session()
    page = session.get(server.url + "/alerts/channels/new", timeout=60)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "name": name, "kind": "webhook", "target": target}
    answer = session.post(page.url, data=form, headers={"Referer": page.url}, timeout=60, allow_redirects=False)
    assert "whsec_" in answer.text, answer.text  # the page that shows the secret of a new webhook


def accept_messages(listener: socket.socket, paths: set[str]) -> None:
    """Answer 204 to every request until all these paths had one. Attempts that were given up meanwhile have hung up."""
    deadline = time.monotonic() + 200
    while paths and time.monotonic() < deadline:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            request = connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            if request:
                paths.discard(request.split()[1].decode())


@pytest.mark.timeout(900)
def test_spans_are_found_while_every_channel_hangs_and_a_restart_delivers(
    server: LiveServer, black_hole: socket.socket, monitor: WebhookReceiver
) -> None:
    names = [f"hanging {number}" for number in range(CHANNELS)]
    for name in names:
        create_channel(server, name, f"http://127.0.0.1:{black_hole.getsockname()[1]}/{name.split()[-1]}")
    rule: Any = {"name": "Any trace", "metric": "requests", "threshold": 0, "channels": names}
    requests.post(server.url + "/api/v1/alert-rules", json=rule, timeout=60).raise_for_status()
    send_span(server, "first")
    hanging = [black_hole.accept()[0] for _ in range(2)]  # as many as the worker has threads for the other jobs

    send_span(server, "second")

    # As many attempts of ten seconds each would take two threads two minutes.
    assert wait_until(lambda: find_traces(server, "second"), timeout_s=100)
    assert wait_until(lambda: monitor.paths, timeout_s=200)  # a channel that hangs is no reason to be silent
    server.kill()
    for connection in hanging:
        connection.close()
    restarted = start_server(server.data)
    waiting = {f"/{name.split()[-1]}" for name in names}
    try:
        accept_messages(black_hole, waiting)
    finally:
        restarted.kill()
    assert waiting == set()
