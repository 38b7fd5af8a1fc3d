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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from django.db import DatabaseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ingest.receivers import parsing
from tests.ingest.conftest import JSON, Answer, Receiver, build_request, build_span
from tests.ingest.grpc_calls import LOGS, TRACES
from tests.ingest.private_spans import SECRET, TOKEN, build_full_span, policy
from tests.live import LiveServer, start_server
from tests.waiting import wait_until
from tracestore.privacy import policy as policy_module
from tracestore.privacy.masking import PRESETS
from tracestore.privacy.policy import Policy, forget_policies

# --- through real sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def masked_receiver(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver whose one project masks e-mail addresses and API keys. The rules are there, without asking a database."""

    def find(project_id: int) -> Policy:
        return policy("email", "api_key")

    forget_policies()
    monkeypatch.setattr(policy_module, "find_policy", find)
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
    monkeypatch.setattr(policy_module, "find_policy", fail)
    body = build_request(build_span()).SerializeToString()

    answer = receiver.send(body)
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(TRACES)(body, timeout=90)
    monkeypatch.undo()
    monkeypatch.setattr(policy_module, "find_policy", lambda project_id: None)

    assert answer.status == 503
    assert b"privacy rules" in answer.body
    assert "retry-after" in answer.headers
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert receiver.stored_spans() == []
    assert receiver.send(body).status == 200


def test_database_that_is_away_is_a_line_in_the_log_and_not_one_for_each_request(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(project_id: int) -> Policy:
        raise DatabaseError("connection refused\n\tIs the server running?")

    forget_policies()
    monkeypatch.setattr(policy_module, "find_policy", fail)
    monkeypatch.setattr("ingest.receivers.admission._silent_until", {})
    body = build_request(build_span()).SerializeToString()

    assert [receiver.send(body).status for _ in range(3)] == [503] * 3

    told = [record for record in caplog.records if "privacy rules" in record.message]
    assert [(record.message, record.exc_info) for record in told] == [
        ("otlp: the privacy rules of project 1 cannot be read: connection refused Is the server running?", None)
    ]


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
    busy = [parsing._cleaners.submit(go_on.wait, 120) for _ in range(2)]
    ahead_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s)
    monkeypatch.setattr("ingest.privacy.time", clock)
    monkeypatch.setattr("ingest.privacy.MAX_CLEANING_S", 90)
    monkeypatch.setattr(parsing, "_CLEANER_WAIT_S", 3600)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(masked_receiver.send(body)))
    thread.start()
    wait_until(parsing._cleaners._work_queue.qsize)
    ahead_s = 100  # longer than cleaning may take
    go_on.set()
    thread.join(90)
    wait(busy)
    monkeypatch.setattr(parsing, "_CLEANER_WAIT_S", -1.0)
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
