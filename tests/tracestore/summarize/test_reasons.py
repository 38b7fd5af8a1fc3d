"""Why an agent handed over, in the words of the call that did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracestore.summarize.runs import a_run, insert, new_trace_id, step
from tracestore.clickhouse.client import Store
from tracestore.jobs.summarize import summarize_pending
from tracestore.semconv.signals import HANDOFF_REASONS

pytestmark = pytest.mark.django_db

Case = tuple[dict[str, Any], str | None]  # what the call has, and the reason


def _summarize_runs(store: Store, tool: str, cases: list[Case], columns: str) -> list[tuple[Any, ...]]:
    """Store a run with two calls of the tool for each case, and return the columns of their traces in the order of the cases."""
    called = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    runs = {new_trace_id(): called | attributes for attributes, _ in cases}
    spans: list[dict[str, Any]] = []
    for trace_id, attributes in runs.items():
        calls = (step(trace_id, span_id, "1", at_s, attributes=attributes) for span_id, at_s in (("3", 3), ("4", 5)))
        spans += [*a_run(trace_id), *calls]
    insert(store, *spans)

    summarize_pending()

    rows = {row[0]: row[1:] for row in store.query_rows(f"SELECT lower(hex(trace_id)), {columns} FROM traces FINAL")}
    return [rows[trace_id] for trace_id in runs]


def test_reason_of_an_escalation_is_kept(store: Store) -> None:
    cases: list[Case] = [
        ({"gen_ai.tool.call.arguments": '{"reason": "refund 4711 failed", "priority": "high"}'}, "refund <n> failed"),
        ({"input.value": """{'kwargs': {'reason': 'asked for a person'}}"""}, "asked for a person"),
        ({"gen_ai.tool.call.arguments": '{"input": "{\\"reason\\": \\"angry\\"}"}'}, "angry"),
        ({"tracestore.escalation.reason": "policy", "gen_ai.tool.call.arguments": '{"reason": "x"}'}, "policy"),
        ({"gen_ai.tool.call.arguments": '{"priority": "high"}'}, None),
    ]

    found = _summarize_runs(store, "escalate_to_human", cases, "escalated, escalation_reasons")

    assert found == [(True, [reason] if reason else []) for _, reason in cases]


def test_reason_of_a_handoff_is_kept_and_is_none_of_an_escalation(store: Store) -> None:
    cases: list[Case] = [
        ({"gen_ai.tool.call.arguments": '{"reason": "invoice 4711 is wrong"}'}, "invoice <n> is wrong"),
        ({"input.value": """{'kwargs': {'reason': 'speaks German'}}"""}, "speaks German"),
        *(({key: "expertise_required"}, "expertise_required") for key in HANDOFF_REASONS),
        ({"gen_ai.tool.call.arguments": '{"message": "Please go on."}'}, None),
    ]

    found = _summarize_runs(store, "transfer_to_billing", cases, "handed_over, handoff_reasons, escalation_reasons")

    assert found == [(True, [reason] if reason else [], []) for _, reason in cases]
