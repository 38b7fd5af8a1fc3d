"""Privacy at the door, through a real receiver: what a project masks or leaves out reaches no disk, however it came."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import wait
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from django.db import DatabaseError
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest import receiver as receiver_module
from ingest.otlp import check_logs_json, check_logs_protobuf, check_protobuf
from ingest.privacy import Cleaner
from tests.ingest.conftest import JSON, Answer, Receiver, build_request, build_span
from tests.ingest.grpc_calls import LOGS, TRACES
from tests.live import LiveServer, start_server
from tests.spans import key_values
from tests.waiting import wait_until
from tracestore import privacy
from tracestore.masking import PRESETS, build_masker
from tracestore.privacy import Policy, forget_policies

SECRET = "jane.secretive@example.com"
TOKEN = "sk-proj-abcdefghijklmnopqrstuvwxyz123456"


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def policy(*presets: str, content: bool = True, errors: bool = True, hash_key: bytes = b"") -> Policy:
    return Policy(build_masker(presets, (), hash_key=hash_key), content, errors)


def clean(span: Span, policy: Policy) -> Span:
    checked = check_protobuf(build_request(span).SerializeToString(), Cleaner(policy).clean)
    return ExportTraceServiceRequest.FromString(checked.payload).resource_spans[0].scope_spans[0].spans[0]


def build_full_span(secret: str) -> Span:
    """Return a span with the secret in every text that a span has."""
    nested = AnyValue(
        kvlist_value=KeyValueList(
            values=[KeyValue(key="deep", value=AnyValue(array_value=ArrayValue(values=[text(f"a {secret} b")])))]
        )
    )
    span = build_span(name=f"mail {secret}", trace_state=f"v={secret}")
    span.status.code, span.status.message = Status.STATUS_CODE_ERROR, f"no route to {secret}"
    span.attributes.extend(
        [
            KeyValue(key="plain", value=text(f"{secret},{secret}")),
            KeyValue(key="json", value=text(json.dumps({"to": f"x\n{secret}", "inner": json.dumps({"a": f"\n{secret}"})}))),
            KeyValue(key="nested", value=nested),
            KeyValue(key="raw", value=AnyValue(bytes_value=b"\xff " + secret.encode())),
            KeyValue(key="user.id", value=text(secret)),
        ]
    )
    span.events.add(name=f"sent to {secret}").attributes.extend([KeyValue(key="body", value=nested)])
    span.links.add(trace_id=os.urandom(16), span_id=os.urandom(8), trace_state=f"v={secret}").attributes.extend(
        [KeyValue(key="why", value=text(secret))]
    )
    return span


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


# --- through real sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def masked_receiver(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver whose one project masks e-mail addresses and API keys. The rules are there, without asking a database."""

    def find(project_id: int) -> Policy:
        return policy("email", "api_key")

    forget_policies()
    monkeypatch.setattr(privacy, "find_policy", find)
    yield receiver
    forget_policies()


def stored_texts(receiver: Receiver) -> str:
    receiver.wait_until_drained()
    rows = receiver.store.query_rows("SELECT * FROM spans WHERE project_id > 0")
    logs = receiver.store.query_rows("SELECT * FROM logs WHERE project_id > 0")
    return "\n".join(str(row) for row in [*rows, *logs])


def span_as_json() -> bytes:
    span = build_span()
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {
                                    "traceId": span.trace_id.hex(),
                                    "spanId": span.span_id.hex(),
                                    "name": f"json {SECRET}",
                                    "startTimeUnixNano": str(span.start_time_unix_nano),
                                    "endTimeUnixNano": str(span.end_time_unix_nano),
                                    "attributes": [{"key": "k", "value": {"stringValue": TOKEN}}],
                                }
                            ]
                        }
                    ]
                }
            ]
        }
    ).encode()


def logs_body() -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = f"logged {SECRET} and {TOKEN}"
    return request.SerializeToString()


def test_no_way_in_stores_a_secret(masked_receiver: Receiver) -> None:
    receiver = masked_receiver
    large = build_request(*(build_full_span(SECRET) for _ in range(200))).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        assert receiver.send(build_request(build_full_span(SECRET)).SerializeToString()).status == 200
        assert receiver.send(large).status == 200
        assert receiver.send(span_as_json(), content_type=JSON).status == 200
        assert receiver.send(logs_body(), path="/v1/logs").status == 200
        channel.unary_unary(TRACES)(build_request(build_full_span(TOKEN)).SerializeToString(), timeout=90)
        channel.unary_unary(LOGS)(logs_body(), timeout=90)

    stored = stored_texts(receiver)

    assert stored.count("[email]") > 1000
    assert "json [email]" in stored
    assert "logged [email] and [api_key]" in stored
    assert SECRET not in stored
    assert TOKEN not in stored


def test_while_rules_cannot_be_read_nothing_is_stored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(project_id: int) -> Policy:
        raise DatabaseError("away")

    forget_policies()
    monkeypatch.setattr(privacy, "find_policy", fail)
    body = build_request(build_span()).SerializeToString()

    answer = receiver.send(body)
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(TRACES)(body, timeout=90)
    monkeypatch.undo()
    monkeypatch.setattr(privacy, "find_policy", lambda project_id: None)

    assert answer.status == 503
    assert b"privacy rules" in answer.body
    assert "retry-after" in answer.headers
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert receiver.stored_spans() == []
    assert receiver.send(body).status == 200


def test_rules_that_take_too_long_refuse_the_body_for_good(masked_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.privacy.MAX_CLEANING_S", -1)

    answer = masked_receiver.send(build_request(build_full_span(SECRET)).SerializeToString())

    assert answer.status == 413
    assert b"privacy rules take too long" in answer.body
    assert masked_receiver.stored_spans() == []


def test_body_that_waited_behind_slow_rules_is_asked_for_again_or_stored(
    masked_receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow rules of one project must cost no other its data: 413 would, because exporters drop what is answered so."""
    body = build_request(build_full_span(SECRET)).SerializeToString()
    go_on = threading.Event()
    busy = [receiver_module._cleaners.submit(go_on.wait, 120) for _ in range(2)]
    ahead_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s)
    monkeypatch.setattr("ingest.privacy.time", clock)
    monkeypatch.setattr("ingest.privacy.MAX_CLEANING_S", 90)
    monkeypatch.setattr(receiver_module, "_CLEANER_WAIT_S", 3600)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(masked_receiver.send(body)))
    thread.start()
    wait_until(receiver_module._cleaners._work_queue.qsize)
    ahead_s = 100  # longer than cleaning may take
    go_on.set()
    thread.join(90)
    wait(busy)
    monkeypatch.setattr(receiver_module, "_CLEANER_WAIT_S", -1.0)
    late = masked_receiver.send(body)

    assert answers[0].status == 200
    assert late.status == 503
    assert "retry-after" in late.headers
    assert len(masked_receiver.stored_spans()) == 1


# --- through the whole product ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("privacy"))
    yield server
    server.stop()


def call(server: LiveServer, path: str, body: bytes, content_type: str = JSON, method: str = "POST") -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, data=body, headers={"content-type": content_type}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def find_in_files(folder: Path, needle: bytes) -> list[Path]:
    """Return the files that hold it now: merges delete some meanwhile."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and needle in path.read_bytes():
                    found.append(path)
    return found


def test_no_file_of_the_data_folder_holds_what_was_masked(server: LiveServer) -> None:
    settings = json.dumps({"presets": list(PRESETS), "rules": [{"name": "codeword", "pattern": "[X]YZZY-[a-z]+"}]}).encode()
    assert call(server, "/api/v1/privacy", settings, method="PATCH")[0] == 200
    protobuf = "application/x-protobuf"
    span = build_full_span("XYZZY-plugh")
    bad = build_span(name="bad XYZZY-plugh", span_id=b"")
    bodies: list[tuple[str, bytes, str]] = [
        ("/v1/traces", build_request(span, bad).SerializeToString(), protobuf),
        ("/v1/traces", build_request(build_full_span(SECRET)).SerializeToString(), protobuf),
        ("/v1/traces", span_as_json(), JSON),
        ("/v1/logs", logs_body(), protobuf),
        ("/v1/traces", b"no protobuf: " + SECRET.encode() + b" XYZZY-plugh", protobuf),
        ("/v1/traces", b'{"resourceSpans": "' + SECRET.encode() + b'XYZZY-plugh"}', JSON),
    ]

    statuses = [call(server, path, body, content_type)[0] for path, body, content_type in bodies]
    with grpc.insecure_channel(server.grpc_address) as channel:
        channel.unary_unary(LOGS)(logs_body(), timeout=90)

    assert statuses == [200, 200, 200, 200, 400, 400]
    wait_for_masked_counts(server, "codeword")
    for needle in (b"XYZZY", SECRET.encode(), TOKEN.encode()):
        assert find_in_files(server.data, needle) == []
    # The search would find them: what was not masked is there in plain text before ClickHouse compresses it.
    assert find_in_files(server.data, b"codeword")


def wait_for_masked_counts(server: LiveServer, rule: str) -> None:
    deadline = time.monotonic() + 90
    # As htmx asks for it: the page alone has no numbers yet.
    report = urllib.request.Request(server.url + "/quality", headers={"HX-Request": "true"})
    while f"<code>{rule}</code>" not in urllib.request.urlopen(report, timeout=90).read().decode():
        assert time.monotonic() < deadline, "the masked values were not counted"
        time.sleep(0.2)


def test_masked_values_are_counted_for_prometheus(server: LiveServer) -> None:
    assert call(server, "/api/v1/privacy", b'{"presets": ["email"]}', method="PATCH")[0] == 200
    call(server, "/v1/logs", logs_body(), "application/x-protobuf")

    metrics = call(server, "/metrics", b"", method="GET")[1].decode()

    assert 'tracestore_ingest_masked_values_total{rule="email"}' in metrics


def test_api_says_what_is_wrong_with_a_rule(server: LiveServer) -> None:
    before = call(server, "/api/v1/privacy", b"", method="GET")[1]

    def change(**fields: Any) -> tuple[int, dict[str, Any]]:
        status, body = call(server, "/api/v1/privacy", json.dumps(fields).encode(), method="PATCH")
        return status, json.loads(body)["error"]

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"rules": [{"name": "x", "pattern": "(["}]}, "no pattern that RE2 understands"),
        ({"rules": [{"name": "x", "pattern": "a*"}]}, "matches the empty text"),
        ({"rules": [{"name": "email", "pattern": "a"}]}, "choose another"),
        ({"rules": [{"name": "x", "pattern": "a"}] * 2}, "same name"),
        ({"rules": [{"name": "x", "pattern": "a" * 501}]}, "500"),
        ({"presets": ["mail"]}, "mail"),
        ({"stores_content": False}, "store_content"),
    ]
    for fields, said in wrong:
        status, error = change(**fields)
        assert (status, said in json.dumps(error)) == (400, True), error
    assert call(server, "/api/v1/privacy", b"", method="GET")[1] == before


def test_tester_shows_what_would_be_stored_of_a_span(server: LiveServer) -> None:
    span = {"name": "chat", "attributes": [{"key": "gen_ai.prompt", "value": {"stringValue": "hi"}}], "traceId": "ab" * 16}
    body = json.dumps({"text": json.dumps(span), "store_content": False}).encode()

    status, answer = call(server, "/api/v1/privacy/test", body)

    assert status == 200
    tested = json.loads(answer)
    assert tested["masked"] == {"content": 1}
    stored = json.loads(tested["text"])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert stored["attributes"] == [{"key": "gen_ai.prompt", "value": {"stringValue": "[REDACTED]"}}]
    assert stored["traceId"] == "ab" * 16
