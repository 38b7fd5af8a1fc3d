"""Tools that stand only in the answers of models: SDKs instrumented alone, and loops written by hand."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Any

import pytest

from tests.factories import default_project
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.models import MappingRule
from tracestore.queries import tool_requests
from tracestore.summary import requests

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
    "OpenLIT's older versions": {
        "gen_ai.response.tool_calls": json.dumps(OPENAI_CALLS),
    },
    "OpenLIT without content": {
        "gen_ai.tool.name": "refund, lookup",
        "gen_ai.tool.call.id": "call_1, call_2",
        "gen_ai.tool.args": '{"order": 7}, {}',
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


def test_what_events_say_at_length_is_left_alone(store: Store) -> None:
    """A details event holds what went into the call beside what came out."""
    details = {
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": "tool_call " * 7_000}]),
        "gen_ai.output.messages": ANSWERS["OpenTelemetry"]["gen_ai.output.messages"],
    }
    long = {"message": json.dumps({"role": "assistant", "content": "x" * 70_000, "tool_calls": [SEARCH]})}
    trace_id = os.urandom(16).hex()

    told = summarize(
        store,
        call(trace_id, "1", {}, events=[("gen_ai.client.inference.operation.details", details)]),
        call(trace_id, "2", {}, offset_s=2, events=[("gen_ai.choice", long)]),
    )

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
        {f"llm.output_messages.{number}.message.content": "x" * 50_000 for number in range(3)} | ANSWERS["OpenInference"],
    ],
    ids=["talks of calls", "said before", "broken", "long", "long in all"],
)
def test_what_asks_for_nothing_is_no_tool(store: Store, attributes: dict[str, Any]) -> None:
    assert summarize(store, call(os.urandom(16).hex(), "1", attributes))["tools"] == []


# What no reader may end at: one such answer would keep the traces of all projects from their summaries.
HOSTILE = {
    "half a surrogate pair": {
        "langfuse.observation.output": r'{"role": "assistant", "tool_calls": [{"function": {"name": "transfer_to_\ud800", '
        r'"arguments": {"reason": "\udc00"}}}]}'
    },
    "keys that are tuples": {
        "langfuse.observation.output": "{'role': 'assistant', 'tool_calls': [{'name': 'x', 'arguments': {(1, 2): 3}}]}"
    },
    "a number of thousands of digits": {
        "langfuse.observation.output": "{'role': 'assistant', 'tool_calls': [{'name': 0x" + "f" * 20_000 + "}]}"
    },
    "names of events that are lists": {"events": '[{"event.name": ["gen_ai.choice"], "tool_calls": []}]'},
    "a thousand levels": {"langfuse.observation.output": '{"tool_call": ' * 3_000 + "1" + "}" * 3_000},
}


@pytest.mark.parametrize("sent", HOSTILE)
def test_no_answer_keeps_traces_from_their_summary(store: Store, sent: str) -> None:
    other = call(os.urandom(16).hex(), "2", ANSWERS["Langfuse"])
    insert_batch(
        store, [(1, time.time_ns(), build_request(call(os.urandom(16).hex(), "1", HOSTILE[sent]), other))],
        writer="requests", batch_seq=next(_batch_seqs),
    )  # fmt: skip

    assert summarize_pending() == 2


@pytest.mark.parametrize(
    ("tool", "escalates"), [("escalate_to_human", True), ("transfer_to_billing", False), ("transfer_to_human", True)]
)
def test_asked_for_tools_that_hand_over_do(store: Store, tool: str, escalates: bool) -> None:
    asked = [{"id": "1", "type": "function", "function": {"name": tool, "arguments": '{"reason": "refund above limit"}'}}]

    answer = {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": asked})}

    told = summarize(store, call(os.urandom(16).hex(), "1", answer))

    assert (told["escalated"], told["handed_over"]) == (escalates, not escalates)
    assert told["escalation_reasons" if escalates else "handoff_reasons"] == ["refund above limit"]


@pytest.mark.parametrize(
    ("signal", "escalated", "handed_over"),
    [("human_escalation", True, False), ("agent_handoff", False, True), ("human_wait", False, False)],
)
def test_rule_about_a_tool_holds_where_only_an_answer_names_it(
    store: Store, signal: str, escalated: bool, handed_over: bool
) -> None:
    default_project()
    MappingRule.objects.create(project_id=1, source="tool", pattern="page_*", target="signal", value=signal)
    MappingRule.objects.create(project_id=1, source="tool", pattern="*", target="signal", value="human_escalation", position=9)
    MappingRule.objects.create(project_id=1, source="name", pattern="x", target="signal", value="human_escalation")
    asked = [{"id": "1", "type": "function", "function": {"name": "page_duty", "arguments": '{"reason": "refund above limit"}'}}]
    answer = {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": asked})}

    told = summarize(store, call(os.urandom(16).hex(), "1", answer))

    assert (told["escalated"], told["handed_over"]) == (escalated, handed_over)
    assert told["escalation_reasons"] + told["handoff_reasons"] == ["refund above limit"] * (escalated or handed_over)


def test_trace_whose_answers_cannot_be_read_has_a_summary_without_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read, trace_id = Store.query_rows, os.urandom(16).hex()

    def refuse(self: Store, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        ids = str(params.get("span_ids", ""))
        if sql == tool_requests._REQUESTS_OF_SPANS and (len(ids) > 48 or "2" * 16 in ids):
            raise QueryTooExpensive("too much")
        return read(self, sql, **params)

    monkeypatch.setattr(Store, "query_rows", refuse)
    told = summarize(
        store,
        call(trace_id, "1", {"langfuse.observation.output": json.dumps({"role": "assistant", "tool_calls": [SEARCH]})}),
        call(trace_id, "2", ANSWERS["Langfuse"], offset_s=2),
        call(trace_id, "3", {}, offset_s=4),
    )

    assert told["tools"] == [("search", 0, 0)]


def test_calls_beyond_the_first_of_a_trace_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_MAX_CALLS", 2)
    trace_id = os.urandom(16).hex()

    told = summarize(
        store,
        *(call(trace_id, str(number), {}, offset_s=number) for number in (1, 2)),
        call(trace_id, "3", ANSWERS["Langfuse"], offset_s=4),
    )

    assert told["tools"] == []


def test_answers_that_take_long_do_not_hold_up_summaries(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_MOST_S", 0.0)

    assert summarize(store, call(os.urandom(16).hex(), "1", ANSWERS["Langfuse"]))["tools"] == []


@pytest.mark.parametrize(("words", "tools"), [(100, [("lookup", 0, 0), ("refund", 0, 0)]), (3000, [])])
def test_long_reprs_are_left_to_who_opens_the_step(store: Store, words: int, tools: list[tuple[str, int, int]]) -> None:
    answer = repr([{"role": "assistant", "content": "word " * words, "tool_calls": OPENAI_CALLS}])

    assert summarize(store, call(os.urandom(16).hex(), "1", {"output.value": answer}))["tools"] == tools


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
