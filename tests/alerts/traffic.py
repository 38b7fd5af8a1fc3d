"""An agent's runs as OTLP/JSON, sent over HTTP as an exporter would."""

from __future__ import annotations

import json
import secrets
import urllib.request
from typing import Any

from tracestore.timerange import NS_PER_S


def send_runs(otlp_url: str, *, start_ns: int, count: int, version: str, tool: str, error_type: str = "") -> list[str]:
    """Send `count` runs of an agent that each call one tool, which fails if `error_type` is given; return the trace ids."""
    trace_ids = [secrets.token_hex(16) for _ in range(count)]
    spans = [span for trace_id in trace_ids for span in _run(trace_id, start_ns, version, tool, error_type)]
    resource = {"attributes": _attributes({"service.name": "support-bot", "service.version": version})}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "demo"}, "spans": spans}]}]}
    request = urllib.request.Request(
        otlp_url + "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=90) as response:
        assert response.status == 200
    return trace_ids


def _run(trace_id: str, start_ns: int, version: str, tool: str, error_type: str) -> list[dict[str, Any]]:
    root_id = secrets.token_hex(8)
    status = {"code": 2, "message": f"{tool} service timed out"} if error_type else {"code": 1}
    failure = {"error.type": error_type} if error_type else {}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support", "gen_ai.agent.version": version}
    call = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    return [
        {
            "traceId": trace_id, "spanId": root_id, "name": "invoke_agent support", "kind": 1, "status": status,
            "startTimeUnixNano": str(start_ns), "endTimeUnixNano": str(start_ns + 2 * NS_PER_S),
            "attributes": _attributes(agent | failure),
        },
        {
            "traceId": trace_id, "spanId": secrets.token_hex(8), "parentSpanId": root_id, "kind": 1,
            "name": f"execute_tool {tool}", "status": status,
            "startTimeUnixNano": str(start_ns + NS_PER_S // 2), "endTimeUnixNano": str(start_ns + NS_PER_S),
            "attributes": _attributes(call | failure),
        },
    ]  # fmt: skip


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
