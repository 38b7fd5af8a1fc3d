"""Where the input and the output of a step stand, and the arguments and the result of a tool, in any dialect. Pure and total.

Each table below lists where to look, first hit wins: OpenTelemetry GenAI (current, then older names and events), OpenInference,
OpenLLMetry, Vercel AI SDK, Langfuse, pydantic-ai, MLflow, Google ADK and others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tracestore.content import payload_readers as readers
from tracestore.content.message_parts import Part
from tracestore.content.messages import read_messages
from tracestore.content.payload_readers import EVENT_ROLES, KEY_LIMIT, Payload, Reader, Telling, value_of

_CALLING = ("tool_calls", "tool_call", "tool_use", "function_call")


Table = Sequence[tuple[str, Reader]]


def read_input(span: Telling) -> Payload | None:
    """Return what went into a step, by its own account."""
    return first_payload(span, INPUTS)


def read_output(span: Telling) -> Payload | None:
    """Return what came out of a step, by its own account."""
    return first_payload(span, OUTPUTS)


def _with_calls(first: Payload, others: Iterable[Payload]) -> Payload:
    """Return the payload with the calls of tools that its last message ended for, if those stand elsewhere.

    LiteLLM writes what is said under the current names, and calls beside it under older ones.
    """
    if not first.messages or first.messages[-1].finish_reason not in _CALLING or _find_calls(first):
        return first
    calls = next(filter(None, map(_find_calls, others)), [])
    *before, last = first.messages
    return replace(first, messages=[*before, replace(last, parts=[*last.parts, *calls])])


def _find_calls(payload: Payload) -> list[Part]:
    return [part for message in payload.messages for part in message.parts if part.kind == "tool_call"]


def read_tool_call(span: Telling) -> tuple[Payload | None, Payload | None]:
    """Return the arguments and the result of a tool call, by its own account."""
    return first_payload(span, ARGUMENTS), first_payload(span, RESULTS)


def first_payload(span: Telling, table: Table) -> Payload | None:
    """Return what the first row of a table says that says something, None when none does."""
    # An SDK that writes its own names knows best; what other instrumentation adds to its spans is second-hand.
    own = "langfuse." if span.scope_name.startswith("langfuse") else ""
    ordered = sorted(table, key=lambda row: not row[0].startswith(own)) if own else table
    found = (payload for key, read in ordered if (payload := read(span, key)) is not None)
    first = next(found, None)
    # LiteLLM writes an answer of tool calls alone as a message without parts, and the calls under the older names.
    first = first if first is None or not _says_nothing(first) else next((p for p in found if not _says_nothing(p)), first)
    return None if first is None else _with_calls(first, found)


def _says_nothing(payload: Payload) -> bool:
    return bool(payload.messages) and not any(message.parts for message in payload.messages)


_REQUEST_EVENTS = frozenset(name for name in EVENT_ROLES if name != "gen_ai.choice")
_DETAILS = "gen_ai.client.inference.operation.details"

# The events of spans that the first two tables look at.
CONTENT_EVENTS = (*sorted(EVENT_ROLES), _DETAILS, "gen_ai.content.prompt", "gen_ai.content.completion")

INPUTS: Table = (
    ("gen_ai.input.messages", readers.chat("user")),
    (_DETAILS, readers.event_field((_DETAILS, "gen_ai.input.messages"), role="user")),
    ("gen_ai.*.message", readers.event_messages(*_REQUEST_EVENTS)),
    ("gen_ai.content.prompt", readers.event_field(("gen_ai.content.prompt", "gen_ai.prompt"), role="user")),
    ("gen_ai.prompt", readers.indexed("user")),
    ("llm.input_messages", readers.indexed("user")),
    ("llm.prompts", readers.texts("user", "prompt", "text")),
    ("llm.messages", readers.chat("user")),
    ("gen_ai.retrieval.query.text", readers.chat()),
    ("gen_ai.memory.query.text", readers.chat()),
    ("input.value", readers.chat()),
    ("input.audio.transcript", readers.chat("user")),
    ("ai.prompt.messages", readers.chat("user")),
    ("ai.prompt", readers.chat("user")),
    ("ai.value", readers.chat()),
    ("ai.values", readers.chat()),
    ("langfuse.observation.input", readers.chat()),
    ("langfuse.trace.input", readers.chat()),
    ("pydantic_ai.all_messages", readers.conversation("input")),
    ("all_messages_events", readers.recorded_events(_REQUEST_EVENTS)),
    ("events", readers.recorded_events(_REQUEST_EVENTS)),
    ("request_data", readers.chat()),
    ("traceloop.entity.input", readers.chat()),
    ("mlflow.spanInputs", readers.chat()),
    ("gcp.vertex.agent.llm_request", readers.chat()),
    ("mastra.agent_run.input", readers.chat("user")),
    ("mastra.model_generation.input", readers.chat()),
    ("mastra.model_step.input", readers.chat()),
    ("mastra.mapping.input", readers.chat()),
    ("llm.openai.messages", readers.chat()),
    ("gen_ai.task.input", readers.chat()),
    ("genkit:input", readers.chat()),
    ("braintrust.input_json", readers.chat("user")),
    ("haystack.agent.step.llm.input", readers.chat("user")),
    ("haystack.agent.input", readers.chat("user")),
    ("haystack.component.input", readers.chat("user")),
    ("haystack.pipeline.input_data", readers.chat()),
    ("lmnr.span.input", readers.chat("user")),
    ("lk.user_input", readers.chat("user")),
    ("lk.pii.user_input", readers.chat("user")),
    ("user_prompt", readers.chat("user")),
    ("new_context", readers.chat("user")),
    ("prompt", readers.chat("user")),
    ("claude_code.user_prompt", readers.event_texts("claude_code.user_prompt", "prompt", "user")),
    ("codex.user_prompt", readers.event_texts("codex.user_prompt", "prompt", "user")),
    ("agentops.entity.input", readers.chat()),
    ("agentops.agent.input", readers.chat()),
    ("agentops.task.input", readers.chat()),
    ("agentops.operation.input", readers.chat()),
    ("confident.span.input", readers.chat()),
    ("langwatch.input", readers.typed(readers.chat())),
    ("input-json", readers.chat()),
    ("input", readers.chat()),
    ("inputs", readers.chat("user")),
)
OUTPUTS: Table = (
    ("gen_ai.output.messages", readers.chat("assistant")),
    (_DETAILS, readers.event_field((_DETAILS, "gen_ai.output.messages"), role="assistant")),
    ("gen_ai.choice", readers.event_messages("gen_ai.choice")),
    # OpenLIT's older versions, whose event says "None" then, and Sentry.
    ("gen_ai.response.tool_calls", readers.chat("assistant")),
    ("gen_ai.content.completion", readers.event_field(("gen_ai.content.completion", "gen_ai.completion"), role="assistant")),
    ("gen_ai.completion", readers.indexed("assistant")),
    ("llm.output_messages", readers.indexed("assistant")),
    ("llm.choices", readers.texts("assistant", "completion", "text")),
    ("output.value", readers.chat()),
    ("output.audio.transcript", readers.chat("assistant")),
    ("ai.response", readers.vercel_answer),
    ("ai.result", readers.vercel_answer),
    ("langfuse.observation.output", readers.chat()),
    ("langfuse.trace.output", readers.chat()),
    ("final_result", readers.chat("assistant")),
    ("pydantic_ai.all_messages", readers.conversation("output")),
    ("all_messages_events", readers.recorded_events(frozenset({"gen_ai.choice"}))),
    ("events", readers.recorded_events(frozenset({"gen_ai.choice"}))),
    ("response_data", readers.chat()),
    ("traceloop.entity.output", readers.chat()),
    ("mlflow.spanOutputs", readers.chat("assistant")),
    ("gcp.vertex.agent.llm_response", readers.chat()),
    ("mastra.agent_run.output", readers.chat()),
    ("mastra.model_generation.output", readers.chat()),
    ("mastra.model_step.output", readers.chat()),
    ("mastra.model_chunk.output", readers.chat()),
    ("mastra.mapping.output", readers.chat()),
    ("llm.openai.choices", readers.chat()),
    ("gen_ai.task.output", readers.chat()),
    ("genkit:output", readers.chat()),
    ("braintrust.output_json", readers.chat("assistant")),
    ("haystack.agent.step.llm.output", readers.chat("assistant")),
    ("haystack.agent.output", readers.chat("assistant")),
    ("haystack.component.output", readers.chat("assistant")),
    ("haystack.pipeline.output_data", readers.chat()),
    ("lmnr.span.output", readers.chat("assistant")),
    ("lk.response.text", readers.chat("assistant")),
    ("lk.pii.response.text", readers.chat("assistant")),
    ("response.model_output", readers.chat("assistant")),
    ("claude_code.assistant_response", readers.event_texts("claude_code.assistant_response", "response", "assistant")),
    ("response", readers.chat("assistant")),
    ("agentops.entity.output", readers.chat()),
    ("agentops.agent.output", readers.chat()),
    ("agentops.task.output", readers.chat()),
    ("agentops.operation.output", readers.chat()),
    ("confident.span.output", readers.chat()),
    ("langwatch.output", readers.typed(readers.chat())),
    ("llm.generated_message", readers.chat("assistant")),
    ("output-json", readers.chat()),
    ("output", readers.chat()),
)
ARGUMENTS: Table = (
    ("gen_ai.tool.call.arguments", readers.arguments),
    ("input.value", readers.arguments),
    ("ai.toolCall.args", readers.arguments),
    ("traceloop.entity.input", readers.arguments),
    ("tool_arguments", readers.arguments),
    ("gcp.vertex.agent.tool_call_args", readers.arguments),
    ("gen_ai.tool.args", readers.arguments),
    ("gen_ai.tool.input", readers.arguments),
    ("langfuse.observation.input", readers.arguments),
    ("mlflow.spanInputs", readers.arguments),
    ("tool_input", readers.arguments),
    ("spring.ai.tool.call.arguments", readers.arguments),
    ("tool.arguments", readers.arguments),
    ("lk.function_tool.arguments", readers.arguments),
    ("lk.pii.function_tool.arguments", readers.arguments),
    ("genkit:input", readers.arguments),
    ("braintrust.input_json", readers.arguments),
    ("haystack.agent.step.tool.input", readers.arguments),
    ("gen_ai.prompt", readers.arguments),
    ("lmnr.span.input", readers.arguments),
    ("arguments", readers.arguments),
    ("args", readers.arguments),
    ("gen_ai.tool.message", readers.argument_event),
    ("input", readers.arguments),
    ("tool.parameters", readers.arguments),
    ("agentops.tool.input", readers.arguments),
    ("tool_args", readers.arguments),
    ("confident.span.input", readers.arguments),
    ("langwatch.input", readers.typed(readers.arguments)),
    ("gen_ai.input.messages", readers.arguments_of_request),
    ("claude_code.tool_result", readers.event_arguments("claude_code.tool_result", "tool_input")),
    ("codex.tool_result", readers.event_arguments("codex.tool_result", "arguments")),
)
RESULTS: Table = (
    ("gen_ai.tool.call.result", readers.result),
    ("output.value", readers.result),
    ("ai.toolCall.result", readers.result),
    ("traceloop.entity.output", readers.result),
    ("tool_response", readers.result),
    ("gcp.vertex.agent.tool_response", readers.result),
    ("gen_ai.tool.output", readers.result),
    ("langfuse.observation.output", readers.result),
    ("mlflow.spanOutputs", readers.result),
    ("spring.ai.tool.call.result", readers.result),
    ("tool.result", readers.result),
    ("lk.function_tool.output", readers.result),
    ("lk.pii.function_tool.output", readers.result),
    ("genkit:output", readers.result),
    ("braintrust.output_json", readers.result),
    ("haystack.agent.step.tool.output", readers.result),
    ("gen_ai.completion", readers.result),
    ("lmnr.span.output", readers.result),
    ("tool.output", readers.event_field(("tool.output", "output"), ("tool.output", "tool.output"))),
    ("gen_ai.choice", readers.result_event),
    ("gen_ai.output.messages", readers.result),
    ("agentops.tool.output", readers.result),
    ("result.content", readers.result_texts),
    ("confident.span.output", readers.result),
    ("langwatch.output", readers.typed(readers.result)),
    ("output", readers.result),
    ("return", readers.result),
    ("codex.tool_result", readers.event_field(("codex.tool_result", "output"))),
)
INSTRUCTIONS = (
    "gen_ai.system_instructions",
    "ai.prompt.system",
    "system_instructions",
    "instructions",
    "gen_ai.request.instructions",
)


def read_instructions(span: Telling, read_input: Payload | None) -> list[Part]:
    """System instructions that stand beside the messages; empty when the messages begin with them anyway."""
    if read_input is not None and any(message.role == "system" for message in read_input.messages[:1]):
        return []
    details = (event.attributes.get("gen_ai.system_instructions") for event in span.events[:KEY_LIMIT] if event.name == _DETAILS)
    for value in (*(value_of(span, key) for key in INSTRUCTIONS), *details):
        messages = read_messages(value, role="system") if value is not None else None
        if messages:
            return [part for message in messages for part in message.parts]
    return []
