"""Chat messages out of whatever a framework recorded: OpenTelemetry parts, OpenAI, Anthropic, Gemini, Bedrock, LangChain,
Vercel AI. Pure and total: unknown shapes give None or a data part, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tracestore.content.values import decode_value, to_text

MESSAGE_LIMIT = 500
_PART_LIMIT = 200
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
_TYPES_THAT_ARE_ROLES = {
    *("human", "ai", "system", "tool"),
    *("HumanMessage", "AIMessage", "SystemMessage", "ToolMessage", "HumanMessageChunk", "AIMessageChunk"),
}


@dataclass(frozen=True)
class Part:
    """One piece of a message. `kind` is text, reasoning, tool_call, tool_result, media or data.

    `name` and `call_id` belong to tools. `image` is that of a media part that was sent inline: a data URI or base64 alone.
    """

    kind: str
    text: str = ""
    name: str = ""
    call_id: str = ""
    is_error: bool = False
    image: str = field(default="", repr=False)


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
            parts = _parts_list(decode_value(value))
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
    value = _unwrap(value)
    role = value.get("role")
    if not isinstance(role, str) and _type_of(value) in _TYPES_THAT_ARE_ROLES:
        role = value["type"]
    if isinstance(role, str) and role and any(key in value for key in _MESSAGE_KEYS):
        return _build_message(role, value)
    if _type_of(value) in _LOOSE_ITEMS:
        return Message(_LOOSE_ITEMS[value["type"]], _parts_of(value))
    return None


def _type_of(value: dict[str, Any]) -> str:
    """Return what a dict says it is; "" where that is no text, as in a JSON schema whose types are a list."""
    found = value.get("type")
    return found if isinstance(found, str) else ""


_CALL_ID_KEYS = ("call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "id", "ref")
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


def _unwrap(value: dict[str, Any]) -> dict[str, Any]:
    """Undo LangChain's serialisation and OpenInference's one-key dicts."""
    for _ in range(3):
        inner: Any = None
        if _type_of(value) == "constructor" and isinstance(value.get("kwargs"), dict):
            inner = dict(value["kwargs"])
            identity = value.get("id")
            inner.setdefault("type", identity[-1] if isinstance(identity, list) and identity else "")
        elif isinstance(value.get("data"), dict) and _type_of(value) in _TYPES_THAT_ARE_ROLES:
            inner = {"type": value["type"], **value["data"]}
        elif len(value) == 1:
            inner = next((value[key] for key in ("message", "message_content", "tool_call") if key in value), None)
        if not isinstance(inner, dict):
            return value
        value = inner
    return value


def _build_message(role: str, value: dict[str, Any]) -> Message:
    role = role.rpartition(".")[2].strip().lower()[:40]
    role = ROLES.get(role, role)
    name = _text_field(value, "name")
    parts: list[Part] = []
    reasoning = next((value[key] for key in ("reasoning_content", "reasoning", "thinking") if value.get(key)), None)
    if reasoning:
        parts.append(Part("reasoning", _reasoning_text(reasoning)))
    for key in ("parts", "content", "contents", "message", "blocks"):
        if value.get(key) not in (None, "", []):
            parts += _parts_list(decode_value(value[key]) if key != "content" else _decode_content(value[key]))
            break
    if value.get("refusal"):
        parts.append(Part("text", to_text(value["refusal"]), name="refusal"))
    calls = decode_value(value.get("tool_calls") or value.get("toolCalls"))
    asked = {part.call_id for part in parts if part.kind == "tool_call" and part.call_id}
    for call in (calls if isinstance(calls, list) else [])[:_PART_LIMIT]:
        if isinstance(call, dict):
            part = _tool_call(_unwrap(call))
            if not part.call_id or part.call_id not in asked:  # LangChain says them twice: in content and beside it
                parts.append(part)
    if isinstance(value.get("function_call"), dict):
        parts.append(_tool_call(value["function_call"]))
    if role == "tool":
        call_id = _text_field(value, "tool_call_id", "toolCallId", "id")
        parts = [_as_result(part, name, call_id, value.get("status") == "error") for part in parts]
    if role == "user" and parts and all(part.kind == "tool_result" for part in parts):
        role = "tool"  # Anthropic and pydantic-ai have no such role and let the user bring results
    return Message(role, parts, name, _text_field(value, "finish_reason", "finishReason", "stop_reason"))


def _as_result(part: Part, name: str, call_id: str, is_error: bool) -> Part:
    if part.kind not in ("text", "data"):
        return part
    return Part("tool_result", to_text(part.text), name=name, call_id=call_id, is_error=is_error)


def _decode_content(content: Any) -> Any:
    """Content is text even where that text is JSON (a structured answer), unless it is a list of parts."""
    decoded = decode_value(content)
    return decoded if _are_parts(decoded) else content


def _are_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and _is_part(item) for item in value)


def _is_part(item: dict[str, Any]) -> bool:
    return _type_of(item) in _PART_READERS or any(key in item for key in _KEYED_PARTS) or set(item) == {"text"}


def _parts_list(content: Any) -> list[Part]:
    if isinstance(content, list):
        return [part for item in content[:_PART_LIMIT] for part in _parts_of(item)]
    return _parts_of(content)


def _parts_of(item: Any) -> list[Part]:
    if item is None or item == "":
        return []
    if isinstance(item, str):
        return [Part("text", item)]
    if not isinstance(item, dict):
        return [Part("data", to_text(item))]
    if isinstance(item.get("tool_call"), dict):  # OpenInference, since contents hold calls too
        return [_tool_call(item["tool_call"])]
    item = _unwrap(item)
    if isinstance(item.get("block_type"), str):  # LlamaIndex
        item = {**item, "type": item["block_type"]}
    reader = _PART_READERS.get(_type_of(item))
    if reader is not None:
        return [reader(item)]
    for key, keyed_reader in _KEYED_PARTS.items():
        if isinstance(item.get(key), dict):
            return [keyed_reader(item[key])]
    if "tool_name" in item and "arguments" in item:  # Haystack
        return [_tool_call(item)]
    if isinstance(item.get("text"), str):
        return [Part("reasoning" if item.get("thought") is True else "text", item["text"])]
    return [Part("data", to_text(item))]


def _text_part(item: dict[str, Any]) -> Part:
    return Part("text", to_text_or_same(_first(item, "content", "text", "value", "refusal")))


def to_text_or_same(value: Any) -> str:
    """Like to_text, but text that happens to be JSON stays as the model wrote it."""
    return value if isinstance(value, str) else to_text(value)


def _reasoning_part(item: dict[str, Any]) -> Part:
    value = _first(item, "content", "text", "thinking", "reasoning", "summary", "reasoningText", "data")
    return Part("reasoning", _reasoning_text(value))


def _reasoning_text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(filter(None, (_reasoning_text(item) for item in value)))
    if isinstance(value, dict):
        return _reasoning_text(_first(value, "text", "content", "thinking", "summary", "reasoningText"))
    return to_text_or_same(value)


def _tool_call(item: dict[str, Any]) -> Part:
    function = decode_value(item.get("function"))
    inner = function if isinstance(function, dict) else item
    name = _text_field(inner, "name", "toolName", "tool_name") or _text_field(item, "name", "toolName")
    arguments = _first(inner, "arguments", "args", "input", "parameters", "toolInput", "tool_kwargs")
    return Part("tool_call", to_text(arguments), name=name, call_id=_text_field(item, *_CALL_ID_KEYS))


def _tool_result(item: dict[str, Any]) -> Part:
    value = decode_value(_first(item, "response", "result", "output", "content", "value"))
    if isinstance(value, dict) and value.keys() == {"type", "value"}:  # Vercel AI: {"type": "json", "value": ...}
        value = value["value"]
    text = "\n".join(to_text(part.text) for part in _parts_list(value)) if _are_parts(value) else to_text(value)
    failed = bool(item.get("is_error") or item.get("isError") or item.get("status") == "error" or item.get("error") is True)
    call = item["origin"] if isinstance(item.get("origin"), dict) else item
    call_id = _text_field(call, *_CALL_ID_KEYS)
    return Part("tool_result", text, name=_text_field(call, "name", "toolName", "tool_name"), call_id=call_id, is_error=failed)


_IMAGE_TYPES = ("png", "jpeg", "jpg", "gif", "webp")
_IMAGE_CHARS = 14_000_000  # ten megabytes of image


def _media_part(item: dict[str, Any]) -> Part:
    """Describe an image, sound or file; nothing is ever fetched, and only an image that was sent inline can be shown."""
    holders = ("source", "image_url", "input_audio", "file", "image")
    source = next((item[key] for key in holders if isinstance(item.get(key), dict)), item)
    source = source["image"] if isinstance(source.get("image"), dict) else source
    mime = _text_field(source, "mime_type", "mediaType", "media_type", "mimeType", "format")
    mime = mime or _text_field(item, "modality", "type")
    body = to_text_or_same(_first(source, "uri", "url", "content", "data", "image_url", "image", "file_id", "id", "filename"))
    where = f"{len(body):,} characters" if body.startswith("data:") or len(body) > 500 else body
    return Part("media", f"{mime} {where}".strip(), image=body if _is_image(mime, body) else "")


def _is_image(mime: str, body: str) -> bool:
    named = body[5:40].lower() if body[:5].lower() == "data:" else mime.lower()
    is_inline = body[:5].lower() == "data:" or (len(body) > 40 and "://" not in body[:40])
    kind = named.partition(";")[0].removeprefix("image/")
    return is_inline and len(body) <= _IMAGE_CHARS and kind in _IMAGE_TYPES


def _first(item: dict[str, Any], *keys: str) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _text_field(item: dict[str, Any], *keys: str) -> str:
    value = _first(item, *keys)
    return "" if value is None or isinstance(value, dict | list) else str(value)[:200]


_PART_READERS: dict[str, Callable[[dict[str, Any]], Part]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "refusal"), _text_part),
    **dict.fromkeys(("reasoning", "thinking", "redacted_thinking", "redacted-reasoning"), _reasoning_part),
    **dict.fromkeys(
        ("tool_call", "tool-call", "tool_use", "function_call", "function", "server_tool_call", "server_tool_use"), _tool_call
    ),
    **dict.fromkeys(
        (
            "tool_call_response",
            "tool-result",
            "tool_result",
            "function_call_output",
            "server_tool_call_response",
            "web_search_tool_result",
        ),
        _tool_result,
    ),
    **dict.fromkeys(
        ("image", "image_url", "input_image", "blob", "uri", "file", "input_file", "audio", "input_audio", "video", "document"),
        _media_part,
    ),
}
_KEYED_PARTS: dict[str, Callable[[dict[str, Any]], Part]] = {
    **dict.fromkeys(("toolUse", "functionCall", "function_call", "toolRequest"), _tool_call),
    **dict.fromkeys(("toolResult", "functionResponse", "function_response", "tool_call_result", "toolResponse"), _tool_result),
    **dict.fromkeys(("reasoningContent", "reasoningText"), _reasoning_part),
    **dict.fromkeys(("inlineData", "inline_data", "fileData", "file_data"), _media_part),
}

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
    return _parts_list(system["parts"]) if isinstance(system, dict) and "parts" in system else _parts_list(system)


def _read_prompt(value: dict[str, Any], depth: int) -> list[Message] | None:
    messages = [Message("system", _system_parts(value["system"]))] if value.get("system") else []
    return [*messages, Message("user", _parts_list(value["prompt"]))]


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
    reason = _text_field(value, "finish_reason", "finishReason")
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
