"""What a tool is called."""

from __future__ import annotations

import json

import pytest

from tests.tracestore.semconv.conftest import RowsOf, build_span

TOOL_NAME_CASES = {
    "LangSmith": (build_span({"langsmith.span.kind": "tool"}, name="refund"), "refund"),
    "DSPy by OpenInference": (build_span({"openinference.span.kind": "TOOL"}, name="refund.__call__"), "refund"),
    "LlamaIndex by OpenLLMetry": (
        build_span(
            {
                "traceloop.span.kind": "task",
                "traceloop.entity.name": "FunctionTool.task",
                "traceloop.entity.output": '{"blocks": [], "tool_name": "refund", "raw_input": {"args": []}, "is_error": false}',
            },
            name="FunctionTool.task",
        ),
        "refund",
    ),
    "LiveKit": (build_span({"lk.function_tool.name": "refund"}, name="function_tool"), "refund"),
    "Genkit": (build_span({"genkit:metadata:subtype": "tool", "genkit:name": "refund"}, name="tool"), "refund"),
    "MCP": (build_span({"mcp.method.name": "tools/call"}, name="tools/call refund"), "refund"),
    "MCP by the Claude Agent SDK": (
        build_span({"openinference.span.kind": "TOOL", "tool.name": "mcp__the_shop__issue__refund"}), "issue__refund"
    ),
    # The middle one of mcp-agent's three spans of a call.
    "mcp-agent": (
        build_span(
            {"gen_ai.tool.call.id": "call_1", "request.method": "tools/call", "request.params.name": "refund"},
            name="OpenAIAugmentedLLM.support.call_tool",
        ),
        "refund",
    ),
    "Spring AI": (
        build_span({"spring.ai.kind": "tool_call", "spring.ai.tool.definition.name": "refund"}, name="tool_call refund"),
        "refund",
    ),
    "Quarkus": (build_span(name="langchain4j.tools.refund"), "refund"),
    "DSPy": (build_span({"openinference.span.kind": "TOOL"}, name="refund.__call__"), "refund"),
    "DSPy, asynchronous": (build_span({"openinference.span.kind": "TOOL"}, name="refund.acall"), "refund"),
    "LangChain.js under OpenLLMetry: a class, and the name in the message": (
        build_span(
            {"gen_ai.operation.name": "execute_tool", "traceloop.entity.name": "DynamicStructuredTool",
             "traceloop.entity.output": json.dumps(
                 {"lc": 1, "type": "constructor", "id": ["langchain_core", "messages", "ToolMessage"],
                  "kwargs": {"content": "{}", "tool_call_id": "call_1", "name": "refund"}})},
            name="execute_tool DynamicStructuredTool",
        ),
        "refund",
    ),
    "LangChain.js under OpenLLMetry: nothing but the class": (
        build_span({"gen_ai.operation.name": "execute_tool", "traceloop.entity.name": "DynamicStructuredTool"}),
        "DynamicStructuredTool",
    ),
    "Haystack": (
        build_span(
            {"haystack.component.type": "ToolInvoker",
             "haystack.component.output": '{"tool_messages": [{"content": [{"origin": {"tool_name": "refund"}}]}]}'},
            name="haystack.component.run",
        ),
        "refund",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOOL_NAME_CASES)
def test_tool_is_named_in_every_dialect(rows_of: RowsOf, case: str) -> None:
    assert rows_of(TOOL_NAME_CASES)[case]["tool"] == TOOL_NAME_CASES[case][1]
