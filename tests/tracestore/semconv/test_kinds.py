"""Which kind of step a span is, however its sender says so, and which span is none."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracestore.semconv.conftest import RECEIVED_NS, Row, RowsOf, add_to, batch_seqs, build_span
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.semconv.kinds import KINDS

KIND_CASES = {(source.key, value): build_span({source.key: value}) for source, kinds in KINDS for value in kinds}


@pytest.mark.parametrize(("key", "value"), KIND_CASES)
def test_every_declared_kind_is_recognised(rows_of: RowsOf, key: str, value: str) -> None:
    expected = next(kinds[value] for source, kinds in KINDS if source.key == key)

    assert rows_of(KIND_CASES)[key, value]["kind"] == expected


OTHER_KINDS: dict[str, tuple[Row, str]] = {
    "Logfire's older call of Anthropic": (
        build_span({"request_data": '{"model":"claude-haiku-4-5"}'}, name="Message with {request_data[model]!r}"), "llm"
    ),
    "upper case": (build_span({"openinference.span.kind": "LLM"}), "llm"),
    "quoted upper case": (build_span({"mlflow.spanType": '"CHAT_MODEL"'}), "llm"),
    "unknown value falls through": (build_span({"gen_ai.operation.name": "dance", "openinference.span.kind": "TOOL"}), "tool"),
    "vendor before operation": (build_span({"langfuse.observation.type": "generation", "gen_ai.operation.name": "chat"}), "llm"),
    "operation before OpenInference": (build_span({"gen_ai.operation.name": "chat", "openinference.span.kind": "CHAIN"}), "llm"),
    "VoltAgent's root": (build_span({"entity.type": "agent", "entity.name": "support"}), "agent"),
    "VoltAgent's memory, of the same entity": (build_span({"entity.type": "agent", "span.type": "memory"}), "other"),
    "Mastra's call, which Arize's dialect calls a chain": (
        build_span({"openinference.span.kind": "CHAIN", "mastra.span.type": "model_inference"}),
        "llm",
    ),
    "a chunk of its answer": (build_span({"openinference.span.kind": "LLM", "mastra.span.type": "model_chunk"}), "other"),
    "its operation counts first": (
        build_span({"gen_ai.operation.name": "chat", "mastra.span.type": "model_chunk"}),
        "llm",
    ),
    "LangChain's tool with an agent in its name, which OpenInference calls one": (
        build_span({"openinference.span.kind": "AGENT", "tool.name": "contact_agent"}, name="contact_agent"), "tool"
    ),
    "Guardrails' call of a model": (
        build_span({"type": "guardrails/guard/step/call", "openinference.span.kind": "GUARDRAIL"}, name="call"), "llm"
    ),
    "OpenInference's decision of a model": (build_span({"openinference.span.kind": "DECISION"}), "llm"),
    "one answer in a realtime session": (build_span({"gen_ai.operation.name": "realtime_inference"}), "llm"),
    "tool by attribute": (build_span({"tool.name": "refund"}), "tool"),
    "tool by name": (build_span({}, name="execute_tool refund"), "tool"),
    "agent by name": (build_span({}, name="invoke_agent support"), "agent"),
    "model with tokens": (build_span({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 5}), "llm"),
    "model alone is not a call": (build_span({"gen_ai.request.model": "gpt-4o"}), "other"),
    "model with messages": (build_span({"gen_ai.request.model": "gpt-4o", "gen_ai.prompt.0.content": "hi"}), "llm"),
    "nothing known": (build_span({"http.method": "GET"}), "other"),
    "LangSmith's prompt template, whose operation says chat": (
        build_span({"langsmith.span.kind": "prompt", "gen_ai.operation.name": "chat"}),
        "chain",
    ),
    "LangSmith's retriever, whose operation says embeddings": (
        build_span({"langsmith.span.kind": "retriever", "gen_ai.operation.name": "embeddings"}),
        "retriever",
    ),
    "AI SDK by operation.name": (build_span({"operation.name": "ai.streamText.doStream my-function"}), "llm"),
    "Langfuse span that is a generation": (
        build_span({"langfuse.observation.type": "span", "langfuse.observation.model.name": "gpt-4o"}),
        "llm",
    ),
    "ADK call without usage": (build_span({"gen_ai.request.model": "gemini-2.5-flash"}, name="call_llm"), "llm"),
    "ADK invocation": (build_span(name="invocation"), "chain"),
    "ADK agent": (build_span(name="agent_run [triage]"), "agent"),
    "ADK merged tools": (
        build_span({"gen_ai.operation.name": "execute_tool"}, name="execute_tool (merged tools)"), "other"
    ),
    "ADK merged tools since 1.14": (
        build_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "(merged)"}, name="execute_tool (merged)"),
        "other",
    ),
    # LlamaIndex calls an abstract method of the model's class before each call with tools; it has the same attributes.
    "LlamaIndex preparing a call": (
        build_span(
            {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
             "llm.invocation_parameters": '{"context_window":128000,"num_output":-1,"model_name":"gpt-4o-mini"}',
             "input.value": '{"tools": ["<FunctionTool object>"], "user_msg": null, "chat_history": []}'},
            name="OpenAI._prepare_chat_with_tools",
        ),
        "chain",
    ),
    "BeeAI's event": (
        build_span(
            {"openinference.span.kind": "LLM", "input.value": '{"error": "Chat Model error"}', "metadata.id": "974a0fdf",
             "metadata.path": "backend.openai.chat.error", "metadata.trace.id": "768ea20e", "metadata.trace.run_id": "cf0263f1"},
            name="error",
        ),
        "other",
    ),
    "OpenAI Agents SDK by Logfire: trace": (build_span({"name": "shop"}, name="OpenAI Agents trace: {name}"), "chain"),
    "OpenAI Agents SDK by Logfire: task": (
        build_span({"type": "custom", "name": "shop", "sdk_span_type": "task"}, name="Task: shop"),
        "chain",
    ),
    "OpenAI Agents SDK by Logfire: agent": (build_span({"name": "triage"}, name="Agent run: {name!r}"), "agent"),
    "OpenAI Agents SDK by Logfire: failed call": (
        build_span(
            {"gen_ai.request.model": "gpt-5-mini", "gen_ai.system": "openai"},
            name="Responses API with {gen_ai.request.model!r}",
        ),
        "llm",
    ),
    "OpenAI Agents SDK by OpenTelemetry: workflow": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.system": "openai"},
            name="shop",
            scope="opentelemetry.instrumentation.openai_agents",
        ),
        "chain",
    ),
    "CrewAI by OpenLLMetry: crew": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "crewai.crew.name": "shop"},
            name="crewai.workflow",
            scope="opentelemetry.instrumentation.crewai.instrumentation",
        ),
        "chain",
    ),
    "CrewAI by OpenLLMetry: task": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "traceloop.span.kind": "task"},
            name="Where is it?.task",
            scope="opentelemetry.instrumentation.crewai.instrumentation",
        ),
        "chain",
    ),
    "CrewAI by OpenLIT: step": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent"},
            name="invoke_agent execute_native_tool",
            scope="openlit.instrumentation.crewai",
        ),
        "chain",
    ),
    "CrewAI by OpenLIT: agent": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"},
            name="invoke_agent support",
            scope="openlit.instrumentation.crewai",
        ),
        "agent",
    ),
    "pydantic-ai by OpenLIT: node of a call": (
        build_span(
            {"gen_ai.operation.name": "model_request", "gen_ai.agent.lifecycle.phase": "model_request"},
            name="model_request gpt-4o-mini",
        ),
        "chain",
    ),
    "pydantic-ai by OpenLIT: node of tools": (
        build_span(
            {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.lifecycle.phase": "tool_execution"},
            name="execute_tool gpt-4o-mini",
        ),
        "chain",
    ),
    "LangGraph by MLflow in the conventions": (build_span({"gen_ai.operation.name": "CHAIN"}, name="CHAIN"), "chain"),
    "retriever by MLflow in the conventions": (build_span({"gen_ai.operation.name": "RETRIEVER"}, name="RETRIEVER"), "retriever"),
    "LiveKit turn": (build_span(name="agent_turn"), "agent"),
    "LiveKit tool": (build_span({"lk.function_tool.name": "refund"}, name="function_tool"), "tool"),
    "Microsoft workflow": (build_span({"workflow.id": "w"}, name="workflow.run"), "chain"),
    "Microsoft executor": (build_span(name="executor.process triage"), "chain"),
    "CrewAI crew": (build_span(name="Crew_123.kickoff"), "chain"),
    "CrewAI agent": (build_span(name="Support Agent._execute_core"), "agent"),
    "gptme's tool": (build_span({"tool.name": "shell", "tool.success": True}, name="tool.shell"), "tool"),
    "what gptme starts the tool with": (
        build_span({"tool_name": "shell", "function.module": "gptme.tools.base"}, name="tool.shell"),
        "other",
    ),
    # Beside the span of the call that OpenLLMetry sends.
    "gptme's account of a call": (build_span({"llm.model": "openai/gpt-4o"}, name="llm_request"), "other"),
    "Qwen Code's hook": (
        build_span(
            {"hook_event": "PreToolUse", "tool.name": "read_file", "success": False, "error.type": "hook_error"},
            name="qwen-code.hook",
        ),
        "other",
    ),
    "Codex's turn": (build_span({"model": "gpt-5", "turn.id": "t"}, name="session_task.turn", scope="codex_exec"), "agent"),
    "Codex's request": (build_span({"model": "gpt-5", "turn_id": "t"}, name="try_run_sampling_request"), "llm"),
    "the step in which Codex's request failed": (
        build_span(
            events=[("codex.api_request", {"endpoint": "/responses", "error.message": "http 429"})],
            name="endpoint_session.stream_encoded_json_with",
        ),
        "llm",
    ),
    "the step in which it was answered": (
        build_span(events=[("codex.api_request", {"endpoint": "/responses"})], name="endpoint_session.stream_encoded_json_with"),
        "other",
    ),
    "what Codex does with a part of the answer": (
        build_span({"from": "output_item_added", "tool_name": "exec_command"}, name="handle_responses"),
        "other",
    ),
    "the end of an answer to Codex": (
        build_span({"gen_ai.usage.input_tokens": 321, "gen_ai.usage.output_tokens": 68}, name="handle_responses"),
        "other",
    ),
    "Codex's look at a tool call": (
        build_span({"tool_name": "exec_command", "call_id": "c"}, name="guardian_scoring_observation"),
        "other",
    ),
    "Codex's tool": (build_span({"tool_name": "exec_command", "call_id": "c"}, name="exec_command"), "tool"),
    "Claude Code by name": (build_span(name="claude_code.llm_request"), "llm"),
    "Haystack generator": (build_span({"haystack.component.type": "OpenAIChatGenerator"}, name="haystack.component.run"), "llm"),
    "Haystack embedder": (
        build_span({"haystack.component.type": "OpenAITextEmbedder"}, name="haystack.component.run"),
        "embedding",
    ),
    "Haystack tool invoker": (build_span({"haystack.component.type": "ToolInvoker"}, name="haystack.component.run"), "tool"),
    "Haystack component": (build_span({"haystack.component.type": "PromptBuilder"}, name="haystack.component.run"), "chain"),
    "Haystack pipeline": (build_span(name="haystack.pipeline.run"), "chain"),
    "LlamaIndex's tool by OpenLLMetry": (
        build_span({"traceloop.span.kind": "task", "traceloop.entity.name": "FunctionTool.task"}, name="FunctionTool.task"),
        "tool",
    ),
    "OpenLIT's failed call of Anthropic": (
        build_span(
            name="chat claude-haiku-4-5", scope="openlit.instrumentation.anthropic", status=2
        ),
        "llm",
    ),
    "a chat that is no call": (build_span(name="chat support", status=2), "other"),
    "Haystack 3 step": (build_span({"haystack.agent.step": 0}, name="haystack.agent.step"), "chain"),
    "Haystack 3 call": (build_span({"haystack.agent.step.llm.input": "{}"}, name="haystack.agent.step.llm"), "llm"),
    "Haystack 3 tool": (build_span({"haystack.tool.name": "refund"}, name="haystack.agent.step.tool"), "tool"),
    "MCP client": (build_span({"mcp.method.name": "tools/call"}, name="tools/call refund"), "tool"),
    "retrieval by shape": (build_span({"gen_ai.retrieval.query.text": "refunds"}), "retriever"),
    "embedding by shape": (build_span({"gen_ai.embeddings.dimension.count": 256}), "embedding"),
    # Spring AI's DefaultToolCallingObservationConvention, before it called the operation execute_tool.
    "Spring AI's tool, whose operation says framework": (
        build_span({"gen_ai.operation.name": "framework", "spring.ai.kind": "tool_call"}, name="tool_call refund"),
        "tool",
    ),
    "Spring AI's later tool": (
        build_span({"gen_ai.operation.name": "execute_tool", "spring.ai.kind": "tool_call"}, name="tool_call refund"),
        "tool",
    ),
    "Spring AI's search in a vector store": (
        build_span({"spring.ai.kind": "vector_store", "db.vector.query.top_k": 4}, name="pg_vector query"),
        "retriever",
    ),
    "Spring AI's write to a vector store": (build_span({"spring.ai.kind": "vector_store"}, name="pg_vector add"), "other"),
    # AG2's autogen/opentelemetry: the whole conversation's usage and model.
    "AG2's conversation with the usage of its calls": (
        build_span({"gen_ai.operation.name": "conversation", "gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 5}),
        "chain",
    ),
    "Braintrust's call": (build_span({"braintrust.span_attributes": '{"name": "chat", "type": "llm"}'}), "llm"),
    "Braintrust's tool": (build_span({"braintrust.span_attributes": '{"type":"tool"}'}), "tool"),
    "JSON that declares nothing": (build_span({"braintrust.span_attributes": '{"type": {"a": 1}}'}), "other"),
    "broken JSON that declares nothing": (build_span({"braintrust.span_attributes": '{"type":"llm"'}), "other"),
    "AgentOps' run": (build_span({"agentops.span.kind": "session"}, name="support.session"), "chain"),
    "AgentOps' agent": (build_span({"agentops.span.kind": "agent"}, name="support_agent.agent"), "agent"),
    "AgentOps' tool": (build_span({"agentops.span.kind": "tool"}, name="lookup_order.tool"), "tool"),
    "AgentOps' call that an answer asked for": (
        build_span({"agentops.span.kind": "AgentOpsSpanKindValues.TOOL", "tool.name": "lookup_order"}, name="tool_call.x"),
        "other",
    ),
    # As LangWatch 1.4 sends them, a call that failed among them: it tells neither tokens nor an answer.
    "LangWatch's agent": (build_span({"langwatch.span.type": "agent"}, name="support_agent"), "agent"),
    "LangWatch's tool": (build_span({"langwatch.span.type": "tool"}, name="issue_refund"), "tool"),
    "LangWatch's failed call": (
        build_span({"langwatch.span.type": "llm", "gen_ai.request.model": "openai/gpt-5-mini", "langwatch.metrics": "{}"}),
        "llm",
    ),
    "LangWatch's span of no type": (build_span({"langwatch.span.type": "span"}, name="support"), "other"),
    "promptflow's streamed call": (
        build_span({"span_type": "LLM", "llm.response.model": "gpt-5-mini-2025-08-07"}, name="openai_chat"),
        "llm",
    ),
    "promptflow's function": (build_span({"span_type": "Function"}, name="answer"), "chain"),
    "Quarkus tool": (build_span(name="langchain4j.tools.refund"), "tool"),
    "Quarkus service": (build_span(name="langchain4j.aiservices.Support.answer"), "agent"),
    "OpenLLMetry's CrewAI call": (build_span({"gen_ai.request.model": "gpt-4o"}, name="gpt-4o.llm"), "llm"),
    "OpenInference's turn of a spoken conversation": (
        build_span({"openinference.span.kind": "AUDIO", "llm.model_name": "gpt-realtime"}, name="conversation.turn"),
        "chain",
    ),
    "OpenInference's words of a person": (build_span({"openinference.span.kind": "USER"}, name="user"), "other"),
    "Pipecat's tool in a live session": (
        build_span({"gen_ai.operation.name": "llm_tool_call", "gen_ai.request.model": "m", "tool.function_name": "refund"}),
        "tool",
    ),
    "hand-off that says it is a tool": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to billing"), "other"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER_KINDS)
def test_kind_is_found_however_it_is_told(rows_of: RowsOf, case: str) -> None:
    assert rows_of(OTHER_KINDS)[case]["kind"] == OTHER_KINDS[case][1]


def test_pending_spans_of_logfire_are_left_out(store: Store) -> None:
    request, batch_seq = ExportTraceServiceRequest(), next(batch_seqs)
    add_to(request, 1, build_span({"logfire.span_type": "pending_span"}))
    add_to(request, 2, build_span({"logfire.span_type": "span"}))

    insert_batch(store, [(1, RECEIVED_NS, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows("SELECT count() FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq) == [(1,)]
