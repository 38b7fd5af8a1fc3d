"""What the rules of a project leave of a request, by the cleaner alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest.otlp.check import check_logs_json, check_logs_protobuf, check_protobuf
from ingest.privacy import Cleaner
from tests.ingest.conftest import build_request, build_span
from tests.ingest.private_spans import SECRET, build_full_span, policy, text
from tests.spans import key_values
from tracestore.privacy.policy import Policy


def clean(span: Span, policy: Policy) -> Span:
    checked = check_protobuf(build_request(span).SerializeToString(), Cleaner(policy).clean)
    return ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0]


def test_every_text_of_a_span_is_masked_and_the_rest_stays() -> None:
    span = build_full_span(SECRET)
    span.attributes.add(key="count").value.int_value = 4111111111111111
    request = build_request(span)
    resource = request.resource_spans[0]
    resource.schema_url = resource.scope_spans[0].schema_url = f"https://x/{SECRET}"
    resource.resource.attributes.add(key="owner").value.string_value = SECRET
    resource.scope_spans[0].scope.name = f"by {SECRET}"
    resource.scope_spans[0].scope.attributes.add(key="owner").value.string_value = SECRET
    cleaner = Cleaner(policy("email", "card"))

    checked = check_protobuf(request.SerializeToString(), cleaner.clean)

    assert SECRET.encode() not in checked.payload
    assert checked.payload.count(b"[email]") == 19
    assert cleaner.counts == {"email": 19}
    cleaned = type(request).FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0]
    assert (cleaned.trace_id, cleaned.span_id, cleaned.start_time_unix_nano) == (
        span.trace_id, span.span_id, span.start_time_unix_nano,
    )  # fmt: skip
    assert [kv.key for kv in cleaned.attributes] == [kv.key for kv in span.attributes]
    assert cleaned.attributes[-1].value.int_value == 4111111111111111
    document = json.loads(cleaned.attributes[1].value.string_value)
    assert document["to"] == "x\n[email]"
    assert json.loads(document["inner"]) == {"a": "\n[email]"}


def fill(message: Message, texts: Iterator[str], depth: int = 0) -> None:
    """Set every text and one item of every list in a message, at any depth, as its .proto file has them now."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE and depth < 9:
            nested = getattr(message, field.name)
            fill(nested.add() if field.is_repeated else nested, texts, depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING and not field.full_name.endswith("KeyValue.key"):
            if field.is_repeated:
                getattr(message, field.name).append(next(texts))
            else:
                setattr(message, field.name, next(texts))


@pytest.mark.parametrize("request_type", [ExportTraceServiceRequest, ExportLogsServiceRequest])
def test_secret_in_one_field_alone_is_found_whichever_it_is(request_type: Any) -> None:
    found = 0
    for place in range(500):
        request = request_type()
        fill(request, (SECRET if number == place else "x" for number in count()))
        if SECRET.encode() not in request.SerializeToString():  # a field that another one of its oneof replaced, or none
            continue

        Cleaner(policy("email")).clean(request)

        assert SECRET.encode() not in request.SerializeToString(), place
        found += 1
    assert found > 5


@pytest.mark.parametrize("request_type", [ExportTraceServiceRequest, ExportLogsServiceRequest])
@pytest.mark.parametrize("kind", ["string_value", "array_value", "kvlist_value", "bytes_value"])
def test_no_text_field_of_a_request_is_forgotten(request_type: Any, kind: str) -> None:
    """Fields of a oneof exclude each other, so each kind of value gets its turn."""
    request = request_type()
    fill(request, (SECRET for _ in count()))
    values = {
        "string_value": text(SECRET),
        "array_value": AnyValue(array_value=ArrayValue(values=[text("x"), text(SECRET)])),
        "kvlist_value": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=text(SECRET))])),
        "bytes_value": AnyValue(bytes_value=SECRET.encode()),
    }

    def put(message: Message) -> None:
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for item in value if field.is_repeated else (value,):
                    if isinstance(item, AnyValue):
                        item.CopyFrom(values[kind])
                    else:
                        put(item)

    put(request)
    before = request.SerializeToString()

    Cleaner(policy("email")).clean(request)

    assert SECRET.encode() in before
    assert SECRET.encode() not in request.SerializeToString()


def test_fields_that_otlp_does_not_have_are_left_out() -> None:
    unknown = b"\xea\x3d" + bytes([len(SECRET)]) + SECRET.encode()  # field 989, a text
    body = build_request(build_span()).SerializeToString() + unknown

    assert SECRET.encode() in check_protobuf(body).payload
    assert SECRET.encode() not in check_protobuf(body, Cleaner(policy("email")).clean).payload


def test_names_of_rejected_spans_are_masked_in_answer_and_sample() -> None:
    body = build_request(build_span(name=f"mail {SECRET}", trace_id=b"")).SerializeToString()

    checked = check_protobuf(body, Cleaner(policy("email")).clean)

    assert "mail [email]" in checked.message
    assert checked.rejection is not None
    assert checked.rejection.sample == "mail [email]"


def test_what_is_no_log_record_is_not_quoted() -> None:
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [f"mail {SECRET}"]}]}]}).encode()

    checked = check_logs_json(body, Cleaner(policy("email")).clean)

    assert checked.rejection is not None
    assert checked.rejection.sample == "an item that is no object"


def test_sdk_of_what_is_no_log_record_is_masked_too() -> None:
    resource = {"attributes": [{"key": "telemetry.sdk.name", "value": {"stringValue": f"sdk of {SECRET}"}}]}
    document = {"resourceLogs": ["no object", {"resource": resource, "scopeLogs": [{"logRecords": [7]}]}]}

    checked = check_logs_json(json.dumps(document).encode(), Cleaner(policy("email")).clean)

    assert checked.rejection is not None
    assert SECRET not in checked.rejection.sdk


def test_ids_of_traces_are_not_taken_for_cards_but_texts_are() -> None:
    card = "4111111111111111"
    span = build_span()
    span.attributes.extend(key_values({"order_id": card, "gen_ai.response.id": card, "user.id": card, "note": card}))

    kept = {kv.key: kv.value.string_value for kv in clean(span, policy("card")).attributes}

    assert kept == {"order_id": card, "gen_ai.response.id": card, "user.id": "[card]", "note": "[card]"}


def test_equal_values_get_equal_placeholders_when_a_project_wants_that() -> None:
    span = build_span()
    span.attributes.extend(key_values({"a": SECRET, "b": f"to {SECRET}", "c": "other@example.com"}))

    a, b, c = (kv.value.string_value for kv in clean(span, policy("email", hash_key=b"k")).attributes)

    assert b == f"to {a}"
    assert a != c
    assert a.startswith("[email:")
    assert a != clean(span, policy("email", hash_key=b"another")).attributes[0].value.string_value


def test_content_is_left_out_with_its_usage_kept() -> None:
    span = build_span()
    answer = {"choices": [{"text": "the secret"}], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}
    span.attributes.extend(
        key_values(
            {
                "gen_ai.input.messages": '[{"role": "user", "content": "the secret"}]',
                "llm.input_messages.0.message.content": "the secret",
                "llm.input_messages.0.message.role": "user",
                "output.value": json.dumps(answer),
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 12,
                "vendor.custom_prompt": "the secret",
                "metadata": '{"session_id": "s1"}',
            }
        )
    )
    span.events.add(name="gen_ai.user.message").attributes.extend(key_values({"content": "the secret", "role": "user"}))
    span.events.add(name="exception").attributes.extend(key_values({"exception.type": "E", "exception.message": "said why"}))

    cleaned = clean(span, policy(content=False))

    kept = {kv.key: kv.value.string_value or kv.value.int_value for kv in cleaned.attributes}
    assert b"the secret" not in cleaned.SerializeToString()
    assert kept["gen_ai.input.messages"] == kept["vendor.custom_prompt"] == "[REDACTED]"
    assert kept["output.value"] == '[REDACTED] {"tokens": {"prompt_tokens": 12, "completion_tokens": 3}}'
    assert (kept["gen_ai.request.model"], kept["gen_ai.usage.input_tokens"]) == ("gpt-4o", 12)
    assert kept["llm.input_messages.0.message.role"] == "user"
    assert kept["metadata"] == '{"session_id": "s1"}'
    assert [kv.value.string_value for kv in cleaned.events[0].attributes] == ["[REDACTED]", "user"]
    assert [kv.value.string_value for kv in cleaned.events[1].attributes] == ["E", "said why"]


def test_texts_of_errors_are_left_out_with_type_and_refusal_kept() -> None:
    span = build_span(status=Status(code=Status.STATUS_CODE_ERROR, message="ValueError('the secret')"))
    span.events.add(name="exception").attributes.extend(
        key_values({"exception.type": "ValueError", "exception.message": "2 validation errors for Order: the secret"})
    )

    cleaned = clean(span, policy(content=False, errors=False))

    assert b"the secret" not in cleaned.SerializeToString()
    assert cleaned.status.message == "ValueError(...) [REDACTED]"
    kind, message = (kv.value.string_value for kv in cleaned.events[0].attributes)
    assert (kind, message) == ("ValueError", "validation errors for [REDACTED]")


def test_bodies_of_logs_are_masked_or_left_out() -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name="claude_code.user_prompt")
    record.body.kvlist_value.values.add(key="content").value.string_value = f"write to {SECRET}"
    record.attributes.extend(key_values({"prompt": f"write to {SECRET}", "prompt.id": "p1", "cost_usd": "0.25"}))
    body = request.SerializeToString()

    masked = check_logs_protobuf(body, Cleaner(policy("email")).clean)
    emptied = check_logs_protobuf(body, Cleaner(policy(content=False)).clean)

    assert masked.payload.count(b"write to [email]") == 2
    kept = ExportLogsServiceRequest.FromString(emptied.payload).resource_logs[0].scope_logs[0].log_records[0]
    assert kept.body.string_value == "[REDACTED]"
    assert [kv.value.string_value for kv in kept.attributes] == ["[REDACTED]", "p1", "0.25"]
