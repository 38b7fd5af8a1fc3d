"""OTLP/JSON -> the same protobuf bytes, value by value, so that one odd value costs itself and not 512 spans.

protobuf's own `json_format` fails a whole request for a lone surrogate or an integer beyond 64 bits, and reads hex ids as
base64. Sources: the OTLP specification, "JSON Protobuf Encoding", and the .proto files for field numbers.
"""

from __future__ import annotations

import base64
import binascii
import gc
import json
import struct
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tracestore.varint import encode_varint

Encode = Callable[[Any], bytes]
Table = dict[str, Encode]

# upb refuses messages nested deeper than 100; a key-value list takes three levels, and seven lie above an attribute.
_MAX_VALUE_DEPTH = 30
_INT64 = range(-(2**63), 2**63)
_INVALID_ID = b"\0"


def _any_integer(text: str) -> int | float:
    # int() refuses thousands of digits to save time, and float("1" * 400) is inf: both stand for "absurd".
    return int(text) if len(text) < 40 else float(text)


def decode_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`; an empty body is an empty object. Raises ValueError with a phrase."""
    text = body.decode("utf-8-sig", "replace")
    if not text.strip():
        return {}
    # The tree has no cycles, but the collector would walk it again and again while it grows, and every thread would wait:
    # 0.9 in place of 0.3 s for 20 MB of small attributes, and more beside the heap of a running server.
    gc.disable()
    try:
        document = json.loads(text, parse_int=_any_integer)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    finally:
        gc.enable()
    if not isinstance(document, dict):
        raise ValueError("it must be a JSON object")
    return document


def encode_traces(document: dict[str, Any]) -> bytes:
    """Return a serialized ExportTraceServiceRequest. Spans whose ids are not hex get ids that no check accepts."""
    _require_lists(document, "resourceSpans", "resource_spans")
    return _encode(document, _REQUEST)


def encode_logs(document: dict[str, Any]) -> bytes:
    """Return a serialized ExportLogsServiceRequest. Ids that are not hex become ids that associate a record with nothing."""
    _require_lists(document, "resourceLogs", "resource_logs")
    return _encode(document, _LOGS_REQUEST)


def _require_lists(document: dict[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(document.get(name, []), list | None):
            raise ValueError(f"{name} must be an array")


def _utf8(value: Any) -> bytes:
    if not isinstance(value, str):
        value = json.dumps(value)
    text: str = value
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, from a string cut in the middle of an emoji. Whole pairs are joined on the way.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _tag(number: int, wire_type: int) -> bytes:
    return encode_varint(number << 3 | wire_type)


def _bytes_field(number: int, convert: Callable[[Any], bytes]) -> Encode:
    tag = _tag(number, 2)

    def encode(value: Any) -> bytes:
        content = convert(value)
        return b"".join((tag, encode_varint(len(content)), content))

    return encode


def _text(number: int) -> Encode:
    return _bytes_field(number, _utf8)


def _id(number: int, size: int) -> Encode:
    def convert(value: Any) -> bytes:
        if value == "":
            return b""
        if not isinstance(value, str) or len(value) != 2 * size:
            return _INVALID_ID
        try:
            return binascii.unhexlify(value)
        except ValueError:
            return _INVALID_ID

    return _bytes_field(number, convert)


def _whole(value: Any) -> int | None:
    """Read a JSON number or a decimal string; None when it is neither or not finite."""
    try:
        if isinstance(value, str):
            value = _any_integer(value) if value.lstrip("-").isdigit() else float(value)
        return int(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _fixed(number: int, wire_type: int, layout: str, limit: int) -> Encode:
    tag, pack = _tag(number, wire_type), struct.Struct(layout).pack
    return lambda value: tag + pack(min(max(_whole(value) or 0, 0), limit))


def _fixed64(number: int) -> Encode:
    return _fixed(number, 1, "<Q", 2**64 - 1)


def _uint32(number: int) -> Encode:
    tag = _tag(number, 0)
    return lambda value: tag + encode_varint(min(max(_whole(value) or 0, 0), 2**32 - 1))


def _enum(number: int, names: Any) -> Encode:
    tag, values = _tag(number, 0), dict(names.items())

    def encode(value: Any) -> bytes:
        known = values.get(value) if isinstance(value, str) else None
        code = known if known is not None else _whole(value) or 0
        return tag + encode_varint(code) if 0 <= code < 2**31 else b""

    return encode


def _encode(value: Any, table: Table) -> bytes:
    if not isinstance(value, dict):
        return b""
    return b"".join([table[name](item) for name, item in value.items() if item is not None and name in table])


def _message(number: int, table: Table) -> Encode:
    return _bytes_field(number, lambda value: _encode(value, table))


def _repeated(encode_one: Encode) -> Encode:
    return lambda values: b"".join(map(encode_one, values)) if isinstance(values, list) else b""


def _fields(entries: Iterable[tuple[str, Encode]]) -> Table:
    """Return a table that knows each field by its JSON name and by its .proto name, which some senders use."""
    table = {}
    for name, encode in entries:
        head, *rest = name.split("_")
        table[name] = table[head + "".join(part.title() for part in rest)] = encode
    return table


def _string_value(value: Any) -> bytes:
    content = _utf8(value)
    return b"".join((b"\x0a", encode_varint(len(content)), content))


def _int_value(value: Any) -> bytes:
    number = _whole(value)
    if number is not None and number in _INT64:
        return b"\x18" + encode_varint(number & 0xFFFFFFFFFFFFFFFF)
    return _double_value(value)


def _double_value(value: Any) -> bytes:
    """A number too large for its type becomes a double, text that is no number stays text: nothing is thrown away."""
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return _string_value(value)
    return b"\x21" + struct.pack("<d", number)


def _bool_value(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    return b"\x10\x01" if value in (1, "true", "True", "1") else b"\x10\x00"


def _bytes_value(value: Any) -> bytes:
    if not isinstance(value, str):
        return _string_value(value)
    try:
        standard = value.replace("-", "+").replace("_", "/").rstrip("=")
        content = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        return _string_value(value)
    return b"".join((b"\x3a", encode_varint(len(content)), content))


def _bare_value(value: Any) -> bytes:
    """A value outside its {"stringValue": ...} envelope, which some hand-written senders post."""
    if isinstance(value, bool):
        return _bool_value(value)
    if isinstance(value, int):
        return _int_value(value)
    return _double_value(value) if isinstance(value, float) else _string_value(value)


def _any_value(value: Any, depth: int = 0) -> bytes:
    if not isinstance(value, dict):
        return _bare_value(value) if value is not None else b""
    for name, item in value.items():
        if item is None:
            continue
        scalar = _SCALARS.get(name)
        if scalar is not None:
            return scalar(item)
        if name in _CONTAINERS:
            if depth >= _MAX_VALUE_DEPTH:
                return _string_value(json.dumps(value))
            tag, encode_one = _CONTAINERS[name]
            members = item.get("values") if isinstance(item, dict) else None
            content = b"".join([encode_one(member, depth + 1) for member in members]) if isinstance(members, list) else b""
            return b"".join((tag, encode_varint(len(content)), content))
    return b""


def _array_member(value: Any, depth: int) -> bytes:
    content = _any_value(value, depth)
    return b"".join((b"\x0a", encode_varint(len(content)), content))


def _key_value(item: Any, depth: int = 0) -> bytes:
    """Return a KeyValue as field 1 of a list; `_attributes` gives it another tag."""
    content = _key_value_content(item, depth)
    return b"".join((b"\x0a", encode_varint(len(content)), content))


def _key_value_content(item: Any, depth: int) -> bytes:
    if not isinstance(item, dict):
        return b""
    key, value = item.get("key"), item.get("value")
    name = _utf8(key) if key is not None else b""
    parts = [b"\x0a", encode_varint(len(name)), name]
    if value is not None:
        content = _any_value(value, depth)
        parts += (b"\x12", encode_varint(len(content)), content)
    return b"".join(parts)


def _attributes(number: int) -> tuple[str, Encode]:
    return "attributes", _repeated(_bytes_field(number, lambda item: _key_value_content(item, 0)))


_SCALARS = _fields(
    (
        ("string_value", _string_value),
        ("bool_value", _bool_value),
        ("int_value", _int_value),
        ("double_value", _double_value),
        ("bytes_value", _bytes_value),
    )
)
_CONTAINERS: dict[str, tuple[bytes, Callable[[Any, int], bytes]]] = {
    "arrayValue": (b"\x2a", _array_member),
    "array_value": (b"\x2a", _array_member),
    "kvlistValue": (b"\x32", _key_value),
    "kvlist_value": (b"\x32", _key_value),
}
_EVENT = _fields(
    (
        ("time_unix_nano", _fixed64(1)),
        ("name", _text(2)),
        _attributes(3),
        ("dropped_attributes_count", _uint32(4)),
    )
)
_LINK = _fields(
    (
        ("trace_id", _id(1, 16)),
        ("span_id", _id(2, 8)),
        ("trace_state", _text(3)),
        _attributes(4),
        ("dropped_attributes_count", _uint32(5)),
        ("flags", _fixed(6, 5, "<I", 2**32 - 1)),
    )
)
_STATUS = _fields((("message", _text(2)), ("code", _enum(3, Status.StatusCode))))
_SPAN = _fields(
    (
        ("trace_id", _id(1, 16)),
        ("span_id", _id(2, 8)),
        ("trace_state", _text(3)),
        ("parent_span_id", _id(4, 8)),
        ("name", _text(5)),
        ("kind", _enum(6, Span.SpanKind)),
        ("start_time_unix_nano", _fixed64(7)),
        ("end_time_unix_nano", _fixed64(8)),
        _attributes(9),
        ("dropped_attributes_count", _uint32(10)),
        ("events", _repeated(_message(11, _EVENT))),
        ("dropped_events_count", _uint32(12)),
        ("links", _repeated(_message(13, _LINK))),
        ("dropped_links_count", _uint32(14)),
        ("status", _message(15, _STATUS)),
        ("flags", _fixed(16, 5, "<I", 2**32 - 1)),
    )
)
_MALFORMED_SPAN = {"trace_id": _INVALID_ID.decode()}
_SCOPE = _fields((("name", _text(1)), ("version", _text(2)), _attributes(3), ("dropped_attributes_count", _uint32(4))))
_RESOURCE = _fields((_attributes(1), ("dropped_attributes_count", _uint32(2))))
_SCOPE_SPANS = _fields(
    (
        ("scope", _message(1, _SCOPE)),
        ("spans", _repeated(_bytes_field(2, lambda span: _encode(span if isinstance(span, dict) else _MALFORMED_SPAN, _SPAN)))),
        ("schema_url", _text(3)),
    )
)
_RESOURCE_SPANS = _fields(
    (("resource", _message(1, _RESOURCE)), ("scope_spans", _repeated(_message(2, _SCOPE_SPANS))), ("schema_url", _text(3)))
)
_REQUEST = _fields((("resource_spans", _repeated(_message(1, _RESOURCE_SPANS))),))
_LOG_RECORD = _fields(
    (
        ("time_unix_nano", _fixed64(1)),
        ("severity_number", _enum(2, SeverityNumber)),
        ("severity_text", _text(3)),
        ("body", _bytes_field(5, _any_value)),
        _attributes(6),
        ("dropped_attributes_count", _uint32(7)),
        ("flags", _fixed(8, 5, "<I", 2**32 - 1)),
        ("trace_id", _id(9, 16)),
        ("span_id", _id(10, 8)),
        ("observed_time_unix_nano", _fixed64(11)),
        ("event_name", _text(12)),
    )
)
_encode_log_record = _message(2, _LOG_RECORD)
_SCOPE_LOGS = _fields(
    (
        ("scope", _message(1, _SCOPE)),
        ("log_records", _repeated(lambda record: _encode_log_record(record) if isinstance(record, dict) else b"")),
        ("schema_url", _text(3)),
    )
)
_RESOURCE_LOGS = _fields(
    (("resource", _message(1, _RESOURCE)), ("scope_logs", _repeated(_message(2, _SCOPE_LOGS))), ("schema_url", _text(3)))
)
_LOGS_REQUEST = _fields((("resource_logs", _repeated(_message(1, _RESOURCE_LOGS))),))
