"""Runs of an agent with their steps, stored and summarised as they would be."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.timerange import NS_PER_S


@dataclass
class Step:
    """One call: `kind` is tool or llm, `inside` what runs while it lasts, one after the other.

    `at_s` is its start within the one around; without, it begins when the step before it has ended.
    """

    kind: str
    name: str
    seconds: float
    inside: Sequence[Step] = ()
    at_s: float | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def tool(name: str, seconds: float, *inside: Step, **more: Any) -> Step:
    return Step("tool", name, seconds, inside, **more)


def llm(name: str, seconds: float, **more: Any) -> Step:
    return Step("llm", name, seconds, **more)


def send_runs(store: Store, start_ns: int, *runs: Sequence[Step], version: str = "v1") -> list[str]:
    """Store one trace for each run, an agent's span around its steps, and return their ids."""
    trace_ids = [secrets.token_hex(16) for _ in runs]
    spans = [span for trace_id, steps in zip(trace_ids, runs, strict=True) for span in _spans(trace_id, start_ns, steps)]
    resource = {"service.version": version}
    insert_batch(store, [(1, start_ns, build_request(*spans, resource=resource))], writer=secrets.token_hex(4), batch_seq=1)
    summarize_pending()
    return trace_ids


def _spans(trace_id: str, start_ns: int, steps: Sequence[Step]) -> list[dict[str, Any]]:
    root = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
    inner, end_ns = _lay_out(trace_id, "11" * 8, start_ns, steps)
    outer = {"span_id": "11" * 8, "name": "invoke_agent support", "start_ns": start_ns, "attributes": root}
    return [{"trace_id": trace_id, "duration_ns": end_ns - start_ns, **outer}, *inner]


def _lay_out(trace_id: str, parent: str, start_ns: int, steps: Sequence[Step]) -> tuple[list[dict[str, Any]], int]:
    spans: list[dict[str, Any]] = []
    now_ns = end_ns = start_ns
    for step in steps:
        begin_ns = now_ns if step.at_s is None else start_ns + int(step.at_s * NS_PER_S)
        now_ns = begin_ns + int(step.seconds * NS_PER_S)
        end_ns = max(end_ns, now_ns)
        span_id = secrets.token_hex(8)
        spans.append({
            "trace_id": trace_id, "span_id": span_id, "parent": parent, "name": step.name, "start_ns": begin_ns,
            "duration_ns": now_ns - begin_ns, "attributes": _attributes(step),
        })  # fmt: skip
        spans += _lay_out(trace_id, span_id, begin_ns, step.inside)[0]
    return spans, end_ns


def _attributes(step: Step) -> dict[str, Any]:
    if step.kind == "llm":
        return {"gen_ai.operation.name": "chat", "gen_ai.request.model": step.name, "gen_ai.provider.name": "openai"}
    if step.kind == "tool":
        arguments = {"gen_ai.tool.call.arguments": json.dumps(step.arguments)}
        return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": step.name} | arguments
    return {}
