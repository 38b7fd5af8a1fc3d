"""Tools that stand only in the answers of models: SDKs instrumented alone, and loops written by hand."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Any

import pytest

from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.summarize import summarize_pending

pytestmark = pytest.mark.django_db

_batch_seqs = itertools.count(1)
START_NS = (time.time_ns() // 60_000_000_000 - 2) * 60_000_000_000
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 100}
OPENAI_CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "refund", "arguments": '{"order": 7}'}},
    {"id": "call_2", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},
]
SEARCH = {"id": "call_3", "type": "function", "function": {"name": "search", "arguments": "{}"}}

# What senders write of one answer that asks for the tools refund and lookup.
ANSWERS: dict[str, dict[str, Any]] = {
    "OpenTelemetry": {
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [
                {"arguments": {"order": 7}, "name": "refund", "id": "call_1", "type": "tool_call"},
                {"type": "tool_call", "id": "call_2", "name": "lookup", "arguments": {}},
            ]}]
        )
    },
    "OpenLLMetry": {
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.tool_calls.0.id": "call_1",
        "gen_ai.completion.0.tool_calls.0.name": "refund",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"order": 7}',
        "gen_ai.completion.0.tool_calls.1.id": "call_2",
        "gen_ai.completion.0.tool_calls.1.name": "lookup",
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "refund",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"order": 7}',
        "llm.output_messages.0.message.tool_calls.1.tool_call.id": "call_2",
        "llm.output_messages.0.message.tool_calls.1.tool_call.function.name": "lookup",
        # The same answer once more, as the provider sent it.
        "output.value": json.dumps({"choices": [{"message": {"role": "assistant", "tool_calls": OPENAI_CALLS}}]}),
    },
    "Anthropic's own message": {
        "output.value": json.dumps(
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"id": "toolu_1", "input": {"order": 7}, "name": "refund", "type": "tool_use"},
                {"id": "toolu_2", "input": {}, "name": "lookup", "type": "tool_use"},
            ]}
        )
    },
    "Gemini's candidates": {
        "gcp.vertex.agent.llm_response": json.dumps(
            {"content": {"role": "model", "parts": [
                {"functionCall": {"name": "refund", "args": {"order": 7}}}, {"functionCall": {"name": "lookup", "args": {}}},
            ]}}
        )
    },
    "Vercel AI SDK": {
        "ai.response.text": "",
        "ai.response.toolCalls": json.dumps(
            [{"toolCallId": "1", "toolName": "refund", "input": {"order": 7}}, {"toolCallId": "2", "toolName": "lookup"}]
        ),
    },
    "Langfuse": {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": OPENAI_CALLS})},
}  # fmt: skip


def call(trace_id: str, span_id: str, attributes: dict[str, Any], *, offset_s: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "trace_id": trace_id, "span_id": span_id * 16, "parent": "", "start_ns": START_NS + offset_s * 10**9,
        "name": "chat gpt-4o", "attributes": CHAT | attributes,
    } | more  # fmt: skip


def summarize(store: Store, *spans: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of the tools of the one trace that these spans are."""
    insert_batch(store, [(1, time.time_ns(), build_request(*spans))], writer="requests", batch_seq=next(_batch_seqs))
    summarize_pending()
    columns = ("tools.name", "tools.calls", "tools.errors", "tools.durations", "escalated", "escalation_reasons", "handed_over",
               "handoff_reasons")  # fmt: skip
    (row,) = store.query_rows(f"SELECT {', '.join(f'`{name}`' for name in columns)} FROM traces FINAL")
    told = dict(zip(columns, row, strict=True))
    told["tools"] = sorted(zip(told["tools.name"], told["tools.calls"], told["tools.errors"], strict=True))
    return told


@pytest.mark.parametrize("sender", ANSWERS)
def test_tools_that_only_an_answer_asks_for_are_those_of_the_trace(store: Store, sender: str) -> None:
    told = summarize(store, call(os.urandom(16).hex(), "1", ANSWERS[sender]))

    assert told["tools"] == [("lookup", 0, 0), ("refund", 0, 0)]
    assert told["tools.durations"] == [[], []]  # nobody says how long they took


def test_tools_of_several_answers_stand_once_each(store: Store) -> None:
    trace_id = os.urandom(16).hex()
    other = {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": [OPENAI_CALLS[0], SEARCH]})}

    told = summarize(
        store,
        call(trace_id, "1", ANSWERS["Langfuse"]),
        call(trace_id, "2", other, offset_s=2),
        call(trace_id, "3", ANSWERS["OpenLLMetry"], offset_s=4),
    )

    assert told["tools"] == [("lookup", 0, 0), ("refund", 0, 0), ("search", 0, 0)]


def test_events_of_a_call_ask_for_tools_too(store: Store) -> None:
    choice = {"index": 0, "message": json.dumps({"role": "assistant", "tool_calls": OPENAI_CALLS})}

    told = summarize(store, call(os.urandom(16).hex(), "1", {}, events=[("gen_ai.choice", choice)]))

    assert told["tools"] == [("lookup", 0, 0), ("refund", 0, 0)]


def test_where_a_span_tells_of_a_tool_answers_are_not_asked(store: Store) -> None:
    trace_id = os.urandom(16).hex()
    tool = call(trace_id, "2", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}, offset_s=2)

    told = summarize(store, call(trace_id, "1", ANSWERS["OpenTelemetry"]), tool)

    assert told["tools"] == [("refund", 1, 0)]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "no tool_call"}]}])},
        {"gen_ai.input.messages": ANSWERS["OpenTelemetry"]["gen_ai.output.messages"]},
        {"output.value": '{"tool_calls": [[[{"function": 7}]], null, {"name": {"a": 1}}]'},
        {"gen_ai.output.messages": "tool_call" * 10_000},
    ],
    ids=["talks of calls", "said before", "broken", "long"],
)
def test_what_asks_for_nothing_is_no_tool(store: Store, attributes: dict[str, Any]) -> None:
    assert summarize(store, call(os.urandom(16).hex(), "1", attributes))["tools"] == []


@pytest.mark.parametrize(
    ("tool", "escalates"), [("escalate_to_human", True), ("transfer_to_billing", False), ("transfer_to_human", True)]
)
def test_asked_for_tools_that_hand_over_do(store: Store, tool: str, escalates: bool) -> None:
    asked = [{"id": "1", "type": "function", "function": {"name": tool, "arguments": '{"reason": "refund above limit"}'}}]

    answer = {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": asked})}

    told = summarize(store, call(os.urandom(16).hex(), "1", answer))

    assert (told["escalated"], told["handed_over"]) == (escalates, not escalates)
    assert told["escalation_reasons" if escalates else "handoff_reasons"] == ["refund above limit"]


@pytest.mark.parametrize(("tool", "hands_over"), [("transfer_to_billing_agent", True), ("lookup", False)])
def test_hand_off_that_an_answer_alone_tells_of_counts_where_another_agent_goes_on(
    store: Store, tool: str, hands_over: bool
) -> None:
    # OpenAI's Agents SDK, as opentelemetry-instrumentation-genai-openai-agents 1.3b0 sends it.
    trace_id = os.urandom(16).hex()
    part = {"type": "tool_call", "id": "call_1", "name": tool, "arguments": {"reason": "refund above limit"}}
    answer = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [part], "finish_reason": "tool_call"}])}
    refund = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}

    def agent(span_id: str, name: str, offset_s: int) -> dict[str, Any]:
        invoked = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, "gen_ai.usage.input_tokens": 0}
        return call(trace_id, span_id, invoked, offset_s=offset_s, parent="1" * 16, name=f"invoke_agent {name}")

    told = summarize(
        store,
        call(trace_id, "1", {"gen_ai.operation.name": "invoke_workflow"}, name="invoke_workflow shop"),
        agent("2", "support_agent", 1),
        call(trace_id, "3", answer, offset_s=2, parent="2" * 16),
        agent("4", "billing_agent", 3),
        call(trace_id, "5", refund, offset_s=4, parent="4" * 16, name="execute_tool refund"),
    )

    assert told["handed_over"] is hands_over
    assert told["handoff_reasons"] == ["refund above limit"] * hands_over
    assert told["tools"] == [("refund", 1, 0)]
