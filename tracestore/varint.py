"""Protobuf's variable-length integers (https://protobuf.dev/programming-guides/encoding/#varints)."""

from __future__ import annotations

_ONE_BYTE = [bytes([value]) for value in range(0x80)]  # most lengths and all tags of OTLP/JSON


def encode_varint(value: int) -> bytes:
    """Return a number from 0 in groups of seven bits, lowest first."""
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
