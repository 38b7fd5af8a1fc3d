"""Every command of docs/api.md works as printed, against a running instance, and its tables are complete."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import ROOT, LiveServer, start_server
from tracestore.queries.facets import FACET_NAMES
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS

DOCS = (ROOT / "docs" / "api.md").read_text()
COMMANDS = re.findall(r"^ {4}(curl .+)$", DOCS, re.MULTILINE)
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def documented_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running instance that holds the trace which the examples name."""
    server = start_server(tmp_path_factory.mktemp("documented"))
    try:
        _send_trace(server)
        yield server
    finally:
        server.stop()


def _send_trace(server: LiveServer) -> None:
    now_ns = time.time_ns()
    span = {
        "traceId": TRACE_ID, "spanId": SPAN_ID, "name": "execute_tool refund", "kind": 1,
        "startTimeUnixNano": str(now_ns - 2_000_000_000), "endTimeUnixNano": str(now_ns - 1_000_000_000),
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}},
            {"key": "gen_ai.tool.name", "value": {"stringValue": "refund"}},
            {"key": "score", "value": {"doubleValue": "NaN"}},
        ],
        "status": {"code": 2, "message": "limit"},
    }  # fmt: skip
    body = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "docs"}, "spans": [span]}]}]}
    request = urllib.request.Request(f"{server.url}/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 200
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(trace["trace_id"] == TRACE_ID for trace in run_curl(f"curl {server.url}/api/v1/traces")["results"]):
            return
        time.sleep(0.2)
    raise AssertionError("the trace did not arrive")


def run_curl(command: str) -> Any:
    result = subprocess.run(["bash", "-c", f"{command} -sS --fail-with-body"], capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command_works(documented_server: LiveServer, command: str) -> None:
    answer = run_curl(command.replace("http://localhost:8000", documented_server.url))

    assert "results" in answer or "edges" in answer or answer["trace_id"] == TRACE_ID


def test_span_shows_attributes_that_json_cannot_hold_as_text(documented_server: LiveServer) -> None:
    span = run_curl(f"curl {documented_server.url}/api/v1/traces/{TRACE_ID}/spans/{SPAN_ID}")

    assert span["attributes"]["score"] == "NaN"
    assert span["tool"] == "refund"


def test_every_field_that_can_be_counted_is_documented() -> None:
    section = DOCS.split("## Facets")[1].split("## ")[0]

    assert all(f"`{name}`" in section for name in FACET_NAMES)


def test_every_metric_and_grouping_is_documented() -> None:
    assert all(f"| `{metric.name}` | {metric.unit} | {metric.help} |" in DOCS for metric in METRICS.values())
    assert all(f"`{name}`" in DOCS for name in GROUPINGS)
