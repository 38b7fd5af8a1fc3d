"""Arguments, results, documents and offered tools: one small literal example per dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboards.trace.content import read_content
from tests.spans import make_span


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        pytest.param({"gen_ai.tool.call.arguments": '{"id": 7}', "gen_ai.tool.call.result": '{"ok": true}'}, [], id="gen_ai"),
        pytest.param({"input.value": '{"id": 7}', "output.value": '{"ok": true}'}, [], id="OpenInference"),
        pytest.param(
            {"input.value": '{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"id": 7}}', "output.value": '{"ok": true}'},
            [],
            id="smolagents",
        ),
        pytest.param(
            {"ai.toolCall.args": '{"id":7}', "ai.toolCall.result": '"{\\"ok\\":true}"'}, [], id="Vercel AI, twice encoded"
        ),
        pytest.param(
            {"traceloop.entity.input": '{"args": [], "kwargs": {"id": 7}}', "traceloop.entity.output": '{"ok": true}'},
            [],
            id="Traceloop",
        ),
        pytest.param(
            {
                "traceloop.entity.input": '{"kwargs": {"id": 7}}',
                "traceloop.entity.output": json.dumps(
                    {
                        "blocks": [{"block_type": "text", "text": '{"ok": true}'}],
                        "tool_name": "refund",
                        "raw_input": {"args": [], "kwargs": {"id": 7}},
                        "raw_output": {"ok": True},
                        "is_error": False,
                    }
                ),
            },
            [],
            id="Traceloop over LlamaIndex",
        ),
        pytest.param(
            {
                "gen_ai.tool.call.arguments": json.dumps({"input_str": "{'id': 7}", "tags": [], "metadata": {}}),
                "gen_ai.tool.call.result": json.dumps(
                    {
                        "output": {
                            "type": "constructor",
                            "id": ["x", "ToolMessage"],
                            "kwargs": {"content": '{"ok": true}', "type": "tool"},
                        }
                    }
                ),
            },
            [],
            id="Traceloop over LangChain",
        ),
        pytest.param(
            {
                "input.value": '{"id": 7}',
                "output.value": json.dumps({"type": "tool", "data": {"content": '{"ok": true}', "tool_call_id": "c1"}}),
            },
            [],
            id="OpenInference over LangChain",
        ),
        pytest.param(
            {"gcp.vertex.agent.tool_call_args": '{"id": 7}', "gcp.vertex.agent.tool_response": '{"ok": true}'},
            [],
            id="Google ADK",
        ),
        pytest.param({"gen_ai.tool.args": '{"id": 7}', "gen_ai.tool.output": '{"ok": true}'}, [], id="OpenLIT"),
        pytest.param({"mlflow.spanInputs": '{"id": 7}', "mlflow.spanOutputs": '{"ok": true}'}, [], id="MLflow"),
        *(
            pytest.param({arguments: '{"id": 7}', result: '{"ok": true}'}, [], id=arguments)
            for arguments, result in (
                ("spring.ai.tool.call.arguments", "spring.ai.tool.call.result"),
                ("tool.arguments", "tool.result"),
                ("lk.function_tool.arguments", "lk.function_tool.output"),
                ("lk.pii.function_tool.arguments", "lk.pii.function_tool.output"),
                ("genkit:input", "genkit:output"),
                ("braintrust.input_json", "braintrust.output_json"),
                ("haystack.agent.step.tool.input", "haystack.agent.step.tool.output"),
                ("lmnr.span.input", "lmnr.span.output"),
                ("agentops.tool.input", "agentops.tool.output"),
                ("confident.span.input", "confident.span.output"),
                ("gen_ai.prompt", "gen_ai.completion"),
                ("input", "output"),
            )
        ),
        pytest.param(
            {"tool_args": '{"id": 7}', "result.content.0.type": "text", "result.content.0.text": '{"ok": true}'},
            [],
            id="mcp-agent",
        ),
        pytest.param(
            {
                "langwatch.input": '{"type": "json", "value": {"id": 7}}',
                "langwatch.output": '{"type": "json", "value": {"ok": true}}',
            },
            [],
            id="LangWatch",
        ),
        pytest.param(
            {"langfuse.observation.input": '{"id": 7}', "langfuse.observation.output": '{"ok": true}'}, [], id="Langfuse"
        ),
        pytest.param({"tool_arguments": '{"id": 7}', "tool_response": '{"ok": true}'}, [], id="pydantic-ai"),
        pytest.param(
            {
                "input.value": json.dumps({"kwargs": {"id": 7}}),
                "output.value": json.dumps(
                    {
                        "blocks": [{"text": '{"ok": true}'}],
                        "tool_name": "refund",
                        "raw_input": {"args": [], "kwargs": {"id": 7}},
                        "raw_output": '{"ok": true}',
                    }
                ),
            },
            [],
            id="OpenInference over LlamaIndex",
        ),
        pytest.param(
            {
                "input.value": json.dumps({"input": {"id": 7}, "options": None}),
                "output.value": json.dumps({"id": "c1", "name": "refund", "response": {"ok": True}}),
            },
            [],
            id="OpenInference over BeeAI and over ADK",
        ),
        pytest.param(
            {
                "gen_ai.input.messages": json.dumps({"callId": "c1", "name": "refund", "args": {"id": 7}, "schedulerId": "root"}),
                "gen_ai.output.messages": json.dumps(
                    {
                        "status": "success",
                        "request": {"callId": "c1", "name": "refund", "args": {"id": 7}},
                        "tool": {"name": "refund", "parameterSchema": {"type": "object"}},
                        "response": {
                            "callId": "c1",
                            "responseParts": [{"functionResponse": {"id": "c1", "name": "refund", "response": {"ok": True}}}],
                            "resultDisplay": "done",
                        },
                    }
                ),
            },
            [],
            id="Gemini CLI",
        ),
        pytest.param(
            {"input": '{"id": 7}', "tool.parameters": '{"def": {"type": "object"}}', "output": '{"ok": true}'}, [], id="VoltAgent"
        ),
        pytest.param(
            {},
            [
                ("gen_ai.tool.message", {"content": '{"id": 7}'}),
                ("gen_ai.choice", {"message": json.dumps([{"text": '{"ok": true}'}])}),
            ],
            id="Strands",
        ),
    ],
)
def test_tool_arguments_and_result_are_found_in_every_dialect(
    attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]]
) -> None:
    content = read_content(make_span(attributes, events=events, kind="tool"))

    assert content.arguments is not None
    assert content.result is not None
    assert json.loads(content.arguments.text) == {"id": 7}
    assert json.loads(content.result.text) == {"ok": True}
    assert (content.input, content.output) == (None, None)


def test_tool_without_arguments_shows_that_it_had_none() -> None:
    content = read_content(make_span({"gen_ai.tool.call.arguments": "{}"}, kind="tool"))

    assert content.arguments is not None
    assert content.arguments.text == "{}"


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.retrieval.documents": json.dumps([{"id": "d1", "score": 0.5, "content": "Returns take 30 days."}])},
        {"gen_ai.memory.records": json.dumps([{"id": "d1", "score": 0.5, "content": "Returns take 30 days."}])},
        {
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.score": 0.5,
            "retrieval.documents.0.document.content": "Returns take 30 days.",
        },
    ],
)
def test_retrieved_documents_are_read(attributes: dict[str, Any]) -> None:
    (document,) = read_content(make_span(attributes, kind="retriever")).documents

    assert (document.document_id, document.score, document.text) == ("d1", "0.5", "Returns take 30 days.")


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.tool.definitions": json.dumps(
                [{"type": "function", "name": "refund", "description": "Pays.", "parameters": {"type": "object"}}]
            )
        },
        {
            "llm.tools.0.tool.json_schema": json.dumps(
                {"function": {"name": "refund", "description": "Pays.", "parameters": {"type": "object"}}}
            )
        },
        {"ai.prompt.tools": [json.dumps({"name": "refund", "description": "Pays.", "inputSchema": {"type": "object"}})]},
        {
            "llm.request.functions.0.name": "refund",
            "llm.request.functions.0.description": "Pays.",
            "llm.request.functions.0.parameters": '{"type": "object"}',
        },
        {
            "model_request_parameters": json.dumps(
                {"function_tools": [{"name": "refund", "description": "Pays.", "parameters_json_schema": {"type": "object"}}]}
            )
        },
    ],
)
def test_offered_tools_are_read(attributes: dict[str, Any]) -> None:
    (tool,) = read_content(make_span(attributes, kind="llm")).tools

    assert (tool.name, tool.description, json.loads(tool.schema)) == ("refund", "Pays.", {"type": "object"})
