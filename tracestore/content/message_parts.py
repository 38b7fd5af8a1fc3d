"""The parts of a message in any dialect: text, reasoning, tool calls and results, media. Pure and total, as messages.py is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracestore.content.values import decode_value, to_text

PART_LIMIT = 200
TYPES_THAT_ARE_ROLES = {
    *("human", "ai", "system", "tool"),
    *("HumanMessage", "AIMessage", "SystemMessage", "ToolMessage", "HumanMessageChunk", "AIMessageChunk"),
}
_CALL_ID_KEYS = ("call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "id", "ref")
_IMAGE_TYPES = ("png", "jpeg", "jpg", "gif", "webp")
_IMAGE_CHARS = 14_000_000  # ten megabytes of image


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


def read_parts(content: Any) -> list[Part]:
    """Return the parts of a message's content, a list of items or one of them; [] for none."""
    if isinstance(content, list):
        return [part for item in content[:PART_LIMIT] for part in read_item(item)]
    return read_item(content)


def read_item(item: Any) -> list[Part]:
    """Return the one part that an item of a content is, [] for an empty one; of an unknown shape it is a data part."""
    if item is None or item == "":
        return []
    if isinstance(item, str):
        return [Part("text", item)]
    if not isinstance(item, dict):
        return [Part("data", to_text(item))]
    if isinstance(item.get("tool_call"), dict):  # OpenInference, since contents hold calls too
        return [read_tool_call(item["tool_call"])]
    item = unwrap(item)
    if isinstance(item.get("block_type"), str):  # LlamaIndex
        item = {**item, "type": item["block_type"]}
    reader = _PART_READERS.get(type_of(item))
    if reader is not None:
        return [reader(item)]
    for key, keyed_reader in _KEYED_PARTS.items():
        if isinstance(item.get(key), dict):
            return [keyed_reader(item[key])]
    if "tool_name" in item and "arguments" in item:  # Haystack
        return [read_tool_call(item)]
    if isinstance(item.get("text"), str):
        return [Part("reasoning" if item.get("thought") is True else "text", item["text"])]
    return [Part("data", to_text(item))]


def _are_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and _is_part(item) for item in value)


def _is_part(item: dict[str, Any]) -> bool:
    return type_of(item) in _PART_READERS or any(key in item for key in _KEYED_PARTS) or set(item) == {"text"}


def decode_content(content: Any) -> Any:
    """Content is text even where that text is JSON (a structured answer), unless it is a list of parts."""
    decoded = decode_value(content)
    return decoded if _are_parts(decoded) else content


def unwrap(value: dict[str, Any]) -> dict[str, Any]:
    """Undo LangChain's serialisation and OpenInference's one-key dicts."""
    for _ in range(3):
        inner: Any = None
        if type_of(value) == "constructor" and isinstance(value.get("kwargs"), dict):
            inner = dict(value["kwargs"])
            identity = value.get("id")
            inner.setdefault("type", identity[-1] if isinstance(identity, list) and identity else "")
        elif isinstance(value.get("data"), dict) and type_of(value) in TYPES_THAT_ARE_ROLES:
            inner = {"type": value["type"], **value["data"]}
        elif len(value) == 1:
            inner = next((value[key] for key in ("message", "message_content", "tool_call") if key in value), None)
        if not isinstance(inner, dict):
            return value
        value = inner
    return value


def type_of(value: dict[str, Any]) -> str:
    """Return what a dict says it is; "" where that is no text, as in a JSON schema whose types are a list."""
    found = value.get("type")
    return found if isinstance(found, str) else ""


def _text_part(item: dict[str, Any]) -> Part:
    return Part("text", to_text_or_same(_first(item, "content", "text", "value", "refusal")))


def to_text_or_same(value: Any) -> str:
    """Like to_text, but text that happens to be JSON stays as the model wrote it."""
    return value if isinstance(value, str) else to_text(value)


def _reasoning_part(item: dict[str, Any]) -> Part:
    value = _first(item, "content", "text", "thinking", "reasoning", "summary", "reasoningText", "data")
    return Part("reasoning", read_reasoning_text(value))


def read_reasoning_text(value: Any) -> str:
    """Return reasoning as lines of text, out of the lists and dicts in which it comes."""
    if isinstance(value, list):
        return "\n".join(filter(None, (read_reasoning_text(item) for item in value)))
    if isinstance(value, dict):
        return read_reasoning_text(_first(value, "text", "content", "thinking", "summary", "reasoningText"))
    return to_text_or_same(value)


def read_tool_call(item: dict[str, Any]) -> Part:
    function = decode_value(item.get("function"))
    inner = function if isinstance(function, dict) else item
    name = read_text_field(inner, "name", "toolName", "tool_name") or read_text_field(item, "name", "toolName")
    arguments = _first(inner, "arguments", "args", "input", "parameters", "toolInput", "tool_kwargs")
    return Part("tool_call", to_text(arguments), name=name, call_id=read_text_field(item, *_CALL_ID_KEYS))


def _tool_result(item: dict[str, Any]) -> Part:
    value = decode_value(_first(item, "response", "result", "output", "content", "value"))
    if isinstance(value, dict) and value.keys() == {"type", "value"}:  # Vercel AI: {"type": "json", "value": ...}
        value = value["value"]
    text = "\n".join(to_text(part.text) for part in read_parts(value)) if _are_parts(value) else to_text(value)
    failed = bool(item.get("is_error") or item.get("isError") or item.get("status") == "error" or item.get("error") is True)
    call = item["origin"] if isinstance(item.get("origin"), dict) else item
    name = read_text_field(call, "name", "toolName", "tool_name")
    return Part("tool_result", text, name=name, call_id=read_text_field(call, *_CALL_ID_KEYS), is_error=failed)


def _media_part(item: dict[str, Any]) -> Part:
    """Describe an image, sound or file; nothing is ever fetched, and only an image that was sent inline can be shown."""
    holders = ("source", "image_url", "input_audio", "file", "image")
    source = next((item[key] for key in holders if isinstance(item.get(key), dict)), item)
    source = source["image"] if isinstance(source.get("image"), dict) else source
    mime = read_text_field(source, "mime_type", "mediaType", "media_type", "mimeType", "format")
    mime = mime or read_text_field(item, "modality", "type")
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


def read_text_field(item: dict[str, Any], *keys: str) -> str:
    """Return the first of these fields that is there, at most 200 characters of it; "" for none, and for what is no scalar."""
    value = _first(item, *keys)
    return "" if value is None or isinstance(value, dict | list) else str(value)[:200]


_PART_READERS: dict[str, Callable[[dict[str, Any]], Part]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "refusal"), _text_part),
    **dict.fromkeys(("reasoning", "thinking", "redacted_thinking", "redacted-reasoning"), _reasoning_part),
    **dict.fromkeys(
        ("tool_call", "tool-call", "tool_use", "function_call", "function", "server_tool_call", "server_tool_use"), read_tool_call
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
    **dict.fromkeys(("toolUse", "functionCall", "function_call", "toolRequest"), read_tool_call),
    **dict.fromkeys(("toolResult", "functionResponse", "function_response", "tool_call_result", "toolResponse"), _tool_result),
    **dict.fromkeys(("reasoningContent", "reasoningText"), _reasoning_part),
    **dict.fromkeys(("inlineData", "inline_data", "fileData", "file_data"), _media_part),
}
