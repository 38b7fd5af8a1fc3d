"""Chat messages out of whatever a framework recorded: OpenTelemetry parts, OpenAI, Anthropic, Gemini, Bedrock, LangChain,
Vercel AI. Pure and total: unknown shapes give None or a data part, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tracestore.content.message_parts import (
    PART_LIMIT,
    TYPES_THAT_ARE_ROLES,
    Part,
    decode_content,
    read_item,
    read_parts,
    read_reasoning_text,
    read_text_field,
    read_tool_call,
    type_of,
    unwrap,
)
from tracestore.content.values import decode_value, to_text

MESSAGE_LIMIT = 500
_DEPTH_LIMIT = 8
ROLES = {
    "human": "user",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "ai": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "systemmessage": "system",
    "toolmessage": "tool",
    "function": "tool",
    "tool-response": "tool",
    "tool-call": "assistant",
    "tool_response": "tool",
}
_ROLE_WORDS = ("user", "human", "system", "assistant", "ai")
_MESSAGE_KEYS = (
    "content",
    "parts",
    "contents",
    "blocks",
    "tool_calls",
    "function_call",
    "reasoning_content",
    "message",
    "refusal",
)
# Items of the OpenAI Responses API that stand in a list of messages without being one.
_LOOSE_ITEMS = {"function_call": "assistant", "function_call_output": "tool", "reasoning": "assistant"}


@dataclass(frozen=True)
class Message:
    """One turn. `role` is user, assistant, system, tool or whatever the sender wrote, in lower case."""

    role: str
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    finish_reason: str = ""


def read_messages(value: Any, *, role: str = "") -> list[Message] | None:
    """Return the messages a value holds, None when it holds none. With `role`, loose parts become one message of that role."""
    try:
        messages = _search(decode_value(value), 0)
        if messages is None and role:
            parts = read_parts(decode_value(value))
            messages = [Message(role, parts)] if parts else None
    except RecursionError:  # hundreds of levels: no message has them
        return None
    return messages[:MESSAGE_LIMIT] if messages else None


def _search(value: Any, depth: int) -> list[Message] | None:
    if depth > _DEPTH_LIMIT:
        return None
    value = decode_value(value)
    if isinstance(value, list):
        return _search_list(value, depth)
    if isinstance(value, dict):
        return _search_dict(value, depth)
    return None


def _search_list(items: list[Any], depth: int) -> list[Message] | None:
    if len(items) == 2 and items[0] in _ROLE_WORDS and isinstance(items[1], str):  # LangChain's short form: ("user", "text")
        return [Message(ROLES.get(items[0], items[0]), [Part("text", items[1])])]
    found: list[Message] = []
    for item in items[: MESSAGE_LIMIT + 1]:
        if _is_offered_tool(item):
            continue
        messages = _search(item, depth + 1)
        if messages is None:
            return None
        found += messages
    return found or None


def _is_offered_tool(item: Any) -> bool:
    """Langfuse's callback for LangChain puts the tools that a model may call behind the messages, each as one by the tool."""
    content = item.get("content") if isinstance(item, dict) and item.get("role") == "tool" else None
    function = content.get("function") if isinstance(content, dict) and content.get("type") == "function" else None
    return isinstance(function, dict) and "parameters" in function


def _search_dict(value: dict[str, Any], depth: int) -> list[Message] | None:
    message = _as_message(value)
    if message is not None:
        return [message]
    for is_shape, read in _SHAPES:
        if is_shape(value):
            found = read(value, depth)
            if found:
                return found
    return None


def _as_message(value: dict[str, Any]) -> Message | None:
    """Return the message if this dict is one."""
    value = unwrap(value)
    role = value.get("role")
    if not isinstance(role, str) and type_of(value) in TYPES_THAT_ARE_ROLES:
        role = value["type"]
    if isinstance(role, str) and role and any(key in value for key in _MESSAGE_KEYS):
        return _build_message(role, value)
    if type_of(value) in _LOOSE_ITEMS:
        return Message(_LOOSE_ITEMS[value["type"]], read_item(value))
    return None


def _build_message(role: str, value: dict[str, Any]) -> Message:
    role = role.rpartition(".")[2].strip().lower()[:40]
    role = ROLES.get(role, role)
    name = read_text_field(value, "name")
    parts: list[Part] = []
    reasoning = next((value[key] for key in ("reasoning_content", "reasoning", "thinking") if value.get(key)), None)
    if reasoning:
        parts.append(Part("reasoning", read_reasoning_text(reasoning)))
    for key in ("parts", "content", "contents", "message", "blocks"):
        if value.get(key) not in (None, "", []):
            parts += read_parts(decode_value(value[key]) if key != "content" else decode_content(value[key]))
            break
    if value.get("refusal"):
        parts.append(Part("text", to_text(value["refusal"]), name="refusal"))
    calls = decode_value(value.get("tool_calls") or value.get("toolCalls"))
    asked = {part.call_id for part in parts if part.kind == "tool_call" and part.call_id}
    for call in (calls if isinstance(calls, list) else [])[:PART_LIMIT]:
        if isinstance(call, dict):
            part = read_tool_call(unwrap(call))
            if not part.call_id or part.call_id not in asked:  # LangChain says them twice: in content and beside it
                parts.append(part)
    if isinstance(value.get("function_call"), dict):
        parts.append(read_tool_call(value["function_call"]))
    if role == "tool":
        call_id = read_text_field(value, "tool_call_id", "toolCallId", "id")
        parts = [_as_result(part, name, call_id, value.get("status") == "error") for part in parts]
    if role == "user" and parts and all(part.kind == "tool_result" for part in parts):
        role = "tool"  # Anthropic and pydantic-ai have no such role and let the user bring results
    return Message(role, parts, name, read_text_field(value, "finish_reason", "finishReason", "stop_reason"))


def _as_result(part: Part, name: str, call_id: str, is_error: bool) -> Part:
    if part.kind not in ("text", "data"):
        return part
    return Part("tool_result", to_text(part.text), name=name, call_id=call_id, is_error=is_error)


Shape = tuple[Callable[[dict[str, Any]], bool], Callable[[dict[str, Any], int], list[Message] | None]]


def _has_list(key: str) -> Callable[[dict[str, Any]], bool]:
    return lambda value: isinstance(decode_value(value.get(key)), list)


def _has_dict(key: str) -> Callable[[dict[str, Any]], bool]:
    return lambda value: isinstance(decode_value(value.get(key)), dict)


def _within(key: str) -> Callable[[dict[str, Any], int], list[Message] | None]:
    return lambda value, depth: _search(value.get(key), depth + 1)


def _with_system(key: str) -> Callable[[dict[str, Any], int], list[Message] | None]:
    """Messages under `key`, with the instructions that Anthropic, Vercel AI and Gemini keep beside them."""

    def read(value: dict[str, Any], depth: int) -> list[Message] | None:
        messages = _search(value.get(key), depth + 1)
        config = value["config"] if isinstance(value.get("config"), dict) else {}
        parts = _system_parts(value.get("system") or value.get("instructions") or config.get("system_instruction"))
        return [Message("system", parts), *messages] if messages and parts else messages

    return read


def _system_parts(system: Any) -> list[Part]:
    system = decode_value(system)
    return read_parts(system["parts"]) if isinstance(system, dict) and "parts" in system else read_parts(system)


def _read_prompt(value: dict[str, Any], depth: int) -> list[Message] | None:
    messages = [Message("system", _system_parts(value["system"]))] if value.get("system") else []
    return [*messages, Message("user", read_parts(value["prompt"]))]


def _read_choices(value: dict[str, Any], depth: int) -> list[Message] | None:
    found: list[Message] = []
    choices: Iterable[Any] = decode_value(value["choices"])[:MESSAGE_LIMIT]
    for choice in choices:
        body = (choice.get("message") or choice.get("delta")) if isinstance(choice, dict) else None
        if isinstance(body, dict):
            body = {**body, "finish_reason": choice.get("finish_reason")}
            found.append(_build_message(str(body.get("role") or "assistant"), body))
    return found or None


def _is_answer(value: dict[str, Any]) -> bool:
    marks = ("toolCalls", "tool_calls", "files", "finishReason", "finish_reason")
    return isinstance(value.get("text"), str) and any(key in value for key in marks)


def _read_answer(value: dict[str, Any], depth: int) -> list[Message] | None:
    return [_build_message("assistant", {**value, "content": value["text"]})]


def _read_gemini(value: dict[str, Any], depth: int) -> list[Message] | None:
    content = value["content"]
    reason = read_text_field(value, "finish_reason", "finishReason")
    return [_build_message(str(content.get("role") or "assistant"), {**content, "finish_reason": reason})]


# Tried in order: which dict is it, and where in it are the messages?
_SHAPES: tuple[Shape, ...] = (
    (_has_list("messages"), _with_system("messages")),
    (_has_list("choices"), _read_choices),
    (_has_list("generations"), _within("generations")),
    (_has_list("replies"), _within("replies")),
    (_has_list("contents"), _with_system("contents")),
    (_has_list("candidates"), _within("candidates")),
    (lambda value: isinstance(value.get("content"), dict) and "parts" in value["content"], _read_gemini),
    (_has_dict("message"), _within("message")),
    (_has_dict("new_message"), _within("new_message")),
    (_has_list("input"), _with_system("input")),
    (lambda value: isinstance(value.get("prompt"), str) and "system" in value, _read_prompt),
    (_is_answer, _read_answer),
    (_has_dict("inputs"), _within("inputs")),
    (_has_dict("outputs"), _within("outputs")),
    (_has_dict("output"), _within("output")),
    (_has_list("output"), _within("output")),
    (_has_dict("kwargs"), _within("kwargs")),
    (_has_dict("update"), _within("update")),
    (_has_dict("result"), _within("result")),
    (_has_dict("response"), _within("response")),
)
