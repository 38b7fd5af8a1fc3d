"""Runs of an invented support agent, sent over OTLP/HTTP as an exporter would."""

from __future__ import annotations

import time
import urllib.request
from typing import Any
from uuid import uuid4

from tests.spans import build_request

NS_PER_S = 1_000_000_000


def send_run(
    url: str,
    *,
    name: str = "support",
    version: str = "v1",
    tool: str = "search_orders",
    error: str = "",
    error_type: str = "TimeoutError",
    age_s: float = 60,
    attributes: dict[str, Any] | None = None,
) -> str:
    """Send one run, an agent span with one tool call below it that fails with `error` if given; return its trace id."""
    trace_id, root, call = uuid4().hex, uuid4().hex[:16], uuid4().hex[:16]
    start_ns = time.time_ns() - int(age_s * NS_PER_S)
    failure: dict[str, Any] = {"error": error} if error else {}
    failed = {"error.type": error_type} if error else {}
    body = build_request(
        {
            "trace_id": trace_id,
            "span_id": root,
            "name": f"invoke_agent {name}",
            "start_ns": start_ns,
            "duration_ns": 2 * NS_PER_S,
            "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **failed, **(attributes or {})},
            **failure,
        },
        {
            "trace_id": trace_id,
            "span_id": call,
            "parent": root,
            "name": f"execute_tool {tool}",
            "start_ns": start_ns + NS_PER_S // 2,
            "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, **failed},
            **failure,
        },
        resource={"service.version": version},
    )
    request = urllib.request.Request(f"{url}/v1/traces", data=body, headers={"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    return trace_id
