"""Real OTLP bytes through the real view: every attribute name of every dialect lands in its column, nothing breaks an insert.

One insert carries the spans of a whole group of tests (planning the view costs far more than running it on a few spans).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ingest.privacy import Cleaner
from tests.queries.conftest import any_value, key_values
from tracestore import semconv
from tracestore.clickhouse.attributes import decode_attributes
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.masking import build_masker
from tracestore.privacy import Policy
from tracestore.semconv import Source

START_NS = 1_790_000_000 * 10**9
RECEIVED_NS = START_NS + 10**9
_batch_seqs = itertools.count(1)

Row = dict[str, Any]
COLUMNS = (
    "name", "kind", "service", "environment", "workflow", "agent", "version", "request_model", "response_model", "provider",
    "response_id", "service_tier", "agent_id", "arrayStringConcat(tags, '|') AS tags",
    "finish_reason", "tool", "tool_call_id", "prompt_name", "prompt_version", "session_id", "user_id", "is_error", "error_type",
    "error_message", "signal", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "supplied_cost_usd", "duration_ns", "status", "span_kind", "cache_write_1h_tokens", "input_audio_tokens",
    "output_audio_tokens", "time_to_first_token_ns",
)  # fmt: skip


def build_span(
    attributes: dict[str, Any] | list[tuple[str, Any]] | None = None, resource: dict[str, Any] | None = None, **overrides: Any
) -> Row:
    """Return the least span: attributes, resource, and overrides of what else OTLP says of it."""
    return {"attributes": attributes or {}, "resource": resource or {}, **overrides}


def add_to(request: ExportTraceServiceRequest, number: int, values: Row) -> None:
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values(values["resource"]))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = values.get("scope", "")
    span = scope_spans.spans.add()
    span.trace_id = values.get("trace_id", b"\x01" * 16)
    span.span_id = values.get("span_id", number.to_bytes(8, "big"))
    span.parent_span_id = values.get("parent_span_id", b"")
    span.name = values.get("name", "step")
    span.kind = values.get("kind", 0)
    span.start_time_unix_nano = values.get("start_ns", START_NS)
    span.end_time_unix_nano = values.get("end_ns", START_NS + 1000)
    span.status.code, span.status.message = values.get("status", 0), values.get("status_message", "")
    pairs = values["attributes"].items() if isinstance(values["attributes"], dict) else values["attributes"]
    span.attributes.extend(KeyValue(key=key, value=any_value(value)) for key, value in pairs)
    for name, attributes in values.get("events", ()):
        span.events.add(name=name, time_unix_nano=values.get("event_ns", START_NS), attributes=key_values(attributes))


def store_spans(store: Store, spans: list[Row], columns: tuple[str, ...] = COLUMNS) -> list[Row]:
    """Insert the spans in one batch and return their rows in the same order; the flags of a span carry its number."""
    request, batch_seq = ExportTraceServiceRequest(), next(_batch_seqs)
    for number, values in enumerate(spans, start=1):
        add_to(request, number, values)
        request.resource_spans[-1].scope_spans[0].spans[0].flags = number
    insert_batch(store, [(1, RECEIVED_NS, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)
    rows = store.query_rows(
        f"SELECT flags, {', '.join(columns)} FROM spans WHERE writer = 'semconv' AND batch_seq = {{seq:UInt64}} ORDER BY flags",
        seq=batch_seq,
    )
    names = [column.rsplit(" AS ", 1)[-1] for column in columns]
    by_number = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    return [by_number[number] for number in range(1, len(spans) + 1)]


@pytest.fixture(scope="module")
def rows_of(_migrated_store: Store) -> Iterator[Callable[[str], dict[Any, Row]]]:
    """Return the stored rows of a group by case; each group is inserted once for the module."""
    stored: dict[str, dict[Any, Row]] = {}

    def rows(group: str) -> dict[Any, Row]:
        if group not in stored:
            cases = GROUPS[group]
            stored[group] = dict(zip(cases, store_spans(_migrated_store, list(cases.values())), strict=True))
        return stored[group]

    yield rows
    for table in ("spans", "trace_touches", "trace_index"):
        _migrated_store.command(f"TRUNCATE TABLE {table}")


# --- every field, every name -------------------------------------------------------------------------------------------

TOKENS = (
    "input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens",
)  # fmt: skip
# canonical field -> (column that shows it, attributes that the column needs besides)
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "agent_attribute": ("agent", {}),
    "agent_of_agent_span": ("agent", {"gen_ai.operation.name": "invoke_agent"}),
    "environment": ("environment", {}),
    "tool_attribute": ("tool", {"gen_ai.operation.name": "execute_tool"}),
    "error_attribute": ("error_type", {}),
    "error_text_attribute": ("error_message", {}),
    "cache_write_1h_tokens": (
        "cache_write_1h_tokens",
        {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.cache_write.input_tokens": 500},
    ),
    "input_audio_tokens": ("input_audio_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "output_audio_tokens": ("output_audio_tokens", {"gen_ai.usage.output_tokens": 1000}),
    "time_to_first_token": ("time_to_first_token_ns", {}),
    # Added up when there is no total.
    "supplied_input_cost": ("supplied_cost_usd", {}),
    "supplied_output_cost": ("supplied_cost_usd", {}),
    "supplied_cost": ("supplied_cost_usd", {}),
    "cache_read_tokens": ("cache_read_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "cache_write_tokens": ("cache_write_tokens", {"gen_ai.usage.input_tokens": 1000}),
    "reasoning_tokens": ("reasoning_tokens", {"gen_ai.usage.output_tokens": 1000}),
    # The total has no column: it tells that the input count leaves out the cached tokens.
    "total_tokens": ("input_tokens", {"gen_ai.usage.input_tokens": 1000, "output_tokens": 0, "gen_ai.usage.cached_tokens": 7}),
    # Arguments and results have no column either: refused calls are recognised in them.
    "tool_arguments": ("signal", {"gen_ai.operation.name": "execute_tool"}),
    "tool_result": ("signal", {"gen_ai.operation.name": "execute_tool"}),
}


def value_of(field: str) -> Any:
    match field:
        case "total_tokens":
            return 1007
        case "supplied_cost" | "supplied_input_cost" | "supplied_output_cost":
            return 0.25
        case "tool_arguments":
            return '{"half": '
        case "tool_result":
            return "unknown tool"
        case "finish_reason":
            return "stop"
        case "time_to_first_token":
            return 250_000_000
        case "provider":
            return "some-provider"
        case name if name in TOKENS:
            return 42
    return "the-value"


def place(source: Source, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return span attributes and resource attributes that hold the value where this source looks for it."""
    match source.form:
        case "resource":
            return {}, {source.key: value}
        case "json":
            for step in reversed(source.path):
                value = {step: value}
            return {source.key: json.dumps(value)}, {}
        case "told":
            return {"gen_ai.usage.raw": f"{{'usage': {{'{source.key}': {value}, 'unit': 'tokens'}}}}"}, {}
        case "pattern":
            told = dict.fromkeys(("name", "version", "model", "service_tier", "tool_name"), value)
            return {source.key: json.dumps([told | {"raw_input": {}}])}, {}
    return {source.key: value}, {}


def first_token_value(key: str, after_ns: int = 250_000_000) -> Any:
    """Return how an attribute says that the first token came that long after the start."""
    unit_ns = semconv.FIRST_TOKEN_UNITS_NS.get(key)
    moment = datetime.fromtimestamp((START_NS + after_ns) / 1e9, UTC)
    return after_ns / unit_ns if unit_ns else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def single_source_span(field: str, source: Source) -> Row:
    value = first_token_value(source.key) if field == "time_to_first_token" else value_of(field)
    attributes, resource = place(source, value)
    needed = dict(SHOWN.get(field, ("", {}))[1])
    fails = ("error_attribute", "error_text_attribute", "tool_arguments", "tool_result")
    overrides: dict[str, Any] = {"status": 2} if field in fails else {}
    if source.key == "langfuse.observation.usage_details":
        needed.pop("gen_ai.usage.cached_tokens", None)  # a Langfuse total goes with Langfuse's other buckets
        if field == "total_tokens":
            attributes = {source.key: json.dumps({"input": 1000, "output": 0, "cache_read_input_tokens": 7, "total": 1007})}
    return build_span(needed | attributes, resource, **overrides)


FIELD_CASES = {
    (field, number): single_source_span(field, source)
    for field, sources in semconv.FIELDS.items()
    for number, source in enumerate(sources)
}


@pytest.mark.parametrize(("field", "number"), FIELD_CASES, ids=lambda value: str(value))
def test_every_attribute_name_reaches_its_column(rows_of: Callable[[str], dict[Any, Row]], field: str, number: int) -> None:
    row = rows_of("fields")[field, number]

    column = SHOWN.get(field, (field, {}))[0]
    expected = {"tool_arguments": "refused_call", "tool_result": "refused_call"}.get(field, value_of(field))
    assert row[column] == expected, semconv.FIELDS[field][number]


def two_source_span(field: str, first: Source, second: Source) -> Row:
    values = ("first", "second") if field not in TOKENS else (11, 22)
    attributes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    for source, value in ((second, values[1]), (first, values[0])):
        more, of_resource = place(source, value)
        attributes |= more
        resource |= of_resource
    return build_span(dict(SHOWN.get(field, ("", {}))[1]) | attributes, resource)


# Neighbours in the order of precedence that can stand beside each other on one span.
PRECEDENCE_CASES = {
    (field, number): two_source_span(field, *pair)
    for field, sources in semconv.FIELDS.items()
    if field not in ("total_tokens", "tool_arguments", "tool_result", "finish_reason", "error_text_attribute", "service")
    and field != "time_to_first_token"  # its names differ in unit
    and not field.startswith("supplied_")
    for number, pair in enumerate(itertools.pairwise(sources))
    if (pair[0].key, pair[0].form) != (pair[1].key, pair[1].form)
    # Two names in one JSON text have no order of their own: the first that stands there counts.
    and (pair[0].form, pair[1].form) != ("told", "told")
}


@pytest.mark.parametrize(("field", "number"), PRECEDENCE_CASES, ids=lambda value: str(value))
def test_of_two_names_the_one_listed_first_wins(rows_of: Callable[[str], dict[Any, Row]], field: str, number: int) -> None:
    row = rows_of("precedence")[field, number]

    expected = 11 if field in TOKENS else "first"
    if field == "error_attribute":  # a type alone makes no error
        expected = ""
    assert row[SHOWN.get(field, (field, {}))[0]] == expected


# --- placeholders ------------------------------------------------------------------------------------------------------

PLACEHOLDERS = ("", *semconv.ABSENT, "[Scrubbed due to 'session']")
ABSENT_CASES = {
    (form, text): build_span({"gen_ai.conversation.id": text, "session.id": "kept"})
    if form == "attribute"
    else build_span({}, {"service.version": text, "app.version": "kept"})
    for form in ("attribute", "resource")
    for text in PLACEHOLDERS
}


@pytest.mark.parametrize(("form", "text"), ABSENT_CASES)
def test_placeholder_counts_as_absent(rows_of: Callable[[str], dict[Any, Row]], form: str, text: str) -> None:
    row = rows_of("absent")[form, text]

    assert row["session_id" if form == "attribute" else "version"] == "kept"


# --- kinds -------------------------------------------------------------------------------------------------------------

KIND_CASES = {(source.key, value): build_span({source.key: value}) for source, kinds in semconv.KINDS for value in kinds}


@pytest.mark.parametrize(("key", "value"), KIND_CASES)
def test_every_declared_kind_is_recognised(rows_of: Callable[[str], dict[Any, Row]], key: str, value: str) -> None:
    expected = next(kinds[value] for source, kinds in semconv.KINDS if source.key == key)

    assert rows_of("kinds")[key, value]["kind"] == expected


OTHER_KINDS: dict[str, tuple[Row, str]] = {
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
    "Quarkus tool": (build_span(name="langchain4j.tools.refund"), "tool"),
    "Quarkus service": (build_span(name="langchain4j.aiservices.Support.answer"), "agent"),
    "OpenLLMetry's CrewAI call": (build_span({"gen_ai.request.model": "gpt-4o"}, name="gpt-4o.llm"), "llm"),
    "Pipecat's tool in a live session": (
        build_span({"gen_ai.operation.name": "llm_tool_call", "gen_ai.request.model": "m", "tool.function_name": "refund"}),
        "tool",
    ),
    "hand-off that says it is a tool": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to billing"), "other"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER_KINDS)
def test_kind_is_found_however_it_is_told(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("other kinds")[case]["kind"] == OTHER_KINDS[case][1]


# --- tokens ------------------------------------------------------------------------------------------------------------


def _google_metadata(prompt: int, candidates: int) -> str:
    usage = {"cachedContentTokenCount": 32, "thoughtsTokenCount": 64, "promptTokenCount": prompt}
    usage |= {"candidatesTokenCount": candidates, "totalTokenCount": prompt + candidates + 64}
    return json.dumps({"google": {"serviceTier": None, "usageMetadata": usage}})


def _anthropic_metadata(input_tokens: int, *, read: int, written: int) -> str:
    usage = {"input_tokens": input_tokens, "cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    return json.dumps({"anthropic": {"usage": usage, "cacheCreationInputTokens": written}})


IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"
REASONED, TOTAL = "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.total_tokens"
USAGE_DETAILS = "langfuse.observation.usage_details"


def langfuse(**usage: int) -> dict[str, str]:
    return {USAGE_DETAILS: json.dumps(usage)}


# case -> attributes, (input, output, cache read, cache write, reasoning)
TOKEN_CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    "inclusive by default": ({IN: 1000, OUT: 50, READ: 800, WRITE: 100}, (1000, 50, 800, 100, 0)),
    "more cached than input is exclusive": ({IN: 100, OUT: 50, READ: 800, WRITE: 100}, (1000, 50, 800, 100, 0)),
    "total equal to the parts is inclusive": ({IN: 1000, OUT: 50, READ: 800, TOTAL: 1050}, (1000, 50, 800, 0, 0)),
    "total with the cached tokens added is exclusive": ({IN: 1000, OUT: 50, READ: 800, TOTAL: 1850}, (1800, 50, 800, 0, 0)),
    "bare names are exclusive": (
        {"input_tokens": 1000, "output_tokens": 5, "cache_read_tokens": 200, "cache_creation_tokens": 30},
        (1230, 5, 200, 30, 0),
    ),
    "reasoning inside output": ({IN: 10, OUT: 500, REASONED: 400}, (10, 500, 0, 0, 400)),
    "more reasoning than output is additive": ({IN: 10, OUT: 100, REASONED: 400}, (10, 500, 0, 0, 400)),
    "total with reasoning added is additive": ({IN: 10, OUT: 500, REASONED: 400, TOTAL: 910}, (10, 900, 0, 0, 400)),
    "Langfuse buckets are disjoint": (
        langfuse(input=100, output=20, input_cache_read=50, output_reasoning=7),
        (150, 27, 50, 0, 7),
    ),
    "Langfuse buckets with their total": (langfuse(input=100, output=20, input_cached_tokens=50, total=170), (150, 20, 50, 0, 0)),
    "OpenAI names inside Langfuse are inclusive": (
        {
            USAGE_DETAILS: json.dumps(
                {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 50}}
            )
        },
        (100, 20, 50, 0, 0),
    ),
    "text": ({IN: "1000", OUT: "50"}, (1000, 50, 0, 0, 0)),
    "Langfuse's wrapper of OpenAI's Responses API": (
        {
            USAGE_DETAILS: json.dumps(
                {
                    "input_tokens": 295,
                    "input_tokens_details": {"cached_tokens": 64},
                    "output_tokens": 82,
                    "output_tokens_details": {"reasoning_tokens": 14},
                    "total_tokens": 377,
                }
            )
        },
        (295, 82, 64, 0, 14),
    ),
    "OpenLLMetry leaves out what Bedrock had cached": (
        {IN: 399, OUT: 20, TOTAL: 419, READ: 64, WRITE: 0, "scope": "opentelemetry.instrumentation.bedrock"},
        (463, 20, 64, 0, 0),
    ),
    "OpenLLMetry tells Gemini's thoughts in the total alone": (
        {IN: 399, OUT: 23, TOTAL: 435, "gen_ai.request.model": "gemini-2.5-flash"},
        (399, 36, 0, 0, 13),
    ),
    "a total says nothing of thoughts of others": (
        {IN: 399, OUT: 23, TOTAL: 435, "gen_ai.request.model": "gpt-4o-mini"},
        (399, 23, 0, 0, 0),
    ),
    "OpenLIT leaves Gemini's thoughts out of output and total": (
        {IN: 191, OUT: 20, "gen_ai.client.token.usage": 211, "gen_ai.usage.reasoning_tokens": 13}
        | {"gen_ai.request.model": "gemini-2.5-flash", "scope": "openlit.instrumentation.google_ai_studio"},
        (191, 33, 0, 0, 13),
    ),
    "OpenLIT leaves out what Anthropic had cached": (
        {IN: 500, OUT: 20, READ: 64, WRITE: 40, "scope": "openlit.instrumentation.anthropic"},
        (604, 20, 64, 40, 0),
    ),
    "Anthropic's usage handed to Langfuse": (
        {
            USAGE_DETAILS: json.dumps(
                {"input_tokens": 500, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 40, "output_tokens": 82}
            )
        },
        (604, 82, 64, 40, 0),
    ),
    "text inside JSON": ({USAGE_DETAILS: '{"prompt_tokens": "12", "completion_tokens": 7.0}'}, (12, 7, 0, 0, 0)),
    "null inside JSON is absent": ({USAGE_DETAILS: '{"prompt_tokens": null}', IN: 9}, (9, 0, 0, 0, 0)),
    "broken JSON is absent": ({USAGE_DETAILS: '{"input": 5', IN: 9}, (9, 0, 0, 0, 0)),
    "float": ({IN: 1000.0, OUT: 50.7}, (1000, 50, 0, 0, 0)),
    "exponent": ({IN: "1e3"}, (1000, 0, 0, 0, 0)),
    "zero": ({IN: 0, OUT: 0}, (0, 0, 0, 0, 0)),
    "negative": ({IN: -5, OUT: "-7"}, (0, 0, 0, 0, 0)),
    "not a number": ({IN: math.nan, OUT: "NaN"}, (0, 0, 0, 0, 0)),
    "infinite": ({IN: math.inf, OUT: "-inf"}, (0, 0, 0, 0, 0)),
    "1e21": ({IN: 1e21, OUT: "1e21"}, (0, 0, 0, 0, 0)),
    "Int64 maximum": ({IN: 2**63 - 1, OUT: "9" * 40}, (0, 0, 0, 0, 0)),
    "huge is capped": ({IN: 10**15, OUT: 10**15, READ: 10**15}, (10**12, 10**12, 10**12, 0, 0)),
    "not numbers": ({IN: "many", OUT: [1, 2], READ: {"a": 1}, REASONED: True}, (0, 0, 0, 0, 0)),
    "cached without input": ({READ: 30, WRITE: 4}, (34, 0, 30, 4, 0)),
    "fetched again": ({"gen_ai.operation.name": "fetch_response", IN: 100, OUT: 20, READ: 5}, (0, 0, 0, 0, 0)),
    "Strands passes Anthropic's numbers on": (
        {
            IN: 1000,
            OUT: 50,
            READ: 200,
            TOTAL: 1050,
            "scope": "strands.telemetry.tracer",
            "gen_ai.request.model": "claude-sonnet-4-5",
        },
        (1200, 50, 200, 0, 0),
    ),
    "Strands with OpenAI's": (
        {IN: 1000, OUT: 50, READ: 200, TOTAL: 1050, "scope": "strands.telemetry.tracer", "gen_ai.request.model": "gpt-4o"},
        (1000, 50, 200, 0, 0),
    ),
    "OpenInference on Bedrock": (
        {
            "llm.token_count.prompt": 900,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "openinference.instrumentation.bedrock",
        },
        (1000, 5, 100, 0, 0),
    ),
    "OpenInference on Anthropic adds them itself": (
        {
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "openinference.instrumentation.anthropic",
            "llm.system": "anthropic",
        },
        (1000, 5, 100, 0, 0),
    ),
    "Anthropic's own names are exclusive": (
        {IN: 1000, OUT: 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.system": "anthropic"},
        (1100, 5, 100, 0, 0),
    ),
    "the same names of another provider are not": (
        {IN: 1000, OUT: 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.system": "openai"},
        (1000, 5, 100, 0, 0),
    ),
    "ADK: thoughts and cached tokens in the answer": (
        {
            "gen_ai.system": "gcp.vertex.agent",
            "gen_ai.request.model": "gemini-2.5-flash",
            IN: 100,
            OUT: 20,
            "gcp.vertex.agent.llm_response": json.dumps(
                {
                    "usage_metadata": {
                        "prompt_token_count": 100,
                        "candidates_token_count": 20,
                        "thoughts_token_count": 7,
                        "cached_content_token_count": 40,
                        "total_token_count": 127,
                    }
                }
            ),
        },
        (100, 27, 40, 0, 7),
    ),
    "Haystack 3: usage deep in the step's output": (
        {
            "haystack.agent.step.llm.output": json.dumps(
                {
                    "replies": [
                        {
                            "role": "assistant",
                            "meta": {
                                "model": "gpt-4o-mini-2024-07-18",
                                "usage": {
                                    "completion_tokens": 53,
                                    "prompt_tokens": 217,
                                    "total_tokens": 270,
                                    "completion_tokens_details": {"reasoning_tokens": 8, "text_tokens": None},
                                    "prompt_tokens_details": {"cache_write_tokens": None, "cached_tokens": 64},
                                },
                            },
                        }
                    ]
                }
            ),
        },
        (217, 53, 64, 0, 8),
    ),
    "Haystack: usage deep in the component's output": (
        {
            "haystack.component.type": "OpenAIChatGenerator",
            "haystack.component.output": json.dumps(
                {
                    "replies": [
                        {
                            "role": "assistant",
                            "meta": {
                                "model": "gpt-4o",
                                "usage": {
                                    "completion_tokens": 20,
                                    "prompt_tokens": 100,
                                    "prompt_tokens_details": {"cached_tokens": 60},
                                    "completion_tokens_details": {"reasoning_tokens": 8},
                                },
                            },
                        }
                    ]
                }
            ),
        },
        (100, 20, 60, 0, 8),
    ),
    "a repr of the answer": (
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 100,
            "llm.token_count.completion": 20,
            "output.value": "ChatMessage(raw=ChatCompletion(usage=CompletionUsage(completion_tokens=20, prompt_tokens=100, "
            "prompt_tokens_details=PromptTokensDetails(audio_tokens=None, cached_tokens=60))))",
        },
        (100, 20, 60, 0, 0),
    ),
    "what an agent's answer quotes is not its usage": (
        {"openinference.span.kind": "AGENT", "output.value": '{"usage": {"prompt_tokens": 100}}'},
        (0, 0, 0, 0, 0),
    ),
    "what a message says is not the call's usage": (
        {"openinference.span.kind": "LLM", "output.value": json.dumps({"content": '{"prompt_tokens": 100}'})},
        (0, 0, 0, 0, 0),
    ),
    "LangSmith's details are a repr": (
        {
            IN: 100,
            OUT: 20,
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_token_details": "{'audio': 0, 'cache_read': 60}",
            "gen_ai.usage.output_token_details": "{'reasoning': 8}",
            TOTAL: 120,
            "gen_ai.completion": '{"token_usage": 1}',
        },
        (100, 20, 60, 0, 8),
    ),
    "Langfuse encoded twice": ({USAGE_DETAILS: json.dumps(json.dumps({"input": 100, "output": 20}))}, (100, 20, 0, 0, 0)),
    "AI SDK's provider metadata": (
        {
            "ai.usage.promptTokens": 100,
            "ai.usage.completionTokens": 20,
            "ai.response.providerMetadata": json.dumps({"openai": {"reasoningTokens": 8, "cachedPromptTokens": 60}}),
        },
        (100, 20, 60, 0, 8),
    ),
    # Version 5 takes the candidates alone for the output, and says nothing else but in the metadata; version 6 adds the thoughts.
    "AI SDK 5 without streaming has Gemini's counts in the metadata alone": (
        {IN: 83, OUT: 26, "ai.usage.promptTokens": 83, "ai.response.providerMetadata": _google_metadata(83, 26)},
        (83, 90, 32, 0, 64),
    ),
    "AI SDK 6 generates an object with Gemini": (
        {IN: 67, OUT: 103, "ai.usage.completionTokens": 103, "ai.response.providerMetadata": _google_metadata(67, 39)},
        (67, 103, 32, 0, 64),
    ),
    # Both as sent: the total is the SDK's own sum of Anthropic's numbers; what was written to the cache is in the metadata alone.
    "AI SDK 5 repeats Anthropic's numbers": (
        {
            IN: 91,
            OUT: 57,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.totalTokens": 148,
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": _anthropic_metadata(91, read=32, written=16),
        },
        (139, 57, 32, 16, 0),
    ),
    "AI SDK 5 without streaming has the cached count in the metadata alone": (
        {
            IN: 98,
            OUT: 38,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.promptTokens": 98,
            "ai.response.providerMetadata": _anthropic_metadata(98, read=32, written=0),
        },
        (130, 38, 32, 0, 0),
    ),
    "AI SDK 4 on Anthropic, with OpenInference's total": (
        {
            IN: 91,
            OUT: 26,
            "ai.model.provider": "anthropic.messages",
            "llm.token_count.total": 117,
            "ai.response.providerMetadata": json.dumps(
                {"anthropic": {"cacheCreationInputTokens": 16, "cacheReadInputTokens": 32}}
            ),
        },
        (139, 26, 32, 16, 0),
    ),
    "AI SDK 6 adds Anthropic's numbers up": (
        {
            IN: 123,
            OUT: 57,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": _anthropic_metadata(91, read=32, written=0),
        },
        (123, 57, 32, 0, 0),
    ),
    "AI SDK on Bedrock": (
        {
            IN: 91,
            OUT: 57,
            "ai.model.provider": "amazon-bedrock",
            "ai.usage.totalTokens": 196,
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": json.dumps({"bedrock": {"usage": {"cacheWriteInputTokens": 16}}}),
        },
        (139, 57, 32, 16, 0),
    ),
    "OpenLLMetry for JavaScript sends Anthropic's numbers as they are": (
        {
            IN: 80,
            OUT: 44,
            TOTAL: 124,
            READ: 32,
            "gen_ai.usage.cache_creation.input_tokens": 16,
            "gen_ai.provider.name": "anthropic",
            "scope": "@traceloop/instrumentation-anthropic",
        },
        (128, 44, 32, 16, 0),
    ),
    "OpenInference on Bedrock for JavaScript": (
        {
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "@arizeai/openinference-instrumentation-bedrock",
        },
        (1100, 5, 100, 0, 0),
    ),
    "embedding of the AI SDK": ({"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 12}, (12, 0, 0, 0, 0)),
    "LiveKit's realtime session counts text alone": (
        {IN: 100, OUT: 10, "gen_ai.usage.input_audio_tokens": 800, "gen_ai.usage.output_audio_tokens": 90},
        (900, 100, 0, 0, 0),
    ),
    # OpenRouter sends these for what its customers' calls used, Sentry's SDKs call them so too.
    "OpenRouter's classes": (
        {
            IN: 1000,
            OUT: 500,
            "gen_ai.usage.input_tokens.cached": 800,
            "gen_ai.usage.input_tokens.cache_write": 100,
            "gen_ai.usage.output_tokens.reasoning": 400,
        },
        (1000, 500, 800, 100, 400),
    ),
    # The metrics that all of Braintrust's SDKs write as JSON.
    "Braintrust's metrics": (
        {
            "braintrust.span_attributes": '{"type":"llm"}',
            "braintrust.metrics": json.dumps(
                {
                    "prompt_tokens": 1000,
                    "completion_tokens": 50,
                    "tokens": 1050,
                    "prompt_cached_tokens": 800,
                    "prompt_cache_creation_tokens": 100,
                    "completion_reasoning_tokens": 7,
                    "time_to_first_token": 0.5,
                }
            ),
        },
        (1000, 50, 800, 100, 7),
    ),
    "aggregated usage is not usage": (
        {"gen_ai.aggregated_usage.input_tokens": 100, "gen_ai.usage.partial.input_tokens": 3},
        (0,) * 5,
    ),
}


@pytest.mark.parametrize("case", TOKEN_CASES)
def test_tokens_are_totals_with_subsets(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    row = rows_of("tokens")[case]

    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert tuple(row[name] for name in names) == TOKEN_CASES[case][1]


COST_CASES: dict[str, tuple[Any, float | None]] = {
    "number": (0.5, 0.5), "text": ("0.25", 0.25), "zero": (0.0, None), "negative": (-1.0, None), "NaN": (math.nan, None),
    "infinite": (math.inf, None), "word": ("free", None), "absurd": (1e12, None),
}  # fmt: skip


@pytest.mark.parametrize("case", COST_CASES)
def test_supplied_cost_is_a_sane_amount_or_none(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("costs")[case]["supplied_cost_usd"] == COST_CASES[case][1]


# --- providers and agents ----------------------------------------------------------------------------------------------

PROVIDER_CASES = {
    **{name: (build_span({"gen_ai.provider.name": name}), canonical) for name, canonical in semconv.PROVIDERS.items()},
    **{
        f"{start}x": (build_span({"gen_ai.system": "langchain", "gen_ai.request.model": f"{start}x"}), maker)
        for start, maker in semconv.MAKERS.items()
    },
    "by the model's prefix": (build_span({"llm.model_name": "bedrock/us.anthropic.claude-3-haiku"}), "aws.bedrock"),
    "by the host": (build_span({"gen_ai.request.model": "my-tune", "server.address": "api.openai.com"}), "openai"),
    "Together by OpenLLMetry": (build_span({"gen_ai.system": "TogetherAI"}), "together"),
    "an unknown host is none": (build_span({"gen_ai.request.model": "my-tune", "server.address": "10.0.0.7"}), ""),
    **{name: (build_span({"gen_ai.system": name}), "") for name in semconv.FRAMEWORKS},
    "upper case": (build_span({"gen_ai.system": "OpenAI"}), "openai"),
    "Vercel": (build_span({"ai.model.provider": "openai.chat"}), "openai"),
    "Genkit's plugin": (
        build_span({"genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash"}),
        "gcp.gen_ai",
    ),
    "Braintrust's metadata": (build_span({"braintrust.metadata": '{"provider": "openai", "model": "gpt-4o"}'}), "openai"),
    "dotted names stay whole": (build_span({"gen_ai.provider.name": "aws.bedrock"}), "aws.bedrock"),
}


@pytest.mark.parametrize("case", PROVIDER_CASES)
def test_provider_has_one_name(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("providers")[case]["provider"] == PROVIDER_CASES[case][1]


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
    "not on chains": (build_span({"traceloop.span.kind": "task", "traceloop.entity.name": "step"}), ""),
}


@pytest.mark.parametrize("case", AGENT_CASES)
def test_agent_is_named_by_what_names_agents(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("agents")[case]["agent"] == AGENT_CASES[case][1]


MODEL_CASES = {
    "openai/gpt-4o-mini": "gpt-4o-mini", "bedrock/converse/us.anthropic.claude-3": "us.anthropic.claude-3",
    "models/gemini-2.5-flash": "gemini-2.5-flash", "gpt-4o": "gpt-4o", "openrouter/openai/gpt-4o": "openai/gpt-4o",
    "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro": "gemini-2.5-pro",
    "meta-llama/Llama-3": "meta-llama/Llama-3",
    "googleai/gemini-2.5-flash": "gemini-2.5-flash",
}  # fmt: skip


@pytest.mark.parametrize("sent", MODEL_CASES)
def test_model_has_its_own_name_without_the_routers_prefix(rows_of: Callable[[str], dict[Any, Row]], sent: str) -> None:
    assert rows_of("models")[sent]["request_model"] == MODEL_CASES[sent]


def test_model_is_read_where_only_a_name_or_json_tells_it(store: Store) -> None:
    spans = [
        build_span({"genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash"}),
        build_span({"genkit:metadata:subtype": "embedder", "genkit:name": "vertexai/text-embedding-005"}),
        build_span({"genkit:metadata:subtype": "tool", "genkit:name": "refund"}),
        build_span({"braintrust.metadata": '{"provider":"openai","model":"gpt-4o"}'}),
    ]
    output = '{"replies": [{"role": "assistant", "meta": {"model": "gpt-4o-mini-2024-07-18", "usage": {}}}]}'
    answered = [build_span({f"haystack.{part}.output": output}) for part in ("agent.step.llm", "component")]

    rows = store_spans(store, spans + answered, ("request_model", "response_model"))

    assert [row["request_model"] for row in rows] == ["gemini-2.5-flash", "text-embedding-005", "", "gpt-4o", "", ""]
    assert [row["response_model"] for row in rows[4:]] == ["gpt-4o-mini-2024-07-18"] * 2


def test_requested_model_of_langsmith_stays_the_one_that_was_asked_for(store: Store) -> None:
    # As Logfire hands the span on.
    sent = {"langsmith.metadata.ls_model_name": "gpt-5-mini", "gen_ai.response.model": "gpt-5-mini-2025-08-07"}
    sent |= {"langsmith.span.kind": "llm", "gen_ai.request.model": "gpt-5-mini-2025-08-07"}

    rows = store_spans(store, [build_span(sent)], ("request_model", "response_model"))

    assert rows == [{"request_model": "gpt-5-mini", "response_model": "gpt-5-mini-2025-08-07"}]


def test_parameters_that_echo_the_answer_are_no_request(store: Store) -> None:
    """The Responses API returns the request with its answer, the model being the answer's snapshot."""
    echoed = {"llm.model_name": "gpt-4.1-2025-04-14", "llm.invocation_parameters": '{"model": "gpt-4.1-2025-04-14"}'}
    asked = {"llm.model_name": "gpt-4.1-2025-04-14", "llm.invocation_parameters": '{"model": "gpt-4.1"}'}

    rows = store_spans(store, [build_span(echoed), build_span(asked)], ("request_model", "response_model"))

    assert [tuple(row.values()) for row in rows] == [("", "gpt-4.1-2025-04-14"), ("gpt-4.1", "gpt-4.1-2025-04-14")]


FIRST_TOKEN_CASES: dict[str, tuple[Row, int]] = {
    "event": (build_span(events=[("llm.content.completion.chunk", {})], event_ns=START_NS + 40), 40),
    "other event": (build_span(events=[("gen_ai.choice", {})], event_ns=START_NS + 40), 0),  # the whole answer, at its end
    "attribute before event": (
        build_span({"ttft_ms": 3}, events=[("ai.stream.firstChunk", {})], event_ns=START_NS + 40),
        3_000_000,
    ),
    "Strands means milliseconds": (
        build_span({"gen_ai.server.time_to_first_token": 29}, scope="strands.telemetry.tracer"),
        29_000_000,
    ),
    "text": (build_span({"gen_ai.response.time_to_first_chunk": "0.5"}), 500_000_000),
    "quoted time": (build_span({"langfuse.observation.completion_start_time": json.dumps(first_token_value("at"))}), 250_000_000),
    "time before the start": (build_span({"mastra.completion_start_time": "2020-01-01T00:00:00Z"}), 0),
    "nonsense": (build_span({"ttft_ms": "soon"}), 0),
    "negative": (build_span({"ttft_ms": -5}), 0),
    "not a number": (build_span({"gen_ai.response.time_to_first_chunk": math.nan}), 0),
    "longer than any call": (build_span({"gen_ai.response.time_to_first_chunk": 1e300}), 0),
    "year 9999": (build_span({"mastra.completion_start_time": "9999-12-31T23:59:59Z"}), 0),
    "not said": (build_span({"gen_ai.operation.name": "chat"}), 0),
}


@pytest.mark.parametrize("case", FIRST_TOKEN_CASES)
def test_time_to_first_token_is_in_nanoseconds(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("first token")[case]["time_to_first_token_ns"] == FIRST_TOKEN_CASES[case][1]


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
def test_tool_is_named_in_every_dialect(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("tool names")[case]["tool"] == TOOL_NAME_CASES[case][1]


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (["vip", "größer, als", "x" * 100], ["vip", "größer, als", "x" * 100]),
        ('["vip", "beta"]', ["vip", "beta"]),
        ("vip, beta,,beta", ["vip", "beta"]),
        ("vip", ["vip"]),
        (["tenletters", "\n"], ["tenletters", "\n"]),
        ('["not closed', []),
        ([f"tag-{number}" for number in range(99)], [f"tag-{number}" for number in range(64)]),
    ],
)
def test_tags_are_read_from_lists_json_and_commas(store: Store, value: Any, tags: list[str]) -> None:
    rows = store_spans(store, [build_span({"tag.tags": value})], ("tags",))

    assert rows[0]["tags"] == tags


def test_tier_is_the_one_that_served_and_a_batch_is_one(store: Store) -> None:
    asked, served = {"openai.request.service_tier": "flex"}, {"openai.response.service_tier": "Priority"}
    spans = [build_span(asked | served), build_span(asked), build_span({"gen_ai.request.batch": True} | served), build_span()]

    rows = store_spans(store, spans, ("service_tier",))

    assert [row["service_tier"] for row in rows] == ["priority", "flex", "batch", ""]


def test_requested_model_that_is_the_answers_is_none(store: Store) -> None:
    """The contrib instrumentation of the OpenAI Agents SDK over the Responses API, and over chat completions."""
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini-2025-08-07"}
    scope = "opentelemetry.instrumentation.openai_agents"
    spans = [
        build_span(call | {"gen_ai.response.model": "gpt-5-mini-2025-08-07"}, scope=scope),
        build_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}, scope=scope),
        build_span(call | {"gen_ai.response.model": "gpt-5-mini-2025-08-07"}),
    ]

    rows = store_spans(store, spans, ("request_model",))

    assert [row["request_model"] for row in rows] == ["", "gpt-5-mini", "gpt-5-mini-2025-08-07"]


def test_session_is_no_answer_that_a_call_continues_from(store: Store) -> None:
    """Microsoft's agent framework 1.23 over the Responses API, in the second call of a run."""
    continued = {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "resp_68", "gen_ai.response.id": "resp_69"}
    spans = [
        build_span(continued),
        build_span(continued | {"session.id": "s-1"}),
        build_span(continued | {"session.id": "resp_68"}),  # as OpenInference's names beside them
        build_span({"gen_ai.conversation.id": "conv_1"}),
    ]

    rows = store_spans(store, spans, ("session_id", "response_id"))

    assert [tuple(row.values()) for row in rows] == [("", "resp_69"), ("s-1", "resp_69"), ("", "resp_69"), ("conv_1", "")]


def test_workflow_of_langsmith_is_the_run_of_its_root(store: Store) -> None:
    root = build_span({"langsmith.trace.name": "support-graph"})
    child = build_span({"langsmith.trace.name": "ChatOpenAI", "langsmith.span.parent_id": "r"})
    later = build_span({"langsmith.trace.name": "ChatOpenAI"}, parent_span_id=b"\x01" * 8)  # 0.15: without the parent's id

    assert [row["workflow"] for row in store_spans(store, [root, child, later])] == ["support-graph", "", ""]


# --- errors and signals ------------------------------------------------------------------------------------------------


def raised(error: str, message: str = "") -> list[tuple[str, dict[str, Any]]]:
    return [("exception", {"exception.type": error, "exception.message": message})]


# case -> span, (is_error, type, message)
ERROR_CASES: dict[str, tuple[Row, tuple[bool, str, str]]] = {
    "status": (build_span(status=2, status_message="boom"), (True, "unknown", "boom")),
    "type at the start of the message": (
        build_span(status=2, status_message="RangeError: too much"),
        (True, "RangeError", "RangeError: too much"),
    ),
    "type in the message that another quotes": (
        build_span(status=2, status_message='Error running tool: {"tool_name":"t","error":"RangeError: too much"}'),
        (True, "RangeError", 'Error running tool: {"tool_name":"t","error":"RangeError: too much"}'),
    ),
    "no type in a sentence": (
        build_span(status=2, status_message="the ValueError: was odd"),
        (True, "unknown", "the ValueError: was odd"),
    ),
    "status and type": (build_span({"error.type": "TimeoutError"}, status=2), (True, "TimeoutError", "")),
    "type alone": (build_span({"error.type": "429"}), (True, "429", "")),
    "exception event": (build_span(status=2, events=raised("ValueError", "bad")), (True, "ValueError", "bad")),
    "type before exception": (build_span({"error.type": "A"}, status=2, events=raised("B")), (True, "A", "")),
    "status message before exception's": (build_span(status=2, status_message="s", events=raised("B", "e")), (True, "B", "s")),
    "exception under an unset status": (build_span(events=raised("B")), (True, "B", "")),
    "exception that a span with status ok dealt with": (
        build_span({"output.value": "done"}, status=1, events=raised("B")),
        (False, "", ""),
    ),
    "exception that ended a span with status ok": (build_span(status=1, events=raised("B")), (True, "B", "")),
    # OpenInference's processor for the AI SDK sets the status of whatever ends after an error anywhere in the trace.
    "AI SDK's answer after an error elsewhere": (
        build_span({"ai.operationId": "ai.generateText", "ai.response.finishReason": "stop"}, status=2, status_message="429"),
        (False, "", ""),
    ),
    "AI SDK's answer that raised": (
        build_span({"ai.response.finishReason": "stop"}, status=2, events=raised("B", "e")),
        (True, "B", "e"),
    ),
    "AI SDK's answer that ended in an error": (
        build_span({"ai.response.finishReason": "error"}, status=2, status_message="overloaded"),
        (True, "unknown", "overloaded"),
    ),
    "success false": (build_span({"success": False}), (True, "unknown", "")),
    "success true": (build_span({"success": True}), (False, "", "")),
    "Langfuse level": (build_span({"langfuse.observation.level": "ERROR"}), (True, "unknown", "")),
    "Langfuse warning": (build_span({"langfuse.observation.level": "WARNING"}), (False, "", "")),
    "graph interrupt": (build_span(status=2, events=raised("GraphInterrupt")), (False, "", "")),
    "graph interrupt with module": (build_span(status=2, events=raised("langgraph.errors.GraphInterrupt")), (False, "", "")),
    "approval required": (build_span(status=2, events=raised("pydantic_ai.exceptions.ApprovalRequired")), (False, "", "")),
    "parent command by message": (build_span(status=2, status_message="ParentCommand(goto='x')"), (False, "", "")),
    "ok status": (build_span(status=1), (False, "", "")),
    "cancelled by the user": (build_span(status=2, events=raised("asyncio.exceptions.CancelledError")), (False, "", "")),
    "LangSmith's exception under ok": (
        build_span(status=1, events=raised("Exception", "TimeoutError('upstream')Traceback (most recent call last):")),
        (True, "TimeoutError", "TimeoutError('upstream')Traceback (most recent call last):"),
    ),
    # LangSmith 0.15: chains with "{}", models with a generation that holds the answer's headers.
    "LangSmith's exception on a span with a result": (
        build_span(
            {"langsmith.span.kind": "llm", "gen_ai.completion": '{"generations":[[{"text":""}]]}'},
            status=1,
            events=raised("Exception", "OpenAIAPIError('Error code: 500')Traceback (most recent call last):\n\n\n  File"),
        ),
        (True, "OpenAIAPIError", "OpenAIAPIError('Error code: 500')"),
    ),
    "LangSmith's interrupt": (
        build_span(status=1, events=raised("Exception", "GraphInterrupt(Interrupt(...))")),
        (False, "", ""),
    ),
    "exception before the framework's own type": (
        build_span({"gen_ai.framework.error.type": "F"}, status=2, events=raised("B")),
        (True, "B", ""),
    ),
    "Langfuse's message": (
        build_span({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no funds"}),
        (True, "unknown", "no funds"),
    ),
    "what a step put out is no message of its error": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": "On its way."}, status=2),
        (True, "unknown", ""),
    ),
    "a message beside an output": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": "x", "error.message": "no funds"}, status=2),
        (True, "unknown", "no funds"),
    ),
    "Haystack 3's failed tool": (
        build_span(
            {
                "haystack.tool.name": "refund",
                "haystack.tool.error": True,
                "haystack.agent.step.tool.output": '{"error": "Failed to invoke Tool `refund`. Error: refused"}',
            },
            name="haystack.agent.step.tool",
        ),
        (True, "unknown", '{"error": "Failed to invoke Tool `refund`. Error: refused"}'),
    ),
    # Strands by way of OpenInference's processor.
    "Strands' tool": (
        build_span(
            {"openinference.span.kind": "TOOL", "tool.status": "error", "output.value": "Error: RefundError - no"}, status=1
        ),
        (True, "unknown", "Error: RefundError - no"),
    ),
    "Strands' good tool": (build_span({"tool.status": "success"}, status=1), (False, "", "")),
    "Pipecat's result": (build_span({"tool.result_status": "error"}), (True, "unknown", "")),
    "Pipecat's good result": (build_span({"tool.result_status": "success"}), (False, "", "")),
    "LiveKit's flag": (build_span({"lk.function_tool.is_error": True}), (True, "unknown", "")),
    "answer that ended in an error": (
        build_span({"gen_ai.response.finish_reasons": '["error"]'}, status=1),
        (True, "unknown", ""),
    ),
    "the same as a list": (build_span({"gen_ai.response.finish_reasons": ["error"]}), (True, "unknown", "")),
    "the same as Python shows it": (
        build_span({"gen_ai.response.finish_reason": "FinishReason.error"}),
        (True, "unknown", ""),
    ),
    "answer cut off": (build_span({"gen_ai.response.finish_reasons": ["length"]}), (False, "", "")),
    "nothing": (build_span(), (False, "", "")),
    "unknown status code": (build_span(status=7), (False, "", "")),
    "message without error": (build_span(status=1, status_message="fine"), (False, "", "")),
}


@pytest.mark.parametrize("case", ERROR_CASES)
def test_error_is_an_error_with_type_and_message(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    row = rows_of("errors")[case]

    assert (row["is_error"], row["error_type"], row["error_message"]) == ERROR_CASES[case][1]


TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}
SIGNAL_CASES = {
    "operation": (build_span({"gen_ai.operation.name": "handoff"}), "agent_handoff"),
    "contrib operation": (build_span({"gen_ai.operation.name": "agent_handoff"}), "agent_handoff"),
    "Traceloop kind": (build_span({"traceloop.span.kind": "handoff"}), "agent_handoff"),
    "Logfire name": (build_span(name="Handoff: triage → refunds"), "agent_handoff"),
    "OpenInference name": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to refunds"), "agent_handoff"),
    "Microsoft's agent answers its own hand-off": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "triage",
                "gen_ai.output.messages": json.dumps(
                    [
                        {
                            "role": "tool",
                            "parts": [{"type": "tool_call_response", "id": "c1", "response": '{"handoff_to": "billing"}'}],
                        }
                    ]
                ),
            }
        ),
        "agent_handoff",
    ),
    "the same by OpenInference": (
        build_span({"openinference.span.kind": "AGENT", "output.value": '{"handoff_to": "billing"}'}),
        "agent_handoff",
    ),
    "a model's call that may hand off": (
        build_span({"gen_ai.operation.name": "chat", "gen_ai.output.messages": '[{"response": "{\\"handoff_to\\": \\"a\\"}"}]'}),
        "",
    ),
    "waiting for a person": (build_span({"span.type": "tool.blocked_on_user"}), "human_wait"),
    "AG2 waits for a person": (build_span({"gen_ai.operation.name": "await_human_input"}), "human_wait"),
    "bad arguments": (build_span(TOOL, status=2, status_message="1 validation error for refund"), "refused_call"),
    "broken arguments": (build_span(TOOL | {"gen_ai.tool.call.arguments": '{"a": '}, status=2), "refused_call"),
    "ADK knows no such tool": (
        build_span(
            TOOL
            | {
                "error.type": "ValueError",
                "gen_ai.tool.call.result": '{"error": "Invoking `refund()` failed as no tool with that name is available."}',
            },
            status=2,
            status_message="ValueError",
        ),
        "refused_call",
    ),
    "ordinary tool error": (build_span(TOOL, status=2, status_message="connection refused"), ""),
    "ordinary tool": (build_span(TOOL), ""),
    "our own word": (build_span({"tracestore.signal": "human_escalation"}), "human_escalation"),
    "our own event": (build_span(events=[("tracestore.human_escalation", {})]), "human_escalation"),
    "a word that is none of ours": (build_span({"tracestore.signal": "lunch"}), ""),
    "hand-off to a person": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to human_agent"), "human_escalation"),
    "hand-off operation to a person": (
        build_span({"gen_ai.operation.name": "handoff", "gen_ai.handoff.to_agent": "live_agent"}),
        "human_escalation",
    ),
    "Traceloop's name": (build_span(name="triage → billing.handoff"), "agent_handoff"),
    "OpenLIT's agent that was handed the run": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "billing_agent",
                "gen_ai.agent.source": "support_agent",
            },
            name="invoke_agent billing_agent",
        ),
        "agent_handoff",
    ),
    "LangGraph's command": (build_span({"langgraph.command.goto_node": "billing"}), "agent_handoff"),
    **{
        f"hand-off tool {name}": (
            build_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}),
            "agent_handoff",
        )
        for name in (
            "transfer_to_billing",
            "transfer_back_to_triage",
            "handoff_to_billing",
            "handoff_to_agent",
            "transfer_to_agent",
            "Delegate work to coworker",
            "Ask question to coworker",
            "delegate_task_to_member",
            "Task",
            "handoff",
        )
    },
    "a sub-agent of that name is no tool": (build_span({"gen_ai.operation.name": "chat", "gen_ai.tool.name": "Task"}), ""),
    "deferred tool": (build_span({"pydantic_ai.tool.deferral.name": "ApprovalRequired"}), "human_approval_requested"),
    "run that ends with deferred calls": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "final_result": '{"calls":[],"approvals":[{"tool_name":"issue_refund"}]}'}
        ),
        "human_approval_requested",
    ),
    "interrupted graph": (build_span(status=2, events=raised("GraphInterrupt")), "human_approval_requested"),
    "interrupt in the answer": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": '{"__interrupt__": []}'}),
        "human_approval_requested",
    ),
    "asks the user": (
        build_span({"span.type": "tool", "tool_name": "AskUserQuestion"}),
        "human_approval_requested",
    ),
    "CrewAI asks": (build_span(events=[("human_feedback_requested", {})]), "human_approval_requested"),
    "CrewAI has heard": (build_span(events=[("human_feedback_received", {})]), "human_approval_decided"),
    "the AI SDK goes on after an answer": (
        build_span(
            {
                "ai.operationId": "ai.streamText",
                "ai.prompt": json.dumps({"messages": [{"role": "tool", "content": [{"type": "tool-approval-response"}]}]}),
            }
        ),
        "human_approval_decided",
    ),
    "OpenAI goes on after an answer": (
        build_span(
            {"input.value": "{'input': [{'type': 'mcp_approval_response', 'approve': False, 'approval_request_id': 'mcpr_1'}]}"}
        ),
        "human_approval_decided",
    ),
    "Strands goes on after an answer, in JSON within JSON": (
        build_span(
            {"gen_ai.input.messages": json.dumps([json.dumps([{"role": "user", "content": [{"type": "interrupt_response"}]}])])}
        ),
        "human_approval_decided",
    ),
    "an answer further back is history": (
        build_span(
            {
                "ai.prompt.messages": json.dumps(
                    [{"role": "tool", "content": [{"type": "tool-approval-response"}]}, {"role": "user", "content": "thanks"}]
                )
            }
        ),
        "",
    ),
    "talk about answers is none": (build_span({"input.value": "what is a tool-approval-response?"}), ""),
    "an answer and another question": (
        build_span({"input.value": '[{"type": "mcp_approval_response"}]', "output.value": '[{"type": "mcp_approval_request"}]'}),
        "human_approval_requested",
    ),
    "Microsoft's workflow asks": (build_span(events=[("request_info", {})]), "human_approval_requested"),
    "a hook decided": (build_span({"span.type": "tool.blocked_on_user", "source": "hook"}), ""),
    "ADK's escalate only ends a loop": (
        build_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "exit_loop", "gcp.vertex.agent.event_id": "e"}),
        "",
    ),
    "Codex's sandbox escalation": (build_span({"escalated_duration_ms": 5}), ""),
    "refused by a filter": (build_span({"gen_ai.response.finish_reasons": ["content_filter"]}), ""),
    "available hand-offs are no hand-off": (build_span({"gen_ai.agent.handoffs": ["a"]}), ""),
}


@pytest.mark.parametrize("case", SIGNAL_CASES)
def test_signal_is_given_for_what_signals(rows_of: Callable[[str], dict[Any, Row]], case: str) -> None:
    assert rows_of("signals")[case]["signal"] == SIGNAL_CASES[case][1]


def test_signals_are_the_same_without_content(store: Store) -> None:
    request, private = ExportTraceServiceRequest(), []
    for number, (span, _) in enumerate(SIGNAL_CASES.values(), start=1):
        add_to(request, number, span)
    Cleaner(Policy(build_masker((), (), hash_key=b""), stores_content=False, stores_error_texts=False)).clean(request)
    for resource_spans in request.resource_spans:
        sent = resource_spans.scope_spans[0].spans[0]
        events = [(event.name, {kv.key: kv.value for kv in event.attributes}) for event in sent.events]
        attributes = [(kv.key, kv.value) for kv in sent.attributes]
        scope = resource_spans.scope_spans[0].scope.name
        status: Row = {"status": sent.status.code, "status_message": sent.status.message}
        private.append(build_span(attributes, name=sent.name, scope=scope, events=events, **status))

    rows = store_spans(store, private, ("signal",))

    assert {case: row["signal"] for case, row in zip(SIGNAL_CASES, rows, strict=True)} == {
        case: signal for case, (_, signal) in SIGNAL_CASES.items()
    }


# --- hostile values ----------------------------------------------------------------------------------------------------

MAX_U64 = 2**64 - 1
YEAR_2200_NS, YEAR_1999_NS = 7_258_118_400 * 10**9, 946_684_799 * 10**9
# case -> (start, end), (expected start, expected duration)
TIME_CASES = {
    "ordinary": ((START_NS, START_NS + 5), (START_NS, 5)),
    "zero": ((0, 0), (RECEIVED_NS, 0)),
    "no start": ((0, START_NS), (RECEIVED_NS, 0)),
    "no end": ((START_NS, 0), (START_NS, 0)),
    "maximum": ((MAX_U64, MAX_U64), (RECEIVED_NS, 0)),
    "endless": ((START_NS, MAX_U64), (START_NS, 0)),
    "end before start": ((START_NS, START_NS - 5), (START_NS, 0)),
    "1970": ((1, 10), (RECEIVED_NS, 0)),
    "1999": ((YEAR_1999_NS, YEAR_1999_NS + 5), (RECEIVED_NS, 0)),
    "2200": ((YEAR_2200_NS, YEAR_2200_NS + 5), (RECEIVED_NS, 0)),
    "seconds for nanoseconds": ((1_790_000_000, 1_790_000_005), (RECEIVED_NS, 0)),
}


def test_absurd_time_is_filed_under_the_time_of_receipt(store: Store) -> None:
    spans = [build_span(start_ns=start, end_ns=end) for (start, end), _ in TIME_CASES.values()]

    rows = store_spans(
        store, spans, ("toUnixTimestamp64Nano(start_time) AS start_ns", "duration_ns", "reported_start_ns", "reported_end_ns")
    )

    assert {case: tuple(row.values()) for case, row in zip(TIME_CASES, rows, strict=True)} == {
        case: (*expected, *reported) for case, (reported, expected) in TIME_CASES.items()
    }


def test_ids_of_wrong_length_are_stored_and_break_nothing(store: Store) -> None:
    spans = [
        build_span(trace_id=b"", span_id=b"", parent_span_id=b"\x01"),
        build_span(trace_id=b"\x02" * 40, span_id=b"\x02" * 20, parent_span_id=b"\x03" * 20),
        build_span(span_id=b"\x07" * 8, parent_span_id=b"\x07" * 8),
    ]

    rows = store_spans(store, spans, ("hex(trace_id)", "hex(span_id)", "hex(parent_span_id)"))

    assert [tuple(row.values()) for row in rows] == [
        ("00" * 16, "00" * 8, "01" + "00" * 7),
        ("02" * 16, "02" * 8, "03" * 8),
        ("01" * 16, "07" * 8, "00" * 8),
    ]


HOSTILE_TEXTS = {
    "NUL": "a\x00b", "quotes": "'; DROP TABLE spans; --\\'", "newlines": "a\r\n\tb", "emoji": "🦙" * 100,
    "brackets": "((((((", "deep JSON": "[" * 5000, "placeholder": "{p0:String}", "spaces": "   ",
}  # fmt: skip


def test_hostile_text_in_every_field_at_once_is_stored_as_it_is(store: Store) -> None:
    resource_keys = [source.key for sources in semconv.FIELDS.values() for source in sources if source.form == "resource"]
    spans = [
        build_span(
            dict.fromkeys(semconv.wanted_keys(), text), dict.fromkeys(resource_keys, text),
            name=text, status_message=text, status=2, scope=text, events=[(text, dict.fromkeys(semconv.wanted_keys(), text))],
        )
        for text in HOSTILE_TEXTS.values()
    ]  # fmt: skip

    rows = store_spans(store, spans, ("name", "user_id", "attributes['session.id'] AS raw", "error_message"))

    assert rows == [dict.fromkeys(("name", "user_id", "raw", "error_message"), text) for text in HOSTILE_TEXTS.values()]


def test_values_of_a_megabyte_are_stored_whole(store: Store) -> None:
    keys = [
        "input.value",
        "output.value",
        "metadata",
        "user.id",
        "gen_ai.operation.name",
        "gen_ai.usage.input_tokens",
        USAGE_DETAILS,
    ]

    rows = store_spans(
        store,
        [build_span(dict.fromkeys(keys, text), name=text, status=2, status_message=text) for text in ("x" * 2**20, "{" * 2**20)],
        ("length(name) AS name", "arraySum(x -> length(x), mapValues(attributes)) AS size", "length(error_message) AS message"),
    )

    assert rows == [{"name": 2**20, "size": 2**20 * len(keys), "message": 2**20}] * 2


def test_bytes_that_are_not_utf_8_break_nothing(store: Store) -> None:
    keys = semconv.wanted_keys()
    span = build_span({key: AnyValue(bytes_value=b"\xff\xfe\x00{" + bytes(range(256))) for key in keys}, status=2)

    (row,) = store_spans(store, [span], ("length(attributes) AS count", "hex(attributes['session.id']) AS raw"))

    assert row == {"count": len(keys), "raw": (b"\xff\xfe\x00{" + bytes(range(256))).hex().upper()}


def test_text_that_is_not_utf_8_breaks_nothing(store: Store) -> None:
    # A Protobuf library refuses such text when it builds a message; bytes of the same length take its place afterwards.
    request, batch_seq = ExportTraceServiceRequest(), next(_batch_seqs)
    add_to(
        request,
        1,
        build_span(dict.fromkeys(semconv.wanted_keys(), "@@@@@@@@"), name="@@@@@@@@", status=2, status_message="@@@@@@@@"),
    )
    body = request.SerializeToString().replace(b"@@@@@@@@", b"\xc3\x28\xff\xfe\xed\xa0\x80\x00")

    insert_batch(store, [(1, RECEIVED_NS, body)], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows("SELECT count() FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq) == [(1,)]


def test_a_thousand_attributes_are_all_kept(store: Store) -> None:
    span = build_span({f"key.{number}": number for number in range(1000)} | {"session.id": "s"})

    (row,) = store_spans(store, [span], ("length(attributes) AS count", "attributes['key.999'] AS last", "session_id"))

    assert row == {"count": 1001, "last": "999", "session_id": "s"}


def test_last_value_counts_of_an_attribute_sent_twice(store: Store) -> None:
    twice: list[tuple[str, Any]] = [
        ("gen_ai.request.model", "a"),
        ("user.id", "ada"),
        ("gen_ai.request.model", "b"),
        ("n", 1),
        ("n", "x"),
    ]
    columns = ("request_model", "attributes['gen_ai.request.model'] AS found", "mapKeys(attributes) AS keys",
               "mapValues(attributes) AS texts", "attribute_types")  # fmt: skip

    (row,) = store_spans(store, [build_span(twice)], columns)

    read = decode_attributes(row["keys"], row["texts"], row["attribute_types"])
    assert row["request_model"] == row["found"] == read["gen_ai.request.model"] == "b"
    assert read["n"] == "x"


def test_values_of_every_type_come_back_as_they_were_sent(store: Store) -> None:
    sent: dict[str, Any] = {
        "text": "a", "no text": "", "whole": -3, "float": 0.1, "yes": True, "no": False,
        "list": ["a", 1, 2.5, None, ["b", {"c": []}]],
        "empty list": [], "map": {"a": {"b": [1, {"c": "d"}]}, "e": None}, "empty map": {}, "nothing": None, "bytes": b"plain",
    }  # fmt: skip
    columns = (
        "mapKeys(attributes) AS keys",
        "arrayMap((x, i) -> if(substring(attribute_types, i, 1) IN ('a', 'k'), base64Encode(x), x), mapValues(attributes), "
        "arrayEnumerate(mapValues(attributes))) AS texts",
        "attribute_types",
    )

    (row,) = store_spans(store, [build_span(sent)], columns)

    read = decode_attributes(row["keys"], row["texts"], row["attribute_types"])
    assert {key: value for key, value in read.items() if key != "bytes"} == {
        key: value for key, value in sent.items() if key != "bytes"
    }
    assert row["attribute_types"] == "ssidbbaakkny"[::-1]
    assert list(read) == list(sent)


def test_key_sent_twice_and_empty_keys_break_nothing(store: Store) -> None:
    span = build_span(
        [("session.id", "first"), ("session.id", "second"), ("", "x"), ("", ""), ("user.id", None), ("user.id", "u")]
    )

    (row,) = store_spans(store, [span], ("session_id", "length(attributes) AS count"))

    assert row == {"session_id": "second", "count": 6}


def test_empty_request_and_empty_span_break_nothing(store: Store) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add()
    request.resource_spans.add()
    batch_seq = next(_batch_seqs)

    insert_batch(store, [(1, 0, b""), (1, 0, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows(
        "SELECT name, service, environment, kind, toYear(start_time) FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq
    ) == [("unknown", "unknown", "default", "other", 2000)]


def test_pending_spans_of_logfire_are_left_out(store: Store) -> None:
    request, batch_seq = ExportTraceServiceRequest(), next(_batch_seqs)
    add_to(request, 1, build_span({"logfire.span_type": "pending_span"}))
    add_to(request, 2, build_span({"logfire.span_type": "span"}))

    insert_batch(store, [(1, RECEIVED_NS, request.SerializeToString())], writer="semconv", batch_seq=batch_seq)

    assert store.query_rows("SELECT count() FROM spans WHERE batch_seq = {seq:UInt64}", seq=batch_seq) == [(1,)]


def test_every_wanted_key_is_named_once_per_field() -> None:
    for field, sources in semconv.FIELDS.items():
        assert len(set(sources)) == len(sources), field


GROUPS: dict[str, dict[Any, Row]] = {
    "fields": FIELD_CASES,
    "precedence": PRECEDENCE_CASES,
    "absent": ABSENT_CASES,
    "kinds": KIND_CASES,
    "other kinds": {case: span for case, (span, _) in OTHER_KINDS.items()},
    "tokens": {
        case: build_span({key: value for key, value in attributes.items() if key != "scope"}, scope=attributes.get("scope", ""))
        for case, (attributes, _) in TOKEN_CASES.items()
    },
    "costs": {case: build_span({"gen_ai.usage.cost": value}) for case, (value, _) in COST_CASES.items()},
    "providers": {case: span for case, (span, _) in PROVIDER_CASES.items()},
    "models": {sent: build_span({"gen_ai.request.model": sent}) for sent in MODEL_CASES},
    "tool names": {case: span for case, (span, _) in TOOL_NAME_CASES.items()},
    "agents": {case: span for case, (span, _) in AGENT_CASES.items()},
    "errors": {case: span for case, (span, _) in ERROR_CASES.items()},
    "first token": {case: span for case, (span, _) in FIRST_TOKEN_CASES.items()},
    "signals": {case: span for case, (span, _) in SIGNAL_CASES.items()},
}
