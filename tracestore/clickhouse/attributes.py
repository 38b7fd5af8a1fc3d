"""Attribute maps as stored -> JSON-like values.

A map's values are text; a string beside the map has one letter per entry, in the map's order: s string, i int, d double, b bool,
a ArrayValue and k KeyValueList (serialized opentelemetry.proto.common.v1 messages), y bytes, n empty. Queries hand over the
values of a, k and y in base64, because their bytes need not be UTF-8.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList

BINARY_TYPES = "aky"


def decode_attributes(keys: Sequence[str], values: Sequence[str], types: str) -> dict[str, Any]:
    """Return key -> value in the order sent; of a key sent twice the last value counts. What cannot be read stays the text it is.

    Stored maps are in reverse order, so that ClickHouse's look-up, which takes the first of equal keys, says the same.
    """
    stored = zip(keys, values, types.ljust(len(keys), "s"), strict=False)
    return {key: _decode(value, kind) for key, value, kind in reversed(list(stored))}


def encode_list_item(text: str) -> bytes:
    """Return the bytes that a stored list holds for an item that is this text."""
    return ArrayValue(values=[AnyValue(string_value=text)]).SerializeToString()


def _decode(value: str, kind: str) -> Any:
    try:
        return _DECODERS[kind](value)
    except (KeyError, ValueError, DecodeError):
        return value


def _array(value: str) -> list[Any]:
    return [_any_value(item) for item in ArrayValue.FromString(base64.b64decode(value)).values]


def _kvlist(value: str) -> dict[str, Any]:
    return {item.key: _any_value(item.value) for item in KeyValueList.FromString(base64.b64decode(value)).values}


def _any_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_any_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: _any_value(item.value) for item in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value":
        return _finite(value.double_value)
    return getattr(value, kind) if kind in ("string_value", "int_value", "bool_value") else None


def _finite(number: float) -> float | str:
    """JSON has no NaN and no infinity; Protobuf's JSON mapping writes them as these texts."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


_DECODERS: dict[str, Callable[[str], Any]] = {
    "s": str,
    "i": int,
    "d": lambda value: _finite(float(value)),
    "b": lambda value: value == "true",
    "a": _array,
    "k": _kvlist,
    "y": str,
    "n": lambda value: None,
}
