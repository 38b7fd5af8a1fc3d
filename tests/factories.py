"""The least valid rows, with overrides: what tests put into the store."""

from __future__ import annotations

import time
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.models import Project
from tracestore.queries.previews import Preview, Unpreviewed, write_previews
from tracestore.timerange import NS_PER_S

_counter = 0


def default_project() -> Project:
    """Return the project that every page shows, made as a start of the server makes it."""
    return Project.objects.get_or_create(pk=1, defaults={"slug": "default", "name": "Default"})[0]


def new_trace_id() -> str:
    """Return 32 hex digits that no other call of this process returned."""
    global _counter
    _counter += 1
    return f"{_counter:032x}"


def insert_traces(store: Store, *overrides: dict[str, Any], **common: Any) -> list[str]:
    """Insert one `traces` row per dict of `overrides` (one plain row when none is given) and return their ids.

    Keys are columns of `traces`, with four conveniences: `trace_id` is hex, `start_ns` stands for start_time, `tools` is a
    list of (name, calls, errors), and `preview` is (asked, answered). `common` applies to all rows.
    A trace is one minute old, ok, and took one second.
    """
    wanted = [{**common, **override} for override in overrides or ({},)]
    previews = [values.pop("preview", None) for values in wanted]
    rows = [_trace_row(values) for values in wanted]
    store.insert_columns("traces", {name: [row[name] for row in rows] for name in rows[0]})
    store.insert_columns(
        "trace_index",
        {
            "project_id": [row["project_id"] for row in rows],
            "trace_id": [row["trace_id"] for row in rows],
            "min_start_time": [row["start_time"] for row in rows],
            "max_start_time": [row["start_time"] for row in rows],
        },
    )
    told = [
        (Unpreviewed(row["project_id"], row["trace_id"], row["start_time"], 0, b"", 0), Preview(*preview))
        for row, preview in zip(rows, previews, strict=True)
        if preview
    ]
    if told:
        write_previews(store, told, now_us=time.time_ns() // 1000)
    return [row["trace_id"].hex() for row in rows]


def _trace_row(overrides: dict[str, Any]) -> dict[str, Any]:
    values = dict(overrides)
    now_ns = time.time_ns()
    trace_id = bytes.fromhex(values.pop("trace_id", None) or new_trace_id())
    start_ns = values.pop("start_ns", now_ns - 60 * NS_PER_S)
    tools = values.pop("tools", [])
    row: dict[str, Any] = {
        "project_id": 1,
        "trace_id": trace_id,
        "start_time": start_ns,
        "duration_ns": NS_PER_S,
        "name": "invoke_agent support",
        "service": "support-bot",
        "services": ["support-bot"],
        "outcome": "ok",
        "outcome_rule": "root_ok",
        "has_errors": False,
        "escalated": False,
        "handed_over": False,
        "handoff_reasons": [],
        "escalation_reasons": [],
        "span_count": 3,
        "error_count": 0,
        "orphan_count": 0,
        "root_span_id": b"\x01" * 8,
        "failing_span_id": b"\x00" * 8,
        "error_types": [],
        "error_message": "",
        "error_fingerprint": "",
        "workflows": [],
        "agents": [],
        "versions": [],
        "environment": "",
        "prompts": [],
        "session_id": "",
        "user_id": "",
        "llm_calls": 0,
        "llm_errors": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "reasoning_tokens": 0,
        "cache_creation_1h_input_tokens": 0,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "cost_usd": None,
        "retried_calls": 0,
        "loops": 0,
        "looping_calls": 0,
        "wasted_tokens": 0,
        "wasted_cost_usd": 0.0,
        "supplied_cost_usd": None,
        "compared_cost_usd": None,
        "cost_difference_usd": None,
        "unpriced_models": [],
        "unpriced_calls": 0,
        "tools.name": [name for name, _, _ in tools],
        "tools.calls": [calls for _, calls, _ in tools],
        "tools.errors": [errors for _, _, errors in tools],
        "tools.durations": [[] for _ in tools],
        "models.model": [],
        "models.provider": [],
        "models.calls": [],
        "models.errors": [],
        "models.input_tokens": [],
        "models.output_tokens": [],
        "models.cached_input_tokens": [],
        "models.cost_usd": [],
        "models.durations": [[] for _ in values.get("models.model", [])],
        "models.first_tokens": [[] for _ in values.get("models.model", [])],
        "steps.kind": [],
        "steps.durations": [],
        **dict.fromkeys(
            ("models.supplied_cost_usd", "models.compared_cost_usd", "models.cost_difference_usd"),
            [None] * len(values.get("models.model", [])),
        ),
        "summarized_at": now_ns // 1000,
        "is_deleted": 0,
    }
    unknown = set(values) - set(row)
    if unknown:
        raise ValueError(f"traces has no column {sorted(unknown)}")
    return row | values
