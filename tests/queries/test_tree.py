"""The steps of a trace without payload, and the search through payloads, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.queries.spans import get_span, get_spans
from tracestore.queries.traces import get_trace
from tracestore.queries.tree import find_ancestors, find_steps, search_steps

A, ROOT, CHAT, TOOL = "a" * 32, "1" * 16, "2" * 16, "3" * 16
CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 10, "gen_ai.input.messages": "the Größe of it",
}  # fmt: skip


def _send_run(send_spans: SendSpans) -> None:
    send_spans(
        {"span_id": ROOT, "name": "invoke_agent triage", "attributes": {"gen_ai.operation.name": "invoke_agent"}},
        {"span_id": CHAT, "parent": ROOT, "name": "chat gpt-4o", "start_ns": T0 + 5, "attributes": CALL},
        {
            "span_id": TOOL, "parent": CHAT, "name": "refund", "start_ns": T0 + 7, "error": True,
            "attributes": {"gen_ai.tool.name": "refund", "error.type": "Timeout", "gen_ai.operation.name": "execute_tool"},
            "events": [("exception", {"exception.stacktrace": "File pay.py, line 7"})],
        },
    )  # fmt: skip


def test_steps_say_what_the_spans_say(store: Store, send_spans: SendSpans) -> None:
    _send_run(send_spans)

    steps = find_steps(store, project_id=1, trace_id=A, limit=10)

    spans = get_trace(store, project_id=1, trace_id=A).spans
    assert [step.span_id for step in steps] == [ROOT, CHAT, TOOL]
    for step, span in zip(steps, spans, strict=True):
        assert step.model == (span.response_model or span.request_model)
        for name in set(step._fields) - {"model", "handoff_to"}:
            assert getattr(step, name) == getattr(span, name), name
    assert steps[1].cost_usd is not None
    assert steps[2].error_type == "Timeout"


def test_step_through_a_profile_of_bedrock_costs_the_same_in_the_list_and_alone(store: Store, send_spans: SendSpans) -> None:
    """A profile that runs anywhere is cheaper than the region that the answer's name stands for."""
    asked, answered = "global.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"
    profile = {"gen_ai.provider.name": "aws.bedrock", "gen_ai.request.model": asked, "gen_ai.response.model": answered}
    send_spans({"span_id": CHAT, "name": "chat", "attributes": CALL | profile})

    (step,) = find_steps(store, project_id=1, trace_id=A, limit=10)

    alone = get_span(store, project_id=1, trace_id=A, span_id=CHAT).summary
    assert step.cost_usd == pytest.approx(alone.cost_usd)


def test_step_that_was_sent_twice_is_there_once(store: Store, send_spans: SendSpans) -> None:
    send_spans({"span_id": ROOT, "name": "first"}, received_ns=T0)
    send_spans({"span_id": ROOT, "name": "again"}, received_ns=T0 + 1)

    assert [step.name for step in find_steps(store, project_id=1, trace_id=A, limit=10)] == ["again"]


def test_no_more_steps_than_asked_for(store: Store, send_spans: SendSpans) -> None:
    _send_run(send_spans)

    assert [step.span_id for step in find_steps(store, project_id=1, trace_id=A, limit=2)] == [ROOT, CHAT]


def test_ancestors_are_the_nearest_outermost_first(store: Store, send_spans: SendSpans) -> None:
    _send_run(send_spans)

    above = [(ROOT, "invoke_agent triage"), (CHAT, "chat gpt-4o")]
    assert find_ancestors(store, project_id=1, trace_id=A, span_id=TOOL, limit=3) == above
    assert find_ancestors(store, project_id=1, trace_id=A, span_id=TOOL, limit=1) == above[1:]
    assert find_ancestors(store, project_id=1, trace_id=A, span_id=ROOT, limit=3) == []


def test_ancestors_in_a_ring_end(store: Store, send_spans: SendSpans) -> None:
    send_spans({"span_id": ROOT, "parent": CHAT, "name": "one"}, {"span_id": CHAT, "parent": ROOT, "name": "other"})

    assert find_ancestors(store, project_id=1, trace_id=A, span_id=ROOT, limit=9) == [(CHAT, "other")]


def test_text_is_found_anywhere_in_a_step(store: Store, send_spans: SendSpans) -> None:
    expected = {
        "TRIAGE": [ROOT],
        "größe": [CHAT],
        "pay.py": [TOOL],
        "error.type": [TOOL],
        "timeout": [TOOL],
        "%": [],
        "' OR 1 = 1 --": [],
    }
    _send_run(send_spans)

    assert {text: search_steps(store, project_id=1, trace_id=A, text=text, limit=10) for text in expected} == expected


def test_search_stays_within_its_project_and_limit(store: Store, send_spans: SendSpans) -> None:
    _send_run(send_spans)

    assert len(search_steps(store, project_id=1, trace_id=A, text="e", limit=2)) == 2
    with pytest.raises(TraceNotFound):
        search_steps(store, project_id=2, trace_id=A, text="e", limit=2)


def test_whole_spans_are_read_in_the_order_asked_for(store: Store, send_spans: SendSpans) -> None:
    _send_run(send_spans)

    spans = get_spans(store, project_id=1, trace_id=A, span_ids=[TOOL, "f" * 16, ROOT])

    assert spans == [get_span(store, project_id=1, trace_id=A, span_id=span_id) for span_id in (TOOL, ROOT)]


def test_step_says_whom_it_hands_over_to(store: Store, send_spans: SendSpans) -> None:
    called = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_agent"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("route", {"gen_ai.handoff.to_agent": "Billing agent"}),
        ("route", {"langgraph.command.goto_nodes": '["Billing agent", "other"]'}),
        ("route", {"langgraph.command.goto_nodes": ["Billing agent", "other"]}),
        ("pass on", called | {"gen_ai.tool.call.arguments": '{"agent_name": "Billing agent"}'}),
        ("pass on", called | {"gen_ai.tool.name": "Delegate work to coworker", "input.value": '{"coworker": "Billing agent"}'}),
        (
            "pass on",
            called
            | {"gen_ai.tool.name": "delegate_task_to_member", "input.value": '{"member_id": "Billing agent", "task": "x"}'},
        ),
        ("handoff to Billing agent", {}),
    ]
    send_spans(
        {"span_id": ROOT, "name": "invoke_agent triage", "attributes": {"gen_ai.operation.name": "invoke_agent"}},
        *(
            {"span_id": f"{place:016x}", "parent": ROOT, "start_ns": T0 + place, "name": name, "attributes": attributes}
            for place, (name, attributes) in enumerate(steps, start=1)
        ),
    )

    first, *others = find_steps(store, project_id=1, trace_id=A, limit=10)

    assert first.handoff_to == ""
    found = [(step.handoff_to, said) for step, said in zip(others, steps, strict=True)]
    assert found == [("Billing agent", said) for said in steps]
