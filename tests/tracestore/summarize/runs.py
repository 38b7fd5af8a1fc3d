"""Runs of an agent as batches of spans, and the traces that became of them."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch

WRITER = "summarize"
START_NS = (time.time_ns() // 60_000_000_000 - 2) * 60_000_000_000  # a whole minute, two to three minutes ago
batch_seqs = itertools.count(1)

AGENT = {"gen_ai.operation.name": "invoke_agent"}
CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10,
}  # fmt: skip


def new_trace_id() -> str:
    return os.urandom(16).hex()


def step(trace_id: str, span_id: str, parent: str = "", offset_s: float = 0, **overrides: Any) -> dict[str, Any]:
    """Return a span one second long; ids of spans are one hex digit."""
    return {
        "trace_id": trace_id, "span_id": span_id * 16, "parent": parent * 16, "start_ns": START_NS + int(offset_s * 10**9),
        "name": f"step {span_id}",
    } | overrides  # fmt: skip


def a_run(trace_id: str) -> list[dict[str, Any]]:
    return [step(trace_id, "1", duration_ns=10 * 10**9, attributes=AGENT), step(trace_id, "2", "1", 1, attributes=CALL)]


def insert(
    store: Store, *spans: dict[str, Any], project_id: int = 1, writer: str = WRITER, batch_seq: int = 0, part: str = ""
) -> int:
    batch_seq = batch_seq or next(batch_seqs)
    insert_batch(store, [(project_id, time.time_ns(), build_request(*spans))], writer=writer, batch_seq=batch_seq, part=part)
    return batch_seq


def read_traces(store: Store, columns: str = "lower(hex(trace_id)), outcome, span_count, input_tokens") -> list[tuple[Any, ...]]:
    return store.query_rows(f"SELECT {columns} FROM traces FINAL ORDER BY project_id, trace_id")
