"""Second chance for a binary request that upb refuses although its wire format is sound.

upb fails the whole request for one string that is not UTF-8 or one value nested deeper than 100 messages. This walks the
bytes along the schema, replaces only those, and copies everything else. It runs when parsing has failed, never before.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tracestore.varint import encode_varint

_MAX_DEPTH = 95  # upb's limit is 100
_TOO_DEEP = b"(nested too deep)"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class RepairError(ValueError):
    """The bytes are not Protobuf wire format."""


def repair(body: bytes, request: Descriptor) -> bytes:
    """Return a message of this type that parses, as close to `body` as can be. Raises RepairError."""
    return _repair_message(body, request, 1)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at `at` and the offset after it. Raises RepairError."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise RepairError("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _repair_message(data: bytes, descriptor: Descriptor, depth: int) -> bytes:
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        start = at
        key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0 or wire_type not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise RepairError("a field tag is invalid")
        if wire_type == _BYTES:
            size, at = read_varint(data, at)
            content = data[at : at + size]
            at += size
            if len(content) == size:
                field = descriptor.fields_by_number.get(number)
                parts.append(_repair_field(key, content, field, depth))
        elif wire_type == _VARINT:
            _, at = read_varint(data, at)
            parts.append(data[start:at])
        else:
            at += 8 if wire_type == _FIXED64 else 4
            parts.append(data[start:at])
        if at > len(data):
            raise RepairError("a field is cut short")
    return b"".join(parts)


def _repair_field(key: int, content: bytes, field: FieldDescriptor | None, depth: int) -> bytes:
    nested = field.message_type if field is not None else None
    if field is not None and field.type == FieldDescriptor.TYPE_STRING:
        content = content.decode("utf-8", "replace").encode()
    elif nested is not None:
        if depth < _MAX_DEPTH:
            content = _repair_message(content, nested, depth + 1)
        elif nested.name == "AnyValue":
            content = b"\x0a" + encode_varint(len(_TOO_DEEP)) + _TOO_DEEP
        else:
            content = b""
    return encode_varint(key) + encode_varint(len(content)) + content
