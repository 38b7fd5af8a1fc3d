"""One small literal example per dialect, then what nobody should send."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from dashboards.trace.content import find_text, read_content
from dashboards.trace.message_cards import lay_out
from tests.spans import make_span
from tracestore.content.messages import read_messages
from tracestore.content.payload_readers import Payload, unflatten

Turns = list[tuple[str, str, str]]


def _turns(payload: Payload | None) -> Turns:
    """(role, kind of part, text) per part; tool calls as name(arguments)."""
    assert payload is not None
    return [
        (message.role, part.kind, f"{part.name}({part.text})" if part.kind == "tool_call" else part.text)
        for message in payload.messages
        for part in message.parts
    ]


def _langchain(name: str, text: str) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", name], "kwargs": {"content": text}}


ASK: Turns = [("user", "text", "Where is it?")]
ANSWER: Turns = [("assistant", "text", "On its way.")]
CHAT = [{"role": "user", "content": "Where is it?"}]
REPLY = {"role": "assistant", "content": "On its way."}
PARTS_IN = [{"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]}]
PARTS_OUT = [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}], "finish_reason": "stop"}]


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param(
            {"gen_ai.input.messages": json.dumps(PARTS_IN), "gen_ai.output.messages": json.dumps(PARTS_OUT)}, id="gen_ai messages"
        ),
        pytest.param({"gen_ai.input.messages": PARTS_IN, "gen_ai.output.messages": PARTS_OUT}, id="gen_ai messages, structured"),
        pytest.param(
            {
                "events": json.dumps([{"event.name": "gen_ai.user.message", "role": "user", "content": "Where is it?"}]),
                "response": json.dumps(
                    {
                        "id": "resp_1",
                        "output": [
                            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "On its way."}]}
                        ],
                    }
                ),
            },
            id="OpenAI Agents SDK by Logfire",
        ),
        pytest.param(
            {
                "traceloop.entity.input": json.dumps(
                    {"input": [{"role": "user", "blocks": [{"block_type": "text", "text": "Where is it?"}]}]}
                ),
                "traceloop.entity.output": json.dumps(
                    {
                        "result": {
                            "response": {"role": "assistant", "blocks": [{"block_type": "text", "text": "On its way."}]},
                            "current_agent_name": "support",
                        }
                    }
                ),
            },
            id="LlamaIndex by OpenLLMetry",
        ),
        *(
            pytest.param(
                {
                    f"{prefix}.input": json.dumps({"messages": [{"role": "user", "content": [{"text": "Where is it?"}]}]}),
                    f"{prefix}.output": json.dumps({"replies": [{"role": "assistant", "content": [{"text": "On its way."}]}]}),
                },
                id=prefix,
            )
            for prefix in ("haystack.agent.step.llm", "haystack.agent", "haystack.component", "lmnr.span")
        ),
        pytest.param(
            {
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Where is it?",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": "On its way.",
            },
            id="gen_ai indexed",
        ),
        pytest.param(
            {"gen_ai.prompt": json.dumps({"messages": CHAT}), "gen_ai.completion": json.dumps([REPLY])},
            id="gen_ai.prompt as JSON",
        ),
        pytest.param(
            {
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.contents.0.message_content.type": "text",
                "llm.input_messages.0.message.contents.0.message_content.text": "Where is it?",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": "On its way.",
            },
            id="OpenInference",
        ),
        pytest.param(
            {"llm.prompts.0.prompt.text": "Where is it?", "llm.choices.0.completion.text": "On its way."},
            id="OpenInference completion",
        ),
        pytest.param(
            {
                "input.value": json.dumps({"messages": [[_langchain("HumanMessage", "Where is it?")]]}),
                "output.value": json.dumps({"generations": [[{"message": _langchain("AIMessage", "On its way.")}]]}),
            },
            id="OpenInference over LangChain",
        ),
        pytest.param(
            {
                "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "Where is it?"}]}]),
                "ai.response.text": "On its way.",
            },
            id="Vercel AI",
        ),
        pytest.param(
            {"ai.prompt": json.dumps({"messages": CHAT}), "ai.result.text": "On its way."}, id="Vercel AI, outer and older"
        ),
        pytest.param(
            {"langfuse.observation.input": json.dumps({"messages": CHAT}), "langfuse.observation.output": json.dumps(REPLY)},
            id="Langfuse",
        ),
        pytest.param(
            {"input.audio.transcript": "Where is it?", "output.audio.transcript": "On its way."},
            id="OpenInference's realtime sessions",
        ),
        pytest.param(
            {
                "langwatch.input": json.dumps({"type": "chat_messages", "value": CHAT}),
                "langwatch.output": json.dumps({"type": "chat_messages", "value": [REPLY]}),
            },
            id="LangWatch",
        ),
        pytest.param(
            {
                "traceloop.entity.input": json.dumps({"inputs": {"messages": CHAT}}),
                "traceloop.entity.output": json.dumps({"outputs": REPLY}),
            },
            id="Traceloop",
        ),
        pytest.param(
            {
                "traceloop.entity.input": json.dumps({"inputs": {"messages": [["user", "Where is it?"]]}}),
                "output.value": json.dumps(REPLY),
            },
            id="LangChain short form",
        ),
        pytest.param(
            {
                "mlflow.spanInputs": json.dumps({"model": "gpt-5", "messages": CHAT}),
                "mlflow.spanOutputs": json.dumps({"choices": [{"message": REPLY, "finish_reason": "stop"}]}),
            },
            id="MLflow",
        ),
        pytest.param(
            {"mlflow.spanInputs": json.dumps(json.dumps({"messages": CHAT})), "mlflow.spanOutputs": json.dumps("On its way.")},
            id="MLflow, twice encoded",
        ),
        pytest.param({"pydantic_ai.all_messages": json.dumps(PARTS_IN + PARTS_OUT)}, id="pydantic-ai"),
        pytest.param(
            {"pydantic_ai.all_messages": json.dumps(PARTS_IN + PARTS_OUT), "final_result": "On its way."},
            id="pydantic-ai with result",
        ),
        pytest.param(
            {
                "events": json.dumps(
                    [
                        {"event.name": "gen_ai.user.message", "role": "user", "content": "Where is it?"},
                        {"event.name": "gen_ai.choice", "index": 0, "message": REPLY},
                    ]
                )
            },
            id="pydantic-ai, events in an attribute",
        ),
        pytest.param(
            {"request_data": json.dumps({"messages": CHAT}), "response_data": json.dumps({"message": REPLY})}, id="Logfire"
        ),
        pytest.param(
            {
                "gcp.vertex.agent.llm_request": json.dumps(
                    {"model": "gemini", "contents": [{"role": "user", "parts": [{"text": "Where is it?"}]}]}
                ),
                "gcp.vertex.agent.llm_response": json.dumps({"content": {"role": "model", "parts": [{"text": "On its way."}]}}),
            },
            id="Google ADK",
        ),
        pytest.param(
            {
                "mastra.model_step.input": json.dumps(CHAT),
                "mastra.model_step.output": json.dumps({"text": "On its way.", "toolCalls": []}),
            },
            id="Mastra",
        ),
        pytest.param({"llm.openai.messages": str(CHAT), "llm.openai.choices": str([REPLY])}, id="LiteLLM, Python repr"),
        pytest.param({"user_prompt": "Where is it?", "response.model_output": "On its way."}, id="Claude Code"),
        pytest.param({"input": json.dumps(CHAT), "output": json.dumps(REPLY)}, id="bare keys"),
    ],
)
def test_question_and_answer_are_found_in_every_dialect(attributes: dict[str, Any]) -> None:
    content = read_content(make_span(attributes, kind="llm"))

    assert _turns(content.input) == ASK
    assert _turns(content.output) == ANSWER


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [("gen_ai.user.message", {"content": "Where is it?"}), ("gen_ai.choice", {"index": 0, "message": json.dumps(REPLY)})],
            id="message events",
        ),
        pytest.param(
            [
                ("gen_ai.user.message", {"content": json.dumps([{"text": "Where is it?"}])}),
                ("gen_ai.choice", {"message": json.dumps([{"text": "On its way."}]), "finish_reason": "end_turn"}),
            ],
            id="Strands",
        ),
        pytest.param(
            [
                ("gen_ai.user.message", {"gen_ai.event.content": json.dumps({"role": "user", "content": "Where is it?"})}),
                ("gen_ai.choice", {"gen_ai.event.content": json.dumps({"message": REPLY, "finish_reason": "stop", "index": 0})}),
            ],
            id="Azure AI Inference",
        ),
        pytest.param(
            [
                (
                    "gen_ai.client.inference.operation.details",
                    {"gen_ai.input.messages": PARTS_IN, "gen_ai.output.messages": PARTS_OUT},
                )
            ],
            id="operation details",
        ),
        pytest.param(
            [
                ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(CHAT)}),
                ("gen_ai.content.completion", {"gen_ai.completion": json.dumps([REPLY])}),
            ],
            id="content events",
        ),
    ],
)
def test_question_and_answer_are_found_in_events(events: list[tuple[str, dict[str, Any]]]) -> None:
    content = read_content(make_span(events=events, kind="llm"))

    assert _turns(content.input) == ASK
    assert _turns(content.output) == ANSWER


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"parts": [{"type": "tool_call", "id": "c1", "name": "refund", "arguments": {"id": 7}}]}, id="gen_ai part"),
        pytest.param(
            {"content": None, "tool_calls": [{"id": "c1", "function": {"name": "refund", "arguments": '{"id": 7}'}}]}, id="OpenAI"
        ),
        pytest.param({"content": [{"type": "tool_use", "id": "c1", "name": "refund", "input": {"id": 7}}]}, id="Anthropic"),
        pytest.param({"content": [{"toolUse": {"toolUseId": "c1", "name": "refund", "input": {"id": 7}}}]}, id="Bedrock"),
        pytest.param(
            {"content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "refund", "input": {"id": 7}}]}, id="Vercel AI"
        ),
        pytest.param({"parts": [{"function_call": {"id": "c1", "name": "refund", "args": {"id": 7}}}]}, id="Gemini"),
        pytest.param({"content": [{"toolRequest": {"ref": "c1", "name": "refund", "input": {"id": 7}}}]}, id="Genkit"),
        pytest.param(
            {"tool_calls": [{"tool_call": {"id": "c1", "function": {"name": "refund", "arguments": '{"id": 7}'}}}]},
            id="OpenInference",
        ),
        pytest.param(
            {"content": "", "tool_calls": [{"id": "c1", "name": "refund", "args": {"id": 7}, "type": "tool_call"}]},
            id="LangChain",
        ),
        pytest.param(
            {"content": "", "function_call": {"id": "c1", "name": "refund", "arguments": '{"id": 7}'}}, id="OpenAI functions"
        ),
        pytest.param(
            {
                "contents": [
                    {
                        "message_content": {"type": "tool_use"},
                        "tool_call": {"id": "c1", "function": {"name": "refund", "arguments": '{"id": 7}'}},
                    }
                ],
                "tool_calls": [{"tool_call": {"id": "c1", "function": {"name": "refund", "arguments": '{"id": 7}'}}}],
            },
            id="OpenInference, in contents and beside them",
        ),
        pytest.param(
            {"blocks": [{"block_type": "tool_call", "tool_call_id": "c1", "tool_name": "refund", "tool_kwargs": {"id": 7}}]},
            id="LlamaIndex",
        ),
        pytest.param(
            {"content": [{"tool_call": {"tool_name": "refund", "arguments": {"id": 7}, "id": "c1", "extra": None}}]},
            id="Haystack",
        ),
    ],
)
def test_tool_call_is_found_in_every_shape_of_message(message: dict[str, Any]) -> None:
    (read,) = read_messages([{"role": "assistant", **message}]) or []

    assert [(part.kind, part.name, part.call_id, json.loads(part.text)) for part in read.parts] == [
        ("tool_call", "refund", "c1", {"id": 7})
    ]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"ok": True}}]}, id="gen_ai part"
        ),
        pytest.param({"role": "tool", "tool_call_id": "c1", "content": '{"ok": true}'}, id="OpenAI"),
        pytest.param(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": '{"ok": true}'}]}, id="Anthropic"
        ),
        pytest.param(
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": '{"ok": true}'}]}}]},
            id="Bedrock",
        ),
        pytest.param(
            {"role": "tool", "content": [{"toolResponse": {"ref": "c1", "name": "refund", "output": {"ok": True}}}]}, id="Genkit"
        ),
        pytest.param(
            {
                "role": "tool",
                "content": [{"type": "tool-result", "toolCallId": "c1", "output": {"type": "json", "value": {"ok": True}}}],
            },
            id="Vercel AI",
        ),
        pytest.param({"type": "function_call_output", "call_id": "c1", "output": '{"ok": true}'}, id="OpenAI Responses"),
        pytest.param(
            {
                "role": "tool",
                "content": [
                    {
                        "tool_call_result": {
                            "result": '{"ok": true}',
                            "origin": {"tool_name": "refund", "id": "c1"},
                            "error": False,
                        }
                    }
                ],
            },
            id="Haystack",
        ),
    ],
)
def test_tool_result_is_found_in_every_shape_of_message(message: dict[str, Any]) -> None:
    (read,) = read_messages([message]) or []

    assert read.role == "tool"
    assert [(part.kind, part.call_id, json.loads(part.text)) for part in read.parts] == [("tool_result", "c1", {"ok": True})]


def test_tools_behind_the_messages_are_no_messages() -> None:
    definition = {"type": "function", "function": {"name": "refund", "parameters": {"properties": {}}}}

    read = read_messages([*CHAT, {"role": "tool", "content": definition}]) or []

    assert [(message.role, message.parts[0].text) for message in read] == [("user", "Where is it?")]


def test_reasoning_is_kept_apart_from_the_answer() -> None:
    thought = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]

    (read,) = read_messages([{"role": "assistant", "content": thought}]) or []

    assert [(part.kind, part.text) for part in read.parts] == [("reasoning", "Hm."), ("text", "Yes.")]


def test_image_is_described_and_not_carried_along() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9_000}}

    (read,) = read_messages([{"role": "user", "content": [image]}]) or []

    assert read.parts[0].kind == "media"
    assert len(read.parts[0].text) < 100


@pytest.mark.parametrize("value", ["", "[]", "{}", "null", "<REDACTED>", "[REDACTED]", "__REDACTED__", "<not specified>"])
def test_empty_value_gives_way_to_the_next_source(value: str) -> None:
    content = read_content(make_span({"gen_ai.input.messages": value, "input.value": "Where is it?"}, kind="llm"))

    assert content.input is not None
    assert content.input.text == "Where is it?"


def test_own_names_of_the_sending_sdk_come_first() -> None:
    attributes = {"input.value": "second hand", "langfuse.observation.input": "own words"}

    content = read_content(make_span(attributes, scope_name="langfuse-sdk"))

    assert content.input is not None
    assert content.input.text == "own words"


def test_system_instructions_are_read_unless_the_messages_begin_with_them() -> None:
    instructions = json.dumps([{"type": "text", "content": "Be kind."}])
    beside = make_span({"gen_ai.system_instructions": instructions, "gen_ai.input.messages": json.dumps(PARTS_IN)})
    repeated = make_span(
        {"gen_ai.system_instructions": instructions, "input.value": json.dumps([{"role": "system", "content": "Be kind."}])}
    )

    assert [part.text for part in read_content(beside).instructions] == ["Be kind."]
    assert read_content(repeated).instructions == []


HOSTILE = [
    "[" * 100_000,
    "[" * 5_000 + "]" * 5_000,
    '{"a":' * 2_000 + "1" + "}" * 2_000,
    "[{'a':" * 500 + "1" + "}]" * 500,
    '[{"role": null, "content": 5}]',
    '[{"role": {"x": 1}, "parts": 7}]',
    '{"messages": {"messages": {"messages": 1}}}',
    '[{"role": "user", "content": [[[[1]]]]}]',
    '{"role": "assistant", "tool_calls": [1, null, "x", {"function": 3}, {"function": {"arguments": NaN}}]}',
    '{"choices": [null, 1, {"message": "x"}, {"message": {"role": 5, "content": {}}}]}',
    '{"generations": [[{"message": {"type": "constructor", "kwargs": []}}]]}',
    '{"content": {"parts": 1}, "config": {"system_instruction": {"parts": {"text": 1}}}}',
    '"\\ud83d broken"',
    "1" * 10_000,
    "\x00\x07",
    '{"prompt": "p", "system": {"parts": null}}',
    '{"type": ["string", "null"]}',
    '[{"role": "user", "content": [{"type": {"a": 1}, "text": "x"}]}, {"type": "constructor", "id": [["x"]], "kwargs": {}}]',
    '{"role": "assistant", "reasoning": ' + "[" * 900 + "]" * 900 + "}",
    '[{"id": ' + "[" * 900 + "]" * 900 + "}]",
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["llm", "tool", "agent"])
def test_hostile_values_never_raise(value: str, kind: str) -> None:
    keys = [
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.retrieval.documents",
        "gen_ai.memory.records",
        "pydantic_ai.all_messages",
        "events",
        "ai.response.toolCalls",
        "final_result",
        "model_request_parameters",
        "gen_ai.prompt.0.content",
        "llm.input_messages.0.message.contents",
    ]
    for key in keys:
        read_content(
            make_span(
                {key: value},
                kind=kind,
                events=[("gen_ai.choice", {"message": value}), ("gen_ai.tool.message", {"content": value})],
            )
        )


@pytest.mark.parametrize("value", [None, True, 7, 1.5, float("nan"), [], {}, [None], [[1]], {"a": {"b": []}}, b"x"], ids=repr)
def test_values_of_any_type_never_raise(value: Any) -> None:
    for key in (
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "input.value",
        "ai.response.text",
        "gen_ai.prompt.0.content",
        "gen_ai.tool.definitions",
    ):
        read_content(make_span({key: value}, kind="llm"))


def test_huge_index_costs_no_memory() -> None:
    attributes = {"llm.input_messages.999999999.message.content": "x", "llm.input_messages.0.message.content": "here"}

    assert _turns(read_content(make_span(attributes)).input) == [("user", "text", "here")]
    assert unflatten({"p.100000.x": 1}, "p") == []


def test_key_that_is_both_value_and_branch_is_no_error() -> None:
    assert unflatten({"p.0": "text", "p.0.role": "user"}, "p") == ["text"]


def test_key_of_a_map_that_is_a_number_of_any_length_is_no_index() -> None:
    key = "9" * 5000  # more digits than Python reads as a number

    assert unflatten({"p.0.message": {key: "x"}}, "p") == [{"message": {key: "x"}}]
    assert unflatten({"p.0.message": {"1": "b", "0": "a"}}, "p") == [{"message": ["a", "b"]}]


def test_json_of_hundreds_of_levels_is_read_in_no_time() -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900

    started = time.process_time()
    for _ in range(20):
        payload = read_content(make_span({"input.value": deep})).input
    taken_s = time.process_time() - started

    assert payload is not None
    assert payload.text.startswith('{"a": {"a":')
    assert taken_s < 2  # 6 s when each level is indented


def test_megabyte_of_text_is_read_quickly() -> None:
    value = json.dumps([{"role": "user", "content": "x" * 1_000_000}])

    began_s = time.thread_time()
    content = read_content(make_span({"gen_ai.input.messages": value}))

    assert time.thread_time() - began_s < 5  # of the processor, which a busy machine does not take from it
    assert len(_turns(content.input)[0][2]) == 1_000_000


def test_calls_that_stand_apart_from_what_was_said_belong_to_the_answer() -> None:
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Let me check."}], "finish_reason": "tool_calls"}]
    called = {"gen_ai.completion.0.function_call.name": "refund", "gen_ai.completion.0.function_call.arguments": '{"order": 7}'}

    content = read_content(make_span({"gen_ai.output.messages": json.dumps(said), **called}, kind="llm"))

    assert content.output is not None
    (message,) = content.output.messages
    assert [(part.kind, part.name or part.text) for part in message.parts] == [("text", "Let me check."), ("tool_call", "refund")]


def test_many_messages_share_what_the_page_can_carry() -> None:
    content = read_content(make_span({"gen_ai.input.messages": json.dumps([{"role": "user", "content": "x" * 30_000}] * 400)}))

    assert content.input is not None
    assert lay_out(content.input.messages).excerpt_chars * 400 <= 400_000


def test_text_is_found_again_by_its_reference() -> None:
    content = read_content(make_span({"gen_ai.input.messages": json.dumps(PARTS_IN), "output.value": "plain"}))

    assert find_text(content, "input.0.0") == "Where is it?"
    assert find_text(content, "output") == "plain"
    for wrong in (
        "input.9.0",
        "input.0",
        "input",
        "output.0.0",
        "nonsense",
        "is_empty",
        "__class__",
        "input.-1.0",
        "input.0.0.0",
        "",
    ):
        assert find_text(content, wrong) in (None, "")


def test_answer_without_parts_gives_way_to_the_tool_calls_that_stand_elsewhere() -> None:
    answer = [{"role": "assistant", "parts": [], "finish_reason": "tool_calls"}]
    calls = {
        "gen_ai.completion.0.function_call.name": "lookup_order",
        "gen_ai.completion.0.function_call.arguments": '{"order_id": "NL-1"}',
    }

    with_calls = read_content(make_span({"gen_ai.output.messages": json.dumps(answer), **calls})).output
    alone = read_content(make_span({"gen_ai.output.messages": json.dumps(answer)})).output

    assert with_calls is not None
    assert alone is not None
    assert [(part.kind, part.name) for part in with_calls.messages[0].parts] == [("tool_call", "lookup_order")]
    assert alone.messages[0].finish_reason == "tool_calls"
