"""Decoding without a server: JSON means the same as protobuf, and odd values cost themselves only."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest.otlp.check import BadBody, Rejection, check_json, check_logs_json, check_protobuf
from ingest.otlp.json_form import decode_json_object
from ingest.otlp.memory import estimate_parsing_bytes
from tests.otlp_messages import sized, to_otlp_dict, trace_requests

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def check_span(**fields: Any) -> Span:
    """Send one span as JSON and return what would be stored."""
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE_ID, "spanId": SPAN_ID} | fields]}]}]}
    checked = check_json(json.dumps(document).encode())
    assert (checked.accepted, checked.rejected) == (1, 0), checked
    return ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0]


def check_value(value: Any) -> AnyValue:
    return check_span(attributes=[{"key": "k", "value": value}]).attributes[0].value


@pytest.mark.parametrize("trace_id", [TRACE_ID, TRACE_ID.upper()])
def test_hex_ids_in_any_case(trace_id: str) -> None:
    assert check_span(traceId=trace_id).trace_id == bytes.fromhex(TRACE_ID)


def test_names_of_the_proto_file_are_understood() -> None:
    body = {
        "resource_spans": [{"scope_spans": [{"spans": [{"trace_id": TRACE_ID, "span_id": SPAN_ID, "start_time_unix_nano": 5}]}]}]
    }

    checked = check_json(json.dumps(body).encode())

    assert checked.accepted == 1


@pytest.mark.parametrize("given_time", ["1700000000000000001", 1700000000000000001])
def test_times_as_string_or_number(given_time: object) -> None:
    assert check_span(startTimeUnixNano=given_time).start_time_unix_nano == 1700000000000000001


@pytest.mark.parametrize(
    ("given_time", "expected"), [(-5, 0), ("x", 0), (None, 0), (2**70, 2**64 - 1), (1.7e18, 1_700_000_000_000_000_000), ([], 0)]
)
def test_absurd_times_are_clamped(given_time: object, expected: int) -> None:
    assert check_span(endTimeUnixNano=given_time).end_time_unix_nano == expected


@pytest.mark.parametrize("kind", [2, "2", "SPAN_KIND_SERVER"])
def test_kind_as_number_or_name(kind: object) -> None:
    assert check_span(kind=kind).kind == Span.SPAN_KIND_SERVER


def test_status_code_as_name() -> None:
    assert check_span(status={"code": "STATUS_CODE_ERROR", "message": "no"}).status == Status(
        code=Status.STATUS_CODE_ERROR, message="no"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"intValue": 5}, AnyValue(int_value=5)),
        ({"intValue": "-5"}, AnyValue(int_value=-5)),
        ({"intValue": 5.0}, AnyValue(int_value=5)),
        ({"intValue": 1e21}, AnyValue(double_value=1e21)),
        ({"intValue": 2**63}, AnyValue(double_value=2.0**63)),
        ({"intValue": "many"}, AnyValue(string_value="many")),
        ({"intValue": "1" + "0" * 5000}, AnyValue(double_value=math.inf)),
        ({"doubleValue": "Infinity"}, AnyValue(double_value=math.inf)),
        ({"doubleValue": 1e21}, AnyValue(double_value=1e21)),
        ({"doubleValue": "-0.5"}, AnyValue(double_value=-0.5)),
        ({"boolValue": False}, AnyValue(bool_value=False)),
        ({"boolValue": "true"}, AnyValue(bool_value=True)),
        ({"stringValue": ""}, AnyValue(string_value="")),
        ({"stringValue": "a\ud83d"}, AnyValue(string_value="a\ufffd")),
        ({"stringValue": "\ud83d\ude00"}, AnyValue(string_value="\U0001f600")),
        ({"stringValue": "a\x00b"}, AnyValue(string_value="a\x00b")),
        ({"stringValue": 5}, AnyValue(string_value="5")),
        ({"bytesValue": "AP8="}, AnyValue(bytes_value=b"\x00\xff")),
        ({"bytesValue": "_-8"}, AnyValue(bytes_value=b"\xff\xef")),
        ({"bytesValue": "%"}, AnyValue(string_value="%")),
        ({"arrayValue": {}}, AnyValue(array_value=ArrayValue())),
        (
            {"arrayValue": {"values": [{}, {"intValue": 1}]}},
            AnyValue(array_value=ArrayValue(values=[AnyValue(), AnyValue(int_value=1)])),
        ),
        ({"kvlistValue": {"values": [{"key": "a"}]}}, AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="a")]))),
        ({}, AnyValue()),
        ({"unknownValue": 1}, AnyValue()),
        ({"stringValueStrindex": 4}, AnyValue()),  # refers to the dictionary of profiles, which no other signal has
        ({"stringValue": None, "intValue": 3}, AnyValue(int_value=3)),
        ("bare", AnyValue(string_value="bare")),
    ],
)
def test_attribute_value(value: object, expected: AnyValue) -> None:
    assert check_value(value) == expected


def test_not_a_number_survives() -> None:
    assert math.isnan(check_value({"doubleValue": "NaN"}).double_value)


def nested(depth: int, wrap: str) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "deep"}
    for _ in range(depth):
        members = [value] if wrap == "arrayValue" else [{"key": "k", "value": value}]
        value = {wrap: {"values": members}}
    return value


@pytest.mark.parametrize("wrap", ["arrayValue", "kvlistValue"])
@pytest.mark.parametrize("depth", [5, 30, 60, 150])
def test_deep_json_value_keeps_its_text(wrap: str, depth: int) -> None:
    assert b"deep" in check_value(nested(depth, wrap)).SerializeToString()


def test_absurdly_deep_json_is_refused() -> None:
    with pytest.raises(BadBody, match="nested too deep"):
        check_json(b"[" * 100_000)


@pytest.mark.parametrize("depth", [40, 90])
def test_deep_protobuf_value_costs_itself_only(depth: int) -> None:
    value = AnyValue(string_value="deep").SerializeToString()
    for _ in range(depth):
        member = KeyValue(key="k").SerializeToString() + b"\x12" + sized(value)
        value = b"\x32" + sized(b"\x0a" + sized(member))
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="kept").SerializeToString()
    body = _wrap(span + b"\x4a" + sized(b"\x0a\x01k\x12" + sized(value)))

    checked = check_protobuf(body)

    assert (checked.accepted, checked.rejected) == (1, 0)
    assert ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0].name == "kept"


def _wrap(span: bytes) -> bytes:
    return b"\x0a" + sized(b"\x12" + sized(b"\x12" + sized(span)))


def test_text_that_is_not_utf8_is_replaced() -> None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8).SerializeToString() + b"\x2a\x03a\xffb"

    checked = check_protobuf(_wrap(span))

    assert ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0].name == "a\ufffdb"


def test_untouched_request_keeps_its_bytes_and_unknown_fields() -> None:
    body = _wrap(Span(trace_id=b"t" * 16, span_id=b"s" * 8).SerializeToString() + b"\xfa\x7f\x01x")

    assert check_protobuf(body).payload is body


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        (b"t" * 16, bytes(8)),
        (b"t" * 16, b""),
        (b"t" * 16, b"s" * 9),
        (bytes(16), b"s" * 8),
        (b"", b"s" * 8),
        (b"t" * 8, b"s" * 8),
    ],
)
def test_one_kind_of_bad_id_alone_costs_its_span_only(trace_id: bytes, span_id: bytes) -> None:
    bad = Span(trace_id=trace_id, span_id=span_id).SerializeToString()
    good = Span(trace_id=b"t" * 16, span_id=b"g" * 8).SerializeToString()

    checked = check_protobuf(_wrap(bad) + _wrap(good))

    assert (checked.accepted, checked.rejected) == (1, 1)


@pytest.mark.parametrize("parent", [bytes(8), b"s" * 8, b"short"])
def test_zero_own_or_invalid_parent_makes_a_root(parent: bytes) -> None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=parent).SerializeToString()

    checked = check_protobuf(_wrap(span))

    assert checked.accepted == 1
    assert ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0].parent_span_id == b""


@pytest.mark.parametrize(
    "trace_id", ["zz" * 16, TRACE_ID[:-1], base64.b64encode(bytes.fromhex(TRACE_ID)).decode(), "0" * 32, 5, None]
)
def test_bad_json_id_costs_its_span_only(trace_id: object) -> None:
    spans = [{"traceId": trace_id, "spanId": SPAN_ID, "name": "bad"}, {"traceId": TRACE_ID, "spanId": SPAN_ID}, "no span"]

    checked = check_json(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode())

    assert (checked.accepted, checked.rejected) == (1, 2)
    assert "'bad' (trace id " in checked.message
    assert f", span id {SPAN_ID})" in checked.message


def test_rejected_spans_are_named_with_what_they_have_and_the_message_stays_short() -> None:
    trace_id, span_id = bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID)
    bad = [
        Span(name="no span id", trace_id=trace_id),
        Span(name="zero\n", trace_id=bytes(16), span_id=span_id),
        *(Span(name="x" * 10**5, trace_id=trace_id, span_id=b"short") for _ in range(500)),
    ]
    request = ExportTraceServiceRequest()
    for span in bad:  # one scope each: the names come from all of them
        request.resource_spans.add().scope_spans.add().spans.append(span)
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=trace_id, span_id=span_id)

    checked = check_protobuf(request.SerializeToString())

    assert (checked.accepted, checked.rejected) == (1, 502)
    assert checked.message.startswith("502 of 503 spans were not stored, because ")
    assert f"'no span id' (trace id {TRACE_ID.lower()}, span id missing), " in checked.message
    assert f"'zero\\n' (trace id invalid, span id {SPAN_ID})" in checked.message
    assert checked.message.endswith(" and 492 more.")
    assert len(checked.message) < 3000


@pytest.mark.parametrize(
    "document",
    [
        {"resourceSpans": None},
        {"resourceSpans": [None, 5, {}]},
        {"resourceSpans": [{"resource": None, "scopeSpans": [None, {"scope": 5, "spans": None}]}]},
        {"foo": [1]},
    ],
)
def test_odd_envelopes_are_empty_requests(document: object) -> None:
    assert check_json(json.dumps(document).encode()).rejected == 0


def test_json_logs_are_pointed_to_the_right_path() -> None:
    with pytest.raises(BadBody, match="/v1/logs"):
        check_json(b'{"resourceLogs": []}')


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", b"  {} ", b'{"foo": "\xff"}'])
def test_byte_order_mark_space_and_bad_utf8_are_no_obstacle(body: bytes) -> None:
    assert check_json(body).accepted == 0


def json_of_spans(span: str, body_bytes: int = 100_000) -> bytes:
    count = body_bytes // len(span.encode())
    return ('{"resourceSpans":[{"scopeSpans":[{"spans":[' + ",".join([span] * count) + "]}]}]}").encode()


SPAN_HEAD = f'{{"traceId":"{TRACE_ID}","spanId":"{SPAN_ID}","attributes":'
SMALL_ATTRIBUTES = ",".join(f'{{"key":"k{number}","value":{{"intValue":"{number}"}}}}' for number in range(50))
LONG_TEXT = f'{{"key":"k","value":{{"stringValue":"{"hello world " * 400}"}}}}'


@pytest.mark.parametrize(
    "span", [SPAN_HEAD + f"[{SMALL_ATTRIBUTES}]}}", SPAN_HEAD + f"[{LONG_TEXT}]}}", "{}", "[]", '{"a":0}', "1.5", '"ab"']
)
def test_json_takes_no_more_memory_than_is_charged(span: str) -> None:
    body = json_of_spans(span)

    tracemalloc.start()
    with contextlib.suppress(BadBody):  # half of these bodies are refused, after they have been parsed
        check_json(body)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert taken < estimate_parsing_bytes(body, is_json=True)


def test_long_texts_are_charged_a_few_times_their_size_only() -> None:
    as_json = json_of_spans(SPAN_HEAD + f"[{LONG_TEXT}]}}")
    as_protobuf = check_json(as_json).payload

    assert estimate_parsing_bytes(as_json, is_json=True) < 5 * len(as_json)
    assert estimate_parsing_bytes(as_protobuf, is_json=False) < 8 * len(as_protobuf)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00" * 10**6,
        b"\x0a" + sized(b"\x12\x00" * 10**6),
        b"\x0a" + sized(b"\x12" + sized(b"\x12\x00" * 10**6)),
        b"\x8a\x00" + sized(b"\x92\x00" + sized(b"\x92\x00\x00" * 10**6)),
    ],
    ids=["resources", "scopes", "spans", "long tags"],
)
def test_a_million_empty_things_are_refused_before_python_sees_each(body: bytes) -> None:
    tracemalloc.start()

    with pytest.raises(BadBody, match="can be valid in its size"):
        check_protobuf(body)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert taken < 10**6


@pytest.mark.parametrize("body", [b"{}", b"{", b"[" * 100_000])
def test_large_json_is_read_without_the_collector_and_leaves_it_on(body: bytes) -> None:
    collections: list[str] = []
    spans = json_of_spans(SPAN_HEAD + f"[{SMALL_ATTRIBUTES}]}}", 10**6)
    gc.collect()
    gc.callbacks.append(watch := lambda phase, info: collections.append(phase))
    document = decode_json_object(spans)
    gc.callbacks.remove(watch)

    with contextlib.suppress(BadBody):
        check_json(body)

    assert document
    assert len(collections) <= 2  # one, when it is on again
    assert gc.isenabled()


def test_groups_do_not_hide_what_follows_them() -> None:
    with pytest.raises(BadBody, match="it has groups"):
        check_protobuf(b"\x3b\x3c" + b"\x0a\x00" * 10**6)


def test_a_span_of_its_ids_alone_is_always_room_for() -> None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8).SerializeToString()
    body = _wrap(span) * 5000

    assert check_protobuf(body).accepted == 5000


@given(request=trace_requests)
@hypothesis_settings(max_examples=150, deadline=None)
def test_json_means_what_protobuf_means(request: ExportTraceServiceRequest) -> None:
    checked = check_json(json.dumps(to_otlp_dict(request)).encode())

    assert ExportTraceServiceRequest.FromString(checked.payload) == request


@given(body=st.binary(max_size=200))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_bytes_are_accepted_or_refused_but_never_crash(body: bytes) -> None:
    for check in (check_protobuf, check_json):
        try:
            payload = check(body).payload
        except BadBody:
            continue
        ExportTraceServiceRequest.FromString(payload)


@pytest.mark.parametrize(
    ("item", "sample"),
    [
        ("x" * 500, "the text “" + "x" * 80 + "”"), (None, "null, which is no object"), (7, "7, which is no object"),
        ([1, 2], "a list of 2 items"), ("\ud83d", "the text “\ud83d”"),
    ],
)  # fmt: skip
def test_item_that_is_no_log_record_is_described_with_its_sdk(item: Any, sample: str) -> None:
    said = [{"key": "telemetry.sdk.name", "value": {"stringValue": "own"}}, {"key": "telemetry.sdk.version", "value": 7}, 3]
    scopes = [{"logRecords": [{"body": {"stringValue": "good"}}, item]}]
    document = {"resourceLogs": [{"resource": {"attributes": said}, "scopeLogs": scopes}]}

    checked = check_logs_json(json.dumps(document).encode())

    assert (checked.accepted, checked.rejected) == (1, 1)
    assert checked.rejection == Rejection("bad_log_record", sample, "own")
