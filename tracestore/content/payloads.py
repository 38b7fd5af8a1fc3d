"""Where the input and the output of a step stand, and the arguments and the result of a tool, in any dialect. Pure and total.

Each table below lists where to look, first hit wins: OpenTelemetry GenAI (current, then older names and events), OpenInference,
OpenLLMetry, Vercel AI SDK, Langfuse, pydantic-ai, MLflow, Google ADK and others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

from tracestore.content.messages import Message, Part, read_messages
from tracestore.content.values import decode_value, is_structured, to_text
from tracestore.model import SpanEvent

SLOT_LIMIT = 2_000  # llm.input_messages.999999999.x must not become a list of that length
_SEGMENT_LIMIT = 12
# Python refuses to read a number of more than 4300 digits, and a key of an attribute that is a map may have any length.
_INDEX_DIGITS = 6
_KEY_LIMIT = 20_000
_CALLING = ("tool_calls", "tool_call", "tool_use", "function_call")
# What senders, and "do not store content", leave in the place of a text.
ABSENT = {"", "null", "<REDACTED>", "[REDACTED]", "__REDACTED__", "<not specified>", "N/A"}


@dataclass(frozen=True)
class Payload:
    """Input or output: messages when the value held some, else its text. `source` is the attribute or event it came from."""

    source: str
    messages: list[Message] = field(default_factory=list)
    text: str = ""
    is_json: bool = False


class Telling(Protocol):
    """What readers look at of a span."""

    @property
    def attributes(self) -> Mapping[str, Any]: ...
    @property
    def events(self) -> Sequence[SpanEvent]: ...
    @property
    def scope_name(self) -> str: ...


Reader = Callable[[Telling, str], Payload | None]
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


def value_of(span: Telling, key: str) -> Any:
    """Return the attribute decoded, None when it is absent or says nothing."""
    value = span.attributes.get(key)
    if value is None or (isinstance(value, str) and value.strip() in ABSENT):
        return None
    return value


def _payload(source: str, value: Any, role: str = "") -> Payload | None:
    """Return the value as messages if it holds some, else as text; with `role`, text counts as one message of that role."""
    decoded = decode_value(value)
    if decoded is None or decoded in ("", [], {}):
        return None
    messages = read_messages(decoded, role=role)
    if messages is not None:
        return Payload(source, messages)
    return Payload(source, text=to_text(value), is_json=isinstance(decoded, list | dict))


def _chat(role: str = "") -> Reader:
    return lambda span, key: _payload(key, value_of(span, key), role)


def _indexed(role: str) -> Reader:
    """Read `prefix.N.field...` keys, or the prefix itself holding all of them as JSON."""

    def read(span: Telling, prefix: str) -> Payload | None:
        items = unflatten(span.attributes, prefix)
        if not items:
            return _payload(prefix, value_of(span, prefix))
        messages = [
            message for item in items for message in read_messages(_with_role(item, role)) or read_messages(item, role=role) or []
        ]
        return Payload(f"{prefix}.*", messages) if messages else None

    return read


def _with_role(item: Any, role: str) -> Any:
    if not isinstance(item, dict):
        return item
    inner = item["message"] if isinstance(item.get("message"), dict) else item
    return inner if "role" in inner else {"role": role, **inner}


def _texts(role: str, *path: str) -> Reader:
    """Read `prefix.N.<path>` keys that are one text each."""

    def read(span: Telling, prefix: str) -> Payload | None:
        messages = []
        for item in unflatten(span.attributes, prefix):
            for step in path:
                item = item.get(step) if isinstance(item, dict) else None
            if isinstance(item, str) and item:
                messages.append(Message(role, [Part("text", item)]))
        return Payload(f"{prefix}.*", messages) if messages else None

    return read


def unflatten(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """Rebuild the list behind `prefix.0.a.b`, `prefix.1.a.b` ...; slots beyond SLOT_LIMIT are left to the attribute table."""
    root: dict[str, Any] = {}
    start = prefix + "."
    for key in islice((key for key in attributes if key.startswith(start)), _KEY_LIMIT):
        segments = key[len(start) :].split(".")
        if len(segments) > _SEGMENT_LIMIT or any(segment.isdigit() and len(segment) > _INDEX_DIGITS for segment in segments):
            continue
        node: Any = root
        for segment in segments[:-1]:
            node = node.setdefault(segment, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.setdefault(segments[-1], attributes[key])
    items = _to_lists(root)
    return items if isinstance(items, list) else []


def _to_lists(node: Any) -> Any:
    """Turn dicts whose keys are all indices into lists, in order of index."""
    if not isinstance(node, dict):
        return node
    if node and all(map(_is_index, node)):
        return [_to_lists(node[key]) for key in sorted(node, key=int) if int(key) < SLOT_LIMIT]
    return {key: _to_lists(value) for key, value in node.items()}


def _is_index(key: str) -> bool:
    return len(key) <= _INDEX_DIGITS and key.isascii() and key.isdigit()


_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


def _event_messages(*names: str) -> Reader:
    def read(span: Telling, key: str) -> Payload | None:
        messages: list[Message] = []
        for event in span.events[:_KEY_LIMIT]:
            if event.name in names:
                messages += _event_message(event.name, event.attributes)
        return Payload(f"{key} events", messages) if messages else None

    return read


def _event_message(name: str, attributes: Mapping[str, Any]) -> list[Message]:
    """One `gen_ai.*.message` or `gen_ai.choice` event; Strands puts JSON of Bedrock parts into its fields, Azure all into one."""
    if isinstance(whole := decode_value(attributes.get("gen_ai.event.content")), dict):
        attributes = whole
    body = decode_value(attributes.get("message")) if name == "gen_ai.choice" else None
    fields = {**attributes, **body} if isinstance(body, dict) else dict(attributes)
    if body is not None and not isinstance(body, dict):
        fields["content"] = body
    fields.pop("message", None)
    fields["content"] = decode_value(fields.get("content", ""))
    fields["role"] = fields.get("role") or _EVENT_ROLES.get(name, "user")
    return read_messages(fields) or []


def _event_field(*pairs: tuple[str, str], role: str = "") -> Reader:
    """The first of these (event name, attribute) that is there."""

    def read(span: Telling, key: str) -> Payload | None:
        for event in span.events[:_KEY_LIMIT]:
            for name, attribute in pairs:
                if event.name == name and (payload := _payload(f"{name} event", event.attributes.get(attribute), role)):
                    return payload
        return None

    return read


def _recorded_events(names: frozenset[str]) -> Reader:
    """pydantic-ai's older formats: an attribute with a JSON list of events, each with its `event.name`."""

    def read(span: Telling, key: str) -> Payload | None:
        events = decode_value(span.attributes.get(key))
        messages: list[Message] = []
        for event in events[:_KEY_LIMIT] if isinstance(events, list) else []:
            name = event.get("event.name") if isinstance(event, dict) else None
            if isinstance(name, str) and name in names:
                messages += _event_message(name, event)
        return Payload(key, messages) if messages else None

    return read


def _conversation(part: str) -> Reader:
    """A whole conversation in one attribute: the last answer is the output, the rest the input."""

    def read(span: Telling, key: str) -> Payload | None:
        payload = _payload(key, value_of(span, key))
        if payload is None or not payload.messages:
            return None
        answered = payload.messages[-1].role == "assistant"
        split = len(payload.messages) - answered
        messages = payload.messages[:split] if part == "input" else payload.messages[split:]
        return Payload(key, messages) if messages else None

    return read


def _vercel_answer(span: Telling, prefix: str) -> Payload | None:
    """Vercel AI SDK: the parts of one answer under `ai.response.*` (`ai.result.*` before version 4)."""
    reasoning = value_of(span, f"{prefix}.reasoning")
    parts = [Part("reasoning", to_text(reasoning))] if decode_value(reasoning) else []
    text = value_of(span, f"{prefix}.text")
    if text is not None:
        parts.append(Part("text", str(text)))
    calls = decode_value(value_of(span, f"{prefix}.toolCalls"))
    if isinstance(calls, list):
        answer = read_messages([{"role": "assistant", "content": [], "tool_calls": calls}])
        parts += answer[0].parts if answer else []
    structured = value_of(span, f"{prefix}.object")
    if structured is not None:
        parts.append(Part("data", to_text(structured)))
    reason = value_of(span, f"{prefix}.finishReason")
    return Payload(f"{prefix}.*", [Message("assistant", parts, finish_reason=str(reason or ""))]) if parts else None


def _arguments(span: Telling, key: str) -> Payload | None:
    """Tool arguments: decoded, without the envelope that decorators and LangChain put around them. `{}` is an answer here."""
    value = decode_value(value_of(span, key))
    return None if value is None else _plain(key, open_envelope(value))


def _arguments_of_request(span: Telling, key: str) -> Payload | None:
    """Tool arguments as Gemini CLI sends them: within its request, {"callId": ..., "name": ..., "args": ...}."""
    value = decode_value(value_of(span, key))
    return _plain(key, value["args"]) if isinstance(value, dict) and {"callId", "args"} <= value.keys() else None


# What holds the arguments alone, by what stands beside it: decorators of DSPy and LlamaIndex, BeeAI.
_ARGUMENT_KEYS: dict[str, set[str]] = {"kwargs": set(), "input": {"options"}}


def open_envelope(value: Any) -> Any:
    """Return the arguments of a tool call without what decorators and LangChain put around them."""
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("inputs"), dict) and "input_str" in value:
        return value["inputs"]
    if isinstance(value.get("input_str"), str):
        return decode_value(value["input_str"])
    if {"args", "kwargs"} <= set(value) <= {"args", "kwargs", "sanitize_inputs_outputs"} and not (
        value["args"] and value["kwargs"]
    ):
        return value["kwargs"] or value["args"]
    for key, beside in _ARGUMENT_KEYS.items():
        if isinstance(value.get(key), dict) and set(value) == {key} | beside:
            return value[key]
    return value


def _result(span: Telling, key: str) -> Payload | None:
    """Tool result: what the tool returned, even where the framework wrapped it into a tool message."""
    return _open_result(key, value_of(span, key))


def _open_result(source: str, value: Any) -> Payload | None:
    if value is None:
        return None
    messages = read_messages(value)
    if messages is not None and len(messages) == 1 and messages[0].role == "tool" and len(messages[0].parts) == 1:
        return _plain(source, messages[0].parts[0].text)
    decoded = decode_value(value)
    if isinstance(decoded, dict) and {"tool_name", "raw_output"} <= decoded.keys():  # LlamaIndex's ToolOutput
        value = decoded = decoded["blocks"] if _are_text_parts(decoded.get("blocks")) else decoded["raw_output"]
    elif isinstance(decoded, dict) and {"name", "response"} <= decoded.keys() <= {"id", "name", "response"}:  # Gemini's
        value = decoded = decoded["response"]
    elif isinstance(decoded, dict) and {"status", "request", "response"} <= decoded.keys():  # Gemini CLI's finished call
        value = decoded = _answer_of(decoded["response"])
    parts = read_messages(value, role="tool") if _are_text_parts(decoded) else None
    return _plain(source, "\n".join(part.text for part in parts[0].parts) if parts else value)


def _answer_of(response: Any) -> Any:
    """Return what a tool of Gemini CLI's told the model, or all that it tells where that is no single answer."""
    parts = response.get("responseParts") if isinstance(response, dict) else None
    answers = [
        part["functionResponse"].get("response")
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("functionResponse"), dict)
    ]
    return answers[0] if len(answers) == 1 and answers[0] is not None else response


def _are_text_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and set(item) == {"text"} for item in value)


def _result_event(span: Telling, key: str) -> Payload | None:
    """Strands reports a tool's answer as the event gen_ai.choice."""
    choices = (event.attributes.get("message") for event in span.events[:_KEY_LIMIT] if event.name == key)
    return next((payload for value in choices if (payload := _open_result(f"{key} event", value))), None)


def _argument_event(span: Telling, key: str) -> Payload | None:
    contents = (event.attributes.get("content") for event in span.events[:_KEY_LIMIT] if event.name == key)
    return next((_plain(f"{key} event", value) for value in contents if value is not None), None)


def _plain(source: str, value: Any) -> Payload:
    return Payload(source, text=to_text(value), is_json=is_structured(value))


def _event_arguments(name: str, attribute: str) -> Reader:
    def read(span: Telling, key: str) -> Payload | None:
        values = [event.attributes.get(attribute) for event in span.events[:_KEY_LIMIT] if event.name == name]
        return next((_plain(f"{name} event", value) for value in values if value not in (None, "")), None)

    return read


def _event_texts(name: str, attribute: str, role: str) -> Reader:
    """Every event of this name as one message: a coding agent logs one for each thing it was told or answered."""

    def read(span: Telling, key: str) -> Payload | None:
        texts = [event.attributes.get(attribute) for event in span.events[:_KEY_LIMIT] if event.name == name]
        said = [text for text in texts if isinstance(text, str) and text.strip() not in ABSENT]
        return Payload(f"{name} event", [Message(role, [Part("text", text)]) for text in said]) if said else None

    return read


_REQUEST_EVENTS = frozenset(name for name in _EVENT_ROLES if name != "gen_ai.choice")
_DETAILS = "gen_ai.client.inference.operation.details"

# The events of spans that the first two tables look at.
CONTENT_EVENTS = (*sorted(_EVENT_ROLES), _DETAILS, "gen_ai.content.prompt", "gen_ai.content.completion")

INPUTS: Table = (
    ("gen_ai.input.messages", _chat("user")),
    (_DETAILS, _event_field((_DETAILS, "gen_ai.input.messages"), role="user")),
    ("gen_ai.*.message", _event_messages(*_REQUEST_EVENTS)),
    ("gen_ai.content.prompt", _event_field(("gen_ai.content.prompt", "gen_ai.prompt"), role="user")),
    ("gen_ai.prompt", _indexed("user")),
    ("llm.input_messages", _indexed("user")),
    ("llm.prompts", _texts("user", "prompt", "text")),
    ("llm.messages", _chat("user")),
    ("gen_ai.retrieval.query.text", _chat()),
    ("gen_ai.memory.query.text", _chat()),
    ("input.value", _chat()),
    ("ai.prompt.messages", _chat("user")),
    ("ai.prompt", _chat("user")),
    ("ai.value", _chat()),
    ("ai.values", _chat()),
    ("langfuse.observation.input", _chat()),
    ("langfuse.trace.input", _chat()),
    ("pydantic_ai.all_messages", _conversation("input")),
    ("all_messages_events", _recorded_events(_REQUEST_EVENTS)),
    ("events", _recorded_events(_REQUEST_EVENTS)),
    ("request_data", _chat()),
    ("traceloop.entity.input", _chat()),
    ("mlflow.spanInputs", _chat()),
    ("gcp.vertex.agent.llm_request", _chat()),
    ("mastra.agent_run.input", _chat("user")),
    ("mastra.model_generation.input", _chat()),
    ("mastra.model_step.input", _chat()),
    ("mastra.mapping.input", _chat()),
    ("llm.openai.messages", _chat()),
    ("gen_ai.task.input", _chat()),
    ("genkit:input", _chat()),
    ("braintrust.input_json", _chat("user")),
    ("haystack.agent.step.llm.input", _chat("user")),
    ("haystack.agent.input", _chat("user")),
    ("haystack.component.input", _chat("user")),
    ("haystack.pipeline.input_data", _chat()),
    ("lmnr.span.input", _chat("user")),
    ("lk.user_input", _chat("user")),
    ("lk.pii.user_input", _chat("user")),
    ("user_prompt", _chat("user")),
    ("new_context", _chat("user")),
    ("prompt", _chat("user")),
    ("claude_code.user_prompt", _event_texts("claude_code.user_prompt", "prompt", "user")),
    ("codex.user_prompt", _event_texts("codex.user_prompt", "prompt", "user")),
    ("agentops.entity.input", _chat()),
    ("agentops.agent.input", _chat()),
    ("agentops.task.input", _chat()),
    ("agentops.operation.input", _chat()),
    ("input-json", _chat()),
    ("input", _chat()),
    ("inputs", _chat("user")),
)
OUTPUTS: Table = (
    ("gen_ai.output.messages", _chat("assistant")),
    (_DETAILS, _event_field((_DETAILS, "gen_ai.output.messages"), role="assistant")),
    ("gen_ai.choice", _event_messages("gen_ai.choice")),
    # OpenLIT's older versions, whose event says "None" then, and Sentry.
    ("gen_ai.response.tool_calls", _chat("assistant")),
    ("gen_ai.content.completion", _event_field(("gen_ai.content.completion", "gen_ai.completion"), role="assistant")),
    ("gen_ai.completion", _indexed("assistant")),
    ("llm.output_messages", _indexed("assistant")),
    ("llm.choices", _texts("assistant", "completion", "text")),
    ("output.value", _chat()),
    ("ai.response", _vercel_answer),
    ("ai.result", _vercel_answer),
    ("langfuse.observation.output", _chat()),
    ("langfuse.trace.output", _chat()),
    ("final_result", _chat("assistant")),
    ("pydantic_ai.all_messages", _conversation("output")),
    ("all_messages_events", _recorded_events(frozenset({"gen_ai.choice"}))),
    ("events", _recorded_events(frozenset({"gen_ai.choice"}))),
    ("response_data", _chat()),
    ("traceloop.entity.output", _chat()),
    ("mlflow.spanOutputs", _chat("assistant")),
    ("gcp.vertex.agent.llm_response", _chat()),
    ("mastra.agent_run.output", _chat()),
    ("mastra.model_generation.output", _chat()),
    ("mastra.model_step.output", _chat()),
    ("mastra.model_chunk.output", _chat()),
    ("mastra.mapping.output", _chat()),
    ("llm.openai.choices", _chat()),
    ("gen_ai.task.output", _chat()),
    ("genkit:output", _chat()),
    ("braintrust.output_json", _chat("assistant")),
    ("haystack.agent.step.llm.output", _chat("assistant")),
    ("haystack.agent.output", _chat("assistant")),
    ("haystack.component.output", _chat("assistant")),
    ("haystack.pipeline.output_data", _chat()),
    ("lmnr.span.output", _chat("assistant")),
    ("lk.response.text", _chat("assistant")),
    ("lk.pii.response.text", _chat("assistant")),
    ("response.model_output", _chat("assistant")),
    ("claude_code.assistant_response", _event_texts("claude_code.assistant_response", "response", "assistant")),
    ("response", _chat("assistant")),
    ("agentops.entity.output", _chat()),
    ("agentops.agent.output", _chat()),
    ("agentops.task.output", _chat()),
    ("agentops.operation.output", _chat()),
    ("llm.generated_message", _chat("assistant")),
    ("output-json", _chat()),
    ("output", _chat()),
)
ARGUMENTS: Table = (
    ("gen_ai.tool.call.arguments", _arguments),
    ("input.value", _arguments),
    ("ai.toolCall.args", _arguments),
    ("traceloop.entity.input", _arguments),
    ("tool_arguments", _arguments),
    ("gcp.vertex.agent.tool_call_args", _arguments),
    ("gen_ai.tool.args", _arguments),
    ("gen_ai.tool.input", _arguments),
    ("langfuse.observation.input", _arguments),
    ("mlflow.spanInputs", _arguments),
    ("tool_input", _arguments),
    ("spring.ai.tool.call.arguments", _arguments),
    ("tool.arguments", _arguments),
    ("lk.function_tool.arguments", _arguments),
    ("lk.pii.function_tool.arguments", _arguments),
    ("genkit:input", _arguments),
    ("braintrust.input_json", _arguments),
    ("haystack.agent.step.tool.input", _arguments),
    ("gen_ai.prompt", _arguments),
    ("lmnr.span.input", _arguments),
    ("arguments", _arguments),
    ("args", _arguments),
    ("gen_ai.tool.message", _argument_event),
    ("input", _arguments),
    ("tool.parameters", _arguments),
    ("agentops.tool.input", _arguments),
    ("gen_ai.input.messages", _arguments_of_request),
    ("claude_code.tool_result", _event_arguments("claude_code.tool_result", "tool_input")),
    ("codex.tool_result", _event_arguments("codex.tool_result", "arguments")),
)
RESULTS: Table = (
    ("gen_ai.tool.call.result", _result),
    ("output.value", _result),
    ("ai.toolCall.result", _result),
    ("traceloop.entity.output", _result),
    ("tool_response", _result),
    ("gcp.vertex.agent.tool_response", _result),
    ("gen_ai.tool.output", _result),
    ("langfuse.observation.output", _result),
    ("mlflow.spanOutputs", _result),
    ("spring.ai.tool.call.result", _result),
    ("tool.result", _result),
    ("lk.function_tool.output", _result),
    ("lk.pii.function_tool.output", _result),
    ("genkit:output", _result),
    ("braintrust.output_json", _result),
    ("haystack.agent.step.tool.output", _result),
    ("gen_ai.completion", _result),
    ("lmnr.span.output", _result),
    ("tool.output", _event_field(("tool.output", "output"), ("tool.output", "tool.output"))),
    ("gen_ai.choice", _result_event),
    ("gen_ai.output.messages", _result),
    ("agentops.tool.output", _result),
    ("output", _result),
    ("return", _result),
    ("codex.tool_result", _event_field(("codex.tool_result", "output"))),
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
    details = (event.attributes.get("gen_ai.system_instructions") for event in span.events[:_KEY_LIMIT] if event.name == _DETAILS)
    for value in (*(value_of(span, key) for key in INSTRUCTIONS), *details):
        messages = read_messages(value, role="system") if value is not None else None
        if messages:
            return [part for message in messages for part in message.parts]
    return []
