"""What went into a step and what came out of it, from any dialect. Pure and total: hostile values end as plain text.

Each table below lists where to look, first hit wins: OpenTelemetry GenAI (current, then older names and events), OpenInference,
OpenLLMetry, Vercel AI SDK, Langfuse, pydantic-ai, MLflow, Google ADK and others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from dashboards.logs import as_span
from dashboards.markdown import MARKDOWN_CHARS
from dashboards.messages import Message, Part, ShownMessage, pair_calls, read_messages
from dashboards.text import EXCERPT_CHARS, decode_value, is_structured, to_text
from tracestore.model import LogRecord, Span, SpanEvent

SLOT_LIMIT = 2_000  # llm.input_messages.999999999.x must not become a list of that length
_SEGMENT_LIMIT = 12
_KEY_LIMIT = 20_000
_ITEM_LIMIT = 200
_PANEL_CHARS, _LAYOUT_CHARS = 400_000, 100_000
_ABSENT = {"", "null", "<REDACTED>", "[REDACTED]", "__REDACTED__", "<not specified>", "N/A"}


@dataclass(frozen=True)
class Payload:
    """Input or output: messages when the value held some, else its text. `source` is the attribute or event it came from."""

    source: str
    messages: list[Message] = field(default_factory=list)
    text: str = ""
    is_json: bool = False

    @property
    def excerpt_chars(self) -> int:
        """How much of each text to show, so that the whole stays light however many messages there are."""
        return max(500, min(EXCERPT_CHARS, _PANEL_CHARS // max(1, sum(len(message.parts) for message in self.messages))))

    @property
    def markdown_chars(self) -> int:
        """How long a text of an open message may be to be laid out at once: layout takes about 1 s per MB."""
        return max(500, min(MARKDOWN_CHARS, _LAYOUT_CHARS // max(1, sum(len(message.parts) for message in self.messages))))

    @property
    def shown(self) -> list[ShownMessage]:
        """The messages as cards, each tool result with the call it answers."""
        return pair_calls(self.messages)


@dataclass(frozen=True)
class Document:
    """One retrieved document; `score` is text as sent, "" when absent."""

    document_id: str
    score: str
    text: str


@dataclass(frozen=True)
class ToolDefinition:
    """A tool the model could have called; `schema` is JSON text."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True)
class Content:
    """Everything readable of one step. None or empty means that the sender did not record it, which is the common default."""

    instructions: list[Part] = field(default_factory=list)
    input: Payload | None = None
    output: Payload | None = None
    arguments: Payload | None = None
    result: Payload | None = None
    documents: list[Document] = field(default_factory=list)
    tools: list[ToolDefinition] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to show."""
        return not any((self.instructions, self.input, self.output, self.arguments, self.result, self.documents))


Reader = Callable[[Span, str], Payload | None]


def read_content(span: Span, records: Sequence[LogRecord] = ()) -> Content:
    """Return what the span says about its content and, where it says nothing, what its log records say."""
    logged = as_span(span, records)

    def read(table: Sequence[tuple[str, Reader]]) -> Payload | None:
        own = _first_payload(span, table)
        told = _first_payload(logged, table) if own is None and records else None
        return replace(told, source=f"{told.source}, logged") if told is not None else own

    is_tool = span.summary.kind == "tool"
    arguments = read(ARGUMENTS) if is_tool else None
    result = read(RESULTS) if is_tool else None
    read_input = read(INPUTS)
    return Content(
        instructions=_read_instructions(span, read_input) or _read_instructions(logged, read_input),
        input=None if arguments or result else read_input,
        output=None if arguments or result else read(OUTPUTS),
        arguments=arguments,
        result=result,
        documents=read_documents(span),
        tools=_read_tools(span),
    )


def read_input(span: Span) -> Payload | None:
    """Return what went into a step, by its own account."""
    return _first_payload(span, INPUTS)


def read_output(span: Span) -> Payload | None:
    """Return what came out of a step, by its own account."""
    return _first_payload(span, OUTPUTS)


def read_tool_call(span: Span) -> tuple[Payload | None, Payload | None]:
    """Return the arguments and the result of a tool call, by its own account."""
    return _first_payload(span, ARGUMENTS), _first_payload(span, RESULTS)


def find_image(content: Content, reference: str) -> str:
    """Return the inline image of a part by its reference (`input.2.0`), "" when it has none."""
    name, *steps = reference.split(".")
    payload = getattr(content, name, None) if name in ("input", "output") else None
    if not isinstance(payload, Payload) or len(steps) != 2 or not all(step.isascii() and step.isdigit() for step in steps):
        return ""
    try:
        return payload.messages[int(steps[0][:6])].parts[int(steps[1][:6])].image
    except IndexError:
        return ""


def find_text(content: Content, reference: str) -> str | None:
    """Return one text whole by its reference: `input.2.0` (message, part), `result`, `document.1`, `tool.3`, `instructions.0`."""
    name, *steps = reference.split(".")
    if not all(step.isascii() and step.isdigit() and len(step) < 6 for step in steps):
        return None
    try:
        return _text_at(getattr(content, name, None), [int(step) for step in steps])
    except IndexError:
        return None


def _text_at(value: Any, steps: Sequence[int]) -> str | None:
    if isinstance(value, Payload):
        return value.messages[steps[0]].parts[steps[1]].text if len(steps) == 2 else (None if steps else value.text)
    if isinstance(value, list) and len(steps) == 1:
        item = value[steps[0]]
        return item.schema if isinstance(item, ToolDefinition) else str(item.text)
    return None


def _first_payload(span: Span, table: Sequence[tuple[str, Reader]]) -> Payload | None:
    # An SDK that writes its own names knows best; what other instrumentation adds to its spans is second-hand.
    own = "langfuse." if span.summary.scope_name.startswith("langfuse") else ""
    ordered = sorted(table, key=lambda row: not row[0].startswith(own)) if own else table
    found = (payload for key, read in ordered if (payload := read(span, key)) is not None)
    first = next(found, None)
    # LiteLLM writes an answer of tool calls alone as a message without parts, and the calls under the older names.
    return first if first is None or not _says_nothing(first) else next((p for p in found if not _says_nothing(p)), first)


def _says_nothing(payload: Payload) -> bool:
    return bool(payload.messages) and not any(message.parts for message in payload.messages)


def _value(span: Span, key: str) -> Any:
    """Return the attribute decoded, None when it is absent or says nothing."""
    value = span.attributes.get(key)
    if value is None or (isinstance(value, str) and value.strip() in _ABSENT):
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
    return lambda span, key: _payload(key, _value(span, key), role)


def _indexed(role: str) -> Reader:
    """Read `prefix.N.field...` keys, or the prefix itself holding all of them as JSON."""

    def read(span: Span, prefix: str) -> Payload | None:
        items = unflatten(span.attributes, prefix)
        if not items:
            return _payload(prefix, _value(span, prefix))
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

    def read(span: Span, prefix: str) -> Payload | None:
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
        if len(segments) > _SEGMENT_LIMIT or any(segment.isdigit() and len(segment) > 6 for segment in segments):
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
    if node and all(key.isascii() and key.isdigit() for key in node):
        return [_to_lists(node[key]) for key in sorted(node, key=int) if int(key) < SLOT_LIMIT]
    return {key: _to_lists(value) for key, value in node.items()}


_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


def _event_messages(*names: str) -> Reader:
    def read(span: Span, key: str) -> Payload | None:
        messages: list[Message] = []
        for event in span.events[:_KEY_LIMIT]:
            if event.name in names:
                messages += _event_message(event.name, event.attributes)
        return Payload(f"{key} events", messages) if messages else None

    return read


def _event_message(name: str, attributes: Mapping[str, Any]) -> list[Message]:
    """One `gen_ai.*.message` or `gen_ai.choice` event; Strands puts JSON of Bedrock parts into its fields."""
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

    def read(span: Span, key: str) -> Payload | None:
        for event in span.events[:_KEY_LIMIT]:
            for name, attribute in pairs:
                if event.name == name and (payload := _payload(f"{name} event", event.attributes.get(attribute), role)):
                    return payload
        return None

    return read


def _recorded_events(names: frozenset[str]) -> Reader:
    """pydantic-ai's older formats: an attribute with a JSON list of events, each with its `event.name`."""

    def read(span: Span, key: str) -> Payload | None:
        events = decode_value(span.attributes.get(key))
        messages: list[Message] = []
        for event in events[:_KEY_LIMIT] if isinstance(events, list) else []:
            if isinstance(event, dict) and event.get("event.name") in names:
                messages += _event_message(str(event["event.name"]), event)
        return Payload(key, messages) if messages else None

    return read


def _conversation(part: str) -> Reader:
    """A whole conversation in one attribute: the last answer is the output, the rest the input."""

    def read(span: Span, key: str) -> Payload | None:
        payload = _payload(key, _value(span, key))
        if payload is None or not payload.messages:
            return None
        answered = payload.messages[-1].role == "assistant"
        split = len(payload.messages) - answered
        messages = payload.messages[:split] if part == "input" else payload.messages[split:]
        return Payload(key, messages) if messages else None

    return read


def _vercel_answer(span: Span, prefix: str) -> Payload | None:
    """Vercel AI SDK: the parts of one answer under `ai.response.*` (`ai.result.*` before version 4)."""
    reasoning = _value(span, f"{prefix}.reasoning")
    parts = [Part("reasoning", to_text(reasoning))] if decode_value(reasoning) else []
    text = _value(span, f"{prefix}.text")
    if text is not None:
        parts.append(Part("text", str(text)))
    calls = decode_value(_value(span, f"{prefix}.toolCalls"))
    if isinstance(calls, list):
        answer = read_messages([{"role": "assistant", "content": [], "tool_calls": calls}])
        parts += answer[0].parts if answer else []
    structured = _value(span, f"{prefix}.object")
    if structured is not None:
        parts.append(Part("data", to_text(structured)))
    reason = _value(span, f"{prefix}.finishReason")
    return Payload(f"{prefix}.*", [Message("assistant", parts, finish_reason=str(reason or ""))]) if parts else None


def _arguments(span: Span, key: str) -> Payload | None:
    """Tool arguments: decoded, without the envelope that decorators and LangChain put around them. `{}` is an answer here."""
    value = decode_value(_value(span, key))
    return None if value is None else _plain(key, open_envelope(value))


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


def _result(span: Span, key: str) -> Payload | None:
    """Tool result: what the tool returned, even where the framework wrapped it into a tool message."""
    return _open_result(key, _value(span, key))


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
    parts = read_messages(value, role="tool") if _are_text_parts(decoded) else None
    return _plain(source, "\n".join(part.text for part in parts[0].parts) if parts else value)


def _are_text_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and set(item) == {"text"} for item in value)


def _result_event(span: Span, key: str) -> Payload | None:
    """Strands reports a tool's answer as the event gen_ai.choice."""
    choices = (event.attributes.get("message") for event in span.events[:_KEY_LIMIT] if event.name == key)
    return next((payload for value in choices if (payload := _open_result(f"{key} event", value))), None)


def _argument_event(span: Span, key: str) -> Payload | None:
    contents = (event.attributes.get("content") for event in span.events[:_KEY_LIMIT] if event.name == key)
    return next((_plain(f"{key} event", value) for value in contents if value is not None), None)


def _plain(source: str, value: Any) -> Payload:
    return Payload(source, text=to_text(value), is_json=is_structured(value))


def _event_arguments(name: str, attribute: str) -> Reader:
    def read(span: Span, key: str) -> Payload | None:
        values = [event.attributes.get(attribute) for event in span.events[:_KEY_LIMIT] if event.name == name]
        return next((_plain(f"{name} event", value) for value in values if value not in (None, "")), None)

    return read


def _event_texts(name: str, attribute: str, role: str) -> Reader:
    """Every event of this name as one message: a coding agent logs one for each thing it was told or answered."""

    def read(span: Span, key: str) -> Payload | None:
        texts = [event.attributes.get(attribute) for event in span.events[:_KEY_LIMIT] if event.name == name]
        said = [text for text in texts if isinstance(text, str) and text.strip() not in _ABSENT]
        return Payload(f"{name} event", [Message(role, [Part("text", text)]) for text in said]) if said else None

    return read


_REQUEST_EVENTS = frozenset(name for name in _EVENT_ROLES if name != "gen_ai.choice")
_DETAILS = "gen_ai.client.inference.operation.details"

INPUTS: tuple[tuple[str, Reader], ...] = (
    ("gen_ai.input.messages", _chat("user")),
    (_DETAILS, _event_field((_DETAILS, "gen_ai.input.messages"), role="user")),
    ("gen_ai.*.message", _event_messages(*_REQUEST_EVENTS)),
    ("gen_ai.content.prompt", _event_field(("gen_ai.content.prompt", "gen_ai.prompt"), role="user")),
    ("gen_ai.prompt", _indexed("user")),
    ("llm.input_messages", _indexed("user")),
    ("llm.prompts", _texts("user", "prompt", "text")),
    ("llm.messages", _chat("user")),
    ("gen_ai.retrieval.query.text", _chat()),
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
    ("input-json", _chat()),
    ("input", _chat()),
)
OUTPUTS: tuple[tuple[str, Reader], ...] = (
    ("gen_ai.output.messages", _chat("assistant")),
    (_DETAILS, _event_field((_DETAILS, "gen_ai.output.messages"), role="assistant")),
    ("gen_ai.choice", _event_messages("gen_ai.choice")),
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
    ("output-json", _chat()),
    ("output", _chat()),
)
ARGUMENTS: tuple[tuple[str, Reader], ...] = (
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
    ("claude_code.tool_result", _event_arguments("claude_code.tool_result", "tool_input")),
    ("codex.tool_result", _event_arguments("codex.tool_result", "arguments")),
)
RESULTS: tuple[tuple[str, Reader], ...] = (
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
    ("output", _result),
    ("return", _result),
    ("codex.tool_result", _event_field(("codex.tool_result", "output"))),
)
_INSTRUCTIONS = (
    "gen_ai.system_instructions",
    "ai.prompt.system",
    "system_instructions",
    "instructions",
    "gen_ai.request.instructions",
)


def _read_instructions(span: Span, read_input: Payload | None) -> list[Part]:
    """System instructions that stand beside the messages; empty when the messages begin with them anyway."""
    if read_input is not None and any(message.role == "system" for message in read_input.messages[:1]):
        return []
    details = (event.attributes.get("gen_ai.system_instructions") for event in span.events[:_KEY_LIMIT] if event.name == _DETAILS)
    for value in (*(_value(span, key) for key in _INSTRUCTIONS), *details):
        messages = read_messages(value, role="system") if value is not None else None
        if messages:
            return [part for message in messages for part in message.parts]
    return []


_DOCUMENT_LISTS = ("retrieval.documents", "reranker.output_documents")


def read_documents(span: Span) -> list[Document]:
    """Return the documents that a step retrieved, at most 200."""
    value = decode_value(_value(span, "gen_ai.retrieval.documents"))
    items: list[Any] = value if isinstance(value, list) else []
    for prefix in _DOCUMENT_LISTS:
        items = items or unflatten(span.attributes, prefix)
    items = items or [_event_document(event) for event in span.events if event.name == "db.query.result"]
    return [_document(item) for item in items[:_ITEM_LIMIT]]


def _event_document(event: SpanEvent) -> dict[str, Any]:
    return {key.rpartition(".")[2]: value for key, value in event.attributes.items()}


def _document(item: Any) -> Document:
    if isinstance(item, dict) and isinstance(item.get("document"), dict):
        item = item["document"]
    if not isinstance(item, dict):
        return Document("", "", to_text(item))
    body = next((item[key] for key in ("content", "text", "document", "page_content") if item.get(key)), None)
    text = to_text({key: value for key, value in item.items() if key not in ("id", "score")} if body is None else body)
    score = item.get("score")
    shown = f"{score:.4g}" if isinstance(score, float) else to_text(score)
    return Document(to_text(item.get("id") or "")[:200], shown[:40], text)


_TOOL_LISTS = (
    "gen_ai.tool.definitions",
    "ai.prompt.tools",
    "mlflow.chat.tools",
    "gen_ai.agent.tools",
    "smolagents.tools_names",
    "agno.tools",
    "tools",
)
_INDEXED_TOOL_LISTS = ("llm.tools", "llm.request.functions")


def _read_tools(span: Span) -> list[ToolDefinition]:
    for key in _TOOL_LISTS:
        value = decode_value(_value(span, key))
        if isinstance(value, list) and value:
            return [_tool_definition(item) for item in value[:_ITEM_LIMIT]]
    for prefix in _INDEXED_TOOL_LISTS:
        if items := unflatten(span.attributes, prefix):
            return [_tool_definition(item) for item in items[:_ITEM_LIMIT]]
    parameters = decode_value(_value(span, "model_request_parameters"))
    functions = parameters.get("function_tools") if isinstance(parameters, dict) else None
    return [_tool_definition(item) for item in functions[:_ITEM_LIMIT]] if isinstance(functions, list) else []


def _tool_definition(item: Any) -> ToolDefinition:
    item = decode_value(item)
    for key in ("tool", "json_schema", "function"):
        inner = decode_value(item.get(key)) if isinstance(item, dict) else None
        item = inner if isinstance(inner, dict) else item
    if not isinstance(item, dict):
        return ToolDefinition(to_text(item)[:200], "", "")
    keys = ("parameters", "inputSchema", "input_schema", "parameters_json_schema", "parametersJsonSchema")
    schema = next((item[key] for key in keys if item.get(key)), None)
    return ToolDefinition(to_text(item.get("name"))[:200], to_text(item.get("description"))[:4_000], to_text(schema))
