"""Stored attribute maps -> values."""

from __future__ import annotations

import base64

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue

from tracestore.clickhouse.attributes import decode_attributes, encode_list_item


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", "s", "x"),
        ("-9223372036854775808", "i", -(2**63)),
        ("1e21", "d", 1e21),
        ("nan", "d", "NaN"),
        ("-inf", "d", "-Infinity"),
        ("true", "b", True),
        ("false", "b", False),
        ("/wA=", "y", "/wA="),
        ("", "n", None),
        ("", "a", []),
        ("", "k", {}),
        ("not base64!", "a", "not base64!"),
        ("/////w==", "k", "/////w=="),
        ("x", "i", "x"),
        ("x", "?", "x"),
    ],
)
def test_value_is_decoded_by_its_letter(value: str, kind: str, expected: object) -> None:
    decoded = decode_attributes(["k"], [value], kind)["k"]

    assert decoded == expected
    assert type(decoded) is type(expected)


def test_first_stored_value_of_a_key_counts_and_missing_letters_mean_text() -> None:
    assert decode_attributes(["a", "b", "a"], ["1", "2", "3"], "i") == {"a": 1, "b": "2"}


@pytest.mark.parametrize("text", ["beta", "é", "x" * 300])
def test_encoded_item_is_what_a_list_holds(text: str) -> None:
    stored = ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value=text), AnyValue()]).SerializeToString()

    assert encode_list_item(text) in stored
    assert encode_list_item(text[:-1]) not in stored
    assert decode_attributes(["k"], [base64.b64encode(stored).decode()], "a") == {"k": [1, text, None]}
