"""How what was said is read, in each of the forms that dialects write it: attributes, families of them, events. Pure and total.

A reader returns None where a step does not say it. Which one reads what, and what comes first, stands in payloads.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from tracestore.content.message_parts import Part
from tracestore.content.messages import Message, read_messages
from tracestore.content.values import decode_value, is_structured, to_text
from tracestore.model import SpanEvent

SLOT_LIMIT = 2_000  # llm.input_messages.999999999.x must not become a list of that length
_SEGMENT_LIMIT = 12
# Python refuses to read a number of more than 4300 digits, and a key of an attribute that is a map may have any length.
_INDEX_DIGITS = 6
KEY_LIMIT = 20_000  # keys and events that are looked at, of one step
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


def chat(role: str = "") -> Reader:
    """Read an attribute that holds messages, or a text, which counts as one message of `role` if that is given."""
    return lambda span, key: _payload(key, value_of(span, key), role)


@dataclass(frozen=True)
class _Opened:
    """A span of which one attribute is looked at alone."""

    attributes: Mapping[str, Any]
    scope_name: str
    events: Sequence[SpanEvent] = ()


def typed(read: Reader) -> Reader:
    """Read an attribute that says its type beside its value: {"type": "chat_messages", "value": [...]} (LangWatch)."""

    def read_value(span: Telling, key: str) -> Payload | None:
        value = decode_value(value_of(span, key))
        if isinstance(value, dict) and value.keys() == {"type", "value"}:
            return read(_Opened({key: value["value"]}, span.scope_name), key)
        return read(span, key)

    return read_value


def indexed(role: str) -> Reader:
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


def texts(role: str, *path: str) -> Reader:
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
    for key in islice((key for key in attributes if key.startswith(start)), KEY_LIMIT):
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


EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


def event_messages(*names: str) -> Reader:
    """Read events of these names, each of which holds a message."""

    def read(span: Telling, key: str) -> Payload | None:
        messages: list[Message] = []
        for event in span.events[:KEY_LIMIT]:
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
    fields["role"] = fields.get("role") or EVENT_ROLES.get(name, "user")
    return read_messages(fields) or []


def event_field(*pairs: tuple[str, str], role: str = "") -> Reader:
    """The first of these (event name, attribute) that is there."""

    def read(span: Telling, key: str) -> Payload | None:
        for event in span.events[:KEY_LIMIT]:
            for name, attribute in pairs:
                if event.name == name and (payload := _payload(f"{name} event", event.attributes.get(attribute), role)):
                    return payload
        return None

    return read


def recorded_events(names: frozenset[str]) -> Reader:
    """pydantic-ai's older formats: an attribute with a JSON list of events, each with its `event.name`."""

    def read(span: Telling, key: str) -> Payload | None:
        events = decode_value(span.attributes.get(key))
        messages: list[Message] = []
        for event in events[:KEY_LIMIT] if isinstance(events, list) else []:
            name = event.get("event.name") if isinstance(event, dict) else None
            if isinstance(name, str) and name in names:
                messages += _event_message(name, event)
        return Payload(key, messages) if messages else None

    return read


def conversation(part: str) -> Reader:
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


def vercel_answer(span: Telling, prefix: str) -> Payload | None:
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


def arguments(span: Telling, key: str) -> Payload | None:
    """Tool arguments: decoded, without the envelope that decorators and LangChain put around them. `{}` is an answer here."""
    value = decode_value(value_of(span, key))
    return None if value is None else _plain(key, open_envelope(value))


def arguments_of_request(span: Telling, key: str) -> Payload | None:
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


def result(span: Telling, key: str) -> Payload | None:
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


def result_texts(span: Telling, prefix: str) -> Payload | None:
    """Tool result in `prefix.N.text` keys, the blocks of MCP's CallToolResult one by one (mcp-agent)."""
    blocks = [block.get("text") for block in unflatten(span.attributes, prefix) if isinstance(block, dict)]
    said = [text for text in blocks if isinstance(text, str)]
    return _plain(f"{prefix}.*", "\n".join(said)) if said else None


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


def result_event(span: Telling, key: str) -> Payload | None:
    """Strands reports a tool's answer as the event gen_ai.choice."""
    choices = (event.attributes.get("message") for event in span.events[:KEY_LIMIT] if event.name == key)
    return next((payload for value in choices if (payload := _open_result(f"{key} event", value))), None)


def argument_event(span: Telling, key: str) -> Payload | None:
    """Strands reports a tool's arguments as the event gen_ai.tool.message."""
    contents = (event.attributes.get("content") for event in span.events[:KEY_LIMIT] if event.name == key)
    return next((_plain(f"{key} event", value) for value in contents if value is not None), None)


def _plain(source: str, value: Any) -> Payload:
    return Payload(source, text=to_text(value), is_json=is_structured(value))


def event_arguments(name: str, attribute: str) -> Reader:
    """Read the arguments of a tool from an attribute of the event of this name."""

    def read(span: Telling, key: str) -> Payload | None:
        values = [event.attributes.get(attribute) for event in span.events[:KEY_LIMIT] if event.name == name]
        return next((_plain(f"{name} event", value) for value in values if value not in (None, "")), None)

    return read


def event_texts(name: str, attribute: str, role: str) -> Reader:
    """Every event of this name as one message: a coding agent logs one for each thing it was told or answered."""

    def read(span: Telling, key: str) -> Payload | None:
        texts = [event.attributes.get(attribute) for event in span.events[:KEY_LIMIT] if event.name == name]
        said = [text for text in texts if isinstance(text, str) and text.strip() not in ABSENT]
        return Payload(f"{name} event", [Message(role, [Part("text", text)]) for text in said]) if said else None

    return read
