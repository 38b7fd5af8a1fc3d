"""Which agent a span names, and which workflow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracestore.semconv.conftest import RowsOf, build_span, store_spans
from tracestore.clickhouse.client import Store

AGENT_CASES = {
    "attribute on any span": (build_span({"gen_ai.agent.name": "triage", "gen_ai.operation.name": "execute_tool"}), "triage"),
    "from the span's name": (build_span({"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent triage"), "triage"),
    "never the model": (
        build_span({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"}, name="invoke_agent gpt-4o"),
        "",
    ),
    "suffix cut": (build_span({"traceloop.span.kind": "agent"}, name="triage.agent"), "triage"),
    "prefix cut": (build_span({"gen_ai.operation.name": "agent.run", "agent.id": "triage"}, name="agent.triage"), "triage"),
    "the framework's own default is none": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "OpenAI Agent"}, name="invoke_agent OpenAI Agent"
        ),
        "",
    ),
    "pydantic-ai's older name": (
        build_span(
            {"agent_name": "triage", "model_name": "gpt-4o", "gen_ai.usage.input_tokens": 9},
            name="agent run",
            scope="pydantic-ai",
        ),
        "triage",
    ),
    "pydantic-ai's agent has no name": (build_span(name="agent run"), ""),
    "ADK's older name": (build_span(name="agent_run [triage]"), "triage"),
    "Logfire's run of the OpenAI Agents SDK": (build_span({"name": "triage"}, name="Agent run: {name!r}"), "triage"),
    "Haystack's component": (
        build_span({"haystack.component.type": "Agent", "haystack.component.name": "triage"}, name="haystack.component.run"),
        "triage",
    ),
    "Haystack's agent has no name": (build_span(name="haystack.agent.run"), ""),
    "LangChain's agent on a call by MLflow": (
        build_span(
            {"mlflow.spanType": '"CHAT_MODEL"', "metadata": '{"ls_model_type": "chat", "lc_agent_name": "triage"}'},
            name="ChatOpenAI",
        ),
        "triage",
    ),
    "a workflow that is sent as an agent": (
        build_span({"gen_ai.operation.name": "invoke_agent"}, name="shop", scope="opentelemetry.instrumentation.openai_agents"),
        "",
    ),
    "a step of an agent": (build_span({"gen_ai.operation.name": "agent_step"}, name="step 1"), ""),
    "AI SDK's function": (build_span({"ai.operationId": "ai.generateText", "ai.telemetry.functionId": "triage"}), "triage"),
    "Quarkus service": (build_span(name="langchain4j.aiservices.Support.answer"), "Support.answer"),
    "OpenInference's AutoGen": (build_span({"openinference.span.kind": "AGENT"}, name="triage.on_messages_stream"), "triage"),
    "LlamaIndex's step": (
        build_span(
            {
                "openinference.span.kind": "CHAIN",
                "input.value": '{"ctx": "<Context object>", "ev": "AgentSetup(input=[], current_agent_name=\'triage\')"}',
            },
            name="AgentWorkflow.run_agent_step",
        ),
        "triage",
    ),
    "run of the OpenAI Agents SDK": (build_span({"openinference.span.kind": "AGENT"}, name="Agent workflow"), ""),
    "Claude Code": (
        build_span({"span.type": "interaction"}, name="claude_code.interaction", scope="com.anthropic.claude_code.tracing"),
        "claude_code",
    ),
    "Codex": (build_span({"model": "gpt-5"}, name="session_task.turn", scope="codex_exec"), "codex"),
    "Copilot": (build_span({"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent", scope="github.copilot"), "copilot"),
    "agent of Copilot's": (
        build_span({"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent explore", scope="github.copilot"),
        "explore",
    ),
    "not on chains": (build_span({"traceloop.span.kind": "task", "traceloop.entity.name": "step"}), ""),
}


@pytest.mark.parametrize("case", AGENT_CASES)
def test_agent_is_named_by_what_names_agents(rows_of: RowsOf, case: str) -> None:
    assert rows_of(AGENT_CASES)[case]["agent"] == AGENT_CASES[case][1]


def test_workflow_of_langsmith_is_the_run_of_its_root(store: Store) -> None:
    root = build_span({"langsmith.trace.name": "support-graph"})
    child = build_span({"langsmith.trace.name": "ChatOpenAI", "langsmith.span.parent_id": "r"})
    later = build_span({"langsmith.trace.name": "ChatOpenAI"}, parent_span_id=b"\x01" * 8)  # 0.15: without the parent's id

    assert [row["workflow"] for row in store_spans(store, [root, child, later])] == ["support-graph", "", ""]


def test_node_that_calls_the_model_is_no_agent(store: Store) -> None:
    def node(name: str) -> dict[str, Any]:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "langgraph", "gen_ai.agent.name": name}
        return build_span(attributes, name=f"invoke_agent {name}", scope="openlit.instrumentation.langgraph")

    model, agent = store_spans(store, [node("model"), node("support_agent")], ("kind", "agent"))

    assert model == {"kind": "chain", "agent": ""}
    assert agent == {"kind": "agent", "agent": "support_agent"}
