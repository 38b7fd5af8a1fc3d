"""Why an agent handed over, in the words of the call that did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracestore.summarize.runs import a_run, insert, new_trace_id, read_traces, step
from tracestore.clickhouse.client import Store
from tracestore.jobs.summarize import summarize_pending
from tracestore.semconv.signals import HANDOFF_REASONS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.tool.call.arguments": '{"reason": "refund 4711 failed", "priority": "high"}'}, "refund <n> failed"),
        ({"input.value": """{'kwargs': {'reason': 'asked for a person'}}"""}, "asked for a person"),
        ({"gen_ai.tool.call.arguments": '{"input": "{\\"reason\\": \\"angry\\"}"}'}, "angry"),
        ({"tracestore.escalation.reason": "policy", "gen_ai.tool.call.arguments": '{"reason": "x"}'}, "policy"),
        ({"gen_ai.tool.call.arguments": '{"priority": "high"}'}, None),
    ],
)
def test_reason_of_an_escalation_is_kept(store: Store, attributes: dict[str, Any], reason: str | None) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "escalate_to_human"} | attributes
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id), step(trace_id, "3", "1", 3, attributes=tool), step(trace_id, "4", "1", 5, attributes=tool))

    summarize_pending()

    assert read_traces(store, "escalated, escalation_reasons") == [(True, [reason] if reason else [])]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.tool.call.arguments": '{"reason": "invoice 4711 is wrong"}'}, "invoice <n> is wrong"),
        ({"input.value": """{'kwargs': {'reason': 'speaks German'}}"""}, "speaks German"),
        *(({key: "expertise_required"}, "expertise_required") for key in HANDOFF_REASONS),
        ({"gen_ai.tool.call.arguments": '{"message": "Please go on."}'}, None),
    ],
)
def test_reason_of_a_handoff_is_kept_and_is_none_of_an_escalation(
    store: Store, attributes: dict[str, Any], reason: str | None
) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_billing"} | attributes
    trace_id = new_trace_id()
    insert(store, *a_run(trace_id), step(trace_id, "3", "1", 3, attributes=tool), step(trace_id, "4", "1", 5, attributes=tool))

    summarize_pending()

    assert read_traces(store, "handed_over, handoff_reasons, escalation_reasons") == [(True, [reason] if reason else [], [])]
