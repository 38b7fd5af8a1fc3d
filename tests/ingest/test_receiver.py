"""OTLP/HTTP over real sockets: what an exporter may rely on."""

from __future__ import annotations

import errno
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from ingest.receivers import body as body_module
from ingest.receivers import otlp_http as receiver_module
from ingest.receivers.otlp_http import handles
from ingest.receivers.refusing import Refused
from tests.ingest.conftest import JSON, PROTOBUF, Receiver, build_request, build_span, ids_of, open_connection
from tests.ingest.http_answers import JSON_HEAD, JSON_SPAN, json_body, read_status
from tracestore.queries.spans import get_span

# Losses that nobody would notice


def test_chunked_body_is_stored(receiver: Receiver) -> None:
    span = build_span()
    body = build_request(span).SerializeToString()

    answer = receiver.send(iter([body[:10], body[10:]]))

    assert answer.status == 200
    assert receiver.stored_spans() == ids_of(span)


# In HTTP/1.1 the next request would begin there; which of two refusals comes first is then a matter of chance.
@pytest.mark.parametrize(("version", "body"), [(b"1.0", json_body(JSON_SPAN)), (b"1.1", b"")])
def test_body_without_a_length_is_not_acknowledged(receiver: Receiver, version: bytes, body: bytes) -> None:
    head = JSON_HEAD.replace(b"HTTP/1.1", b"HTTP/" + version)
    with open_connection(receiver.port) as connection:
        connection.sendall(head + b"\r\n" + body)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Length" in answer


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/traces/", "/base/path/v1/traces", "/x//v1/traces/"])
def test_path_is_answered_without_redirect(receiver: Receiver, path: str) -> None:
    assert receiver.send(build_request(build_span()).SerializeToString(), path=path).status == 200


def test_body_beyond_djangos_own_limit_is_stored(receiver: Receiver) -> None:
    spans = [build_span() for _ in range(20)]
    for span in spans:
        span.attributes.add(key="gen_ai.input.messages").value.string_value = "x" * 10**6

    answer = receiver.send(build_request(*spans).SerializeToString())

    assert answer.status == 200
    assert receiver.stored_spans() == ids_of(*spans)


def test_full_spool_is_answered_503_before_the_body_is_read(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_IDLE_S", 3600)  # who waits for the body does not answer at all
    receiver.ingest.spool.max_bytes = 0
    with open_connection(receiver.port) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000000\r\n\r\n"
        )

        head = connection.recv(65536)

    assert head.startswith(b"HTTP/1.1 503")
    assert b"\r\nretry-after: 1\r\n" in head or b"\r\nretry-after: 2\r\n" in head


def test_stopped_ingest_is_answered_503(receiver: Receiver) -> None:
    receiver.ingest.stop(60)

    answer = receiver.send(build_request(build_span()).SerializeToString())

    assert answer.status == 503
    assert read_status(answer.body, PROTOBUF)[0] == 14


# Endpoints and methods


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS"])
def test_other_methods_are_answered_405(receiver: Receiver, method: str) -> None:
    answer = receiver.send(method=method)

    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1development/profiles"])
def test_wrong_path_names_the_right_one(receiver: Receiver, path: str) -> None:
    answer = receiver.send(b"", path=path)

    assert answer.status == 404
    assert "/v1/traces" in read_status(answer.body, PROTOBUF)[1]


def test_two_requests_share_a_connection(receiver: Receiver) -> None:
    request = JSON_HEAD + b"Content-Length: 2\r\n\r\n{}"
    with open_connection(receiver.port) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v1/traces", "POST", True),
        ("/v1/traces", "GET", True),
        ("/v1/logs/", "POST", True),
        ("/api/v1/traces", "GET", False),
        ("/api/v1/metrics", "GET", False),
        ("/api/v1/traces", "POST", True),
        ("/", "GET", False),
        ("/", "POST", True),
        ("/v1/trace", "POST", True),
        ("/v1/trace", "GET", False),
        ("/traces", "GET", False),
    ],
)
def test_only_otlp_paths_are_claimed(path: str, method: str, expected: bool) -> None:
    assert handles(path, method) is expected


def test_metrics_are_declined_with_their_count(receiver: Receiver) -> None:
    metrics = {"metrics": [{"name": "a", "sum": {"dataPoints": [{}, {}]}}, {"name": "b", "gauge": {"dataPoints": [{}]}}]}
    document = {"resourceMetrics": [{"scopeMetrics": [metrics]}]}
    binary = ExportMetricsServiceRequest()
    binary.resource_metrics.add().scope_metrics.add().metrics.add(name="a").histogram.data_points.add()

    as_json = receiver.send(json.dumps(document).encode(), path="/v1/metrics", content_type=JSON)
    as_protobuf = receiver.send(binary.SerializeToString(), path="/v1/metrics")

    assert json.loads(as_json.body)["partialSuccess"]["rejectedDataPoints"] == "3"
    assert as_protobuf.status == 200
    assert as_protobuf.body


# Success and partial success


@pytest.mark.parametrize(("content_type", "body", "expected"), [(PROTOBUF, b"", b""), (JSON, b"{}", b"{}"), (JSON, b"", b"{}")])
def test_empty_request_succeeds(receiver: Receiver, content_type: str, body: bytes, expected: bytes) -> None:
    answer = receiver.send(body, content_type=content_type)

    assert (answer.status, answer.body) == (200, expected)


def test_one_bad_span_of_three_is_counted_and_the_others_stored(receiver: Receiver) -> None:
    good = [build_span(), build_span()]

    answer = receiver.send(build_request(good[0], build_span(name="broken", span_id=b"short"), good[1]).SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert "'broken'" in partial.error_message
    assert receiver.stored_spans() == ids_of(*good)
    assert receiver.ingest.status().rejected_spans == 1


def test_rejected_count_is_a_string_in_json(receiver: Receiver) -> None:
    answer = receiver.send(json_body(JSON_SPAN, {"traceId": "zz", "spanId": ""}), content_type=JSON)

    assert json.loads(answer.body)["partialSuccess"]["rejectedSpans"] == "1"


def test_summary_job_is_told_of_each_batch(receiver: Receiver) -> None:
    receiver.send(build_request(build_span()).SerializeToString())
    receiver.wait_until_drained()

    assert receiver.announced == [(receiver.ingest.status().writer, 1)]


# Errors


@pytest.mark.parametrize(
    ("content_type", "body"), [(PROTOBUF, b"\x0a\xff garbage"), (JSON, b"{"), (JSON, b"[]"), (JSON, b'{"resourceSpans": 5}')]
)
def test_undecodable_body_is_answered_400(receiver: Receiver, content_type: str, body: bytes) -> None:
    answer = receiver.send(body, content_type=content_type)

    assert (answer.status, answer.headers["content-type"]) == (400, content_type)
    assert read_status(answer.body, content_type)[0] == 3


def test_bad_body_details_name_the_field(receiver: Receiver) -> None:
    detail = BadRequest()

    Status.FromString(receiver.send(b"\x0a\xff").body).details[0].Unpack(detail)

    assert detail.field_violations[0].field == "body"


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("status", "code"), [(400, 3), (401, 16), (403, 7), (404, 12), (413, 3), (415, 3), (429, 8), (503, 14), (500, 2)]
)
def test_each_refusal_has_the_code_that_the_collector_gives_it(status: int, code: int, content_type: str) -> None:
    body = receiver_module._encode_status(Refused(status, "why"), content_type)

    assert read_status(body, content_type) == (code, "why")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_failure_of_the_server_is_a_status_that_tells_nothing_of_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("inner detail")

    monkeypatch.setattr(receiver.ingest, "accept", fail)
    body = json_body(JSON_SPAN) if content_type == JSON else build_request(build_span()).SerializeToString()

    answer = receiver.send(body, content_type=content_type)

    assert (answer.status, answer.headers["content-type"]) == (500, content_type)
    code, message = read_status(answer.body, content_type)
    assert code == 2
    assert "inner detail" not in message


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_full_disk_is_answered_503_and_the_spans_come_with_the_retry(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    span = build_span()
    as_json = {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
    body = json_body(as_json) if content_type == JSON else build_request(span).SerializeToString()
    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", refuse)
        answer = receiver.send(body, content_type=content_type)
    time.sleep(1.1)  # while the disk is known to refuse, so is every request
    again = receiver.send(body, content_type=content_type)

    assert (answer.status, answer.headers["content-type"], again.status) == (503, content_type, 200)
    assert answer.headers["retry-after"] in ("1", "2")
    assert read_status(answer.body, content_type)[0] == 14
    assert receiver.stored_spans() == ids_of(span)


# Data


def test_spans_without_valid_ids_are_rejected(receiver: Receiver) -> None:
    bad = [
        build_span(trace_id=bytes(16)),
        build_span(trace_id=b"12345678"),
        build_span(trace_id=b""),
        build_span(span_id=bytes(8)),
        build_span(span_id=b""),
    ]

    answer = receiver.send(build_request(*bad).SerializeToString())

    assert ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans == len(bad)
    assert receiver.stored_spans() == []


def test_logs_sent_as_traces_are_pointed_to_the_right_path(receiver: Receiver) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=5).body.string_value = "hello"

    answer = receiver.send(request.SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert partial.rejected_spans == 1
    assert "/v1/logs" in partial.error_message


@pytest.mark.parametrize("times", [(0, 0), (2**64 - 1, 2**64 - 1), (10**18, 5), (1, 2**63)])
def test_absurd_times_are_stored(receiver: Receiver, times: tuple[int, int]) -> None:
    span = build_span(start_time_unix_nano=times[0], end_time_unix_nano=times[1])

    assert receiver.send(build_request(span).SerializeToString()).status == 200
    assert receiver.stored_spans() == ids_of(span)


def test_child_before_its_parent_and_orphans_are_stored(receiver: Receiver) -> None:
    parent = build_span()
    child = build_span(trace_id=parent.trace_id, parent_span_id=parent.span_id)
    orphan = build_span(trace_id=parent.trace_id, parent_span_id=b"missing!")

    for span in (orphan, child, parent):
        assert receiver.send(build_request(span).SerializeToString()).status == 200

    assert receiver.stored_spans() == ids_of(parent, child, orphan)


def test_same_batch_twice_counts_once(receiver: Receiver) -> None:
    span = build_span()
    for _ in range(2):
        receiver.send(build_request(span).SerializeToString())

    assert set(receiver.stored_spans()) == set(ids_of(span))
    receiver.store.command("OPTIMIZE TABLE spans FINAL")
    assert receiver.stored_spans() == ids_of(span)


def test_fifty_requests_at_once_are_all_stored(receiver: Receiver) -> None:
    spans = [build_span() for _ in range(50)]
    bodies = [build_request(span).SerializeToString() for span in spans]

    with ThreadPoolExecutor(50) as pool:
        statuses = [answer.status for answer in pool.map(receiver.send, bodies)]

    assert statuses == [200] * 50
    assert receiver.stored_spans() == ids_of(*spans)


def test_odd_but_valid_span_is_stored_as_it_is_meant(receiver: Receiver) -> None:
    """No name, no kind, an unknown status, all flags, a key twice, and text that only profiles may refer to."""
    span = build_span(name="", flags=2**32 - 1)
    span.status.code = 7  # type: ignore[assignment]
    for value in ("first", "last"):
        span.attributes.add(key="session.id").value.string_value = value
    span.attributes.add(key="elsewhere").value.string_value_strindex = 4
    span.attributes.add(key_strindex=5).value.string_value = "x"

    assert receiver.send(build_request(span).SerializeToString()).body == b""
    assert receiver.stored_spans() == ids_of(span)
    columns = "name, span_kind, status, flags, session_id, attributes['elsewhere']"
    assert receiver.store.query_rows(f"SELECT {columns} FROM spans WHERE project_id > 0") == [
        ("unknown", "internal", "unset", 2**32 - 1, "last", "")
    ]


def test_nul_in_any_text_is_stored_as_it_is(receiver: Receiver) -> None:
    span = build_span(name="na\0me")
    span.status.code, span.status.message = SpanStatus.STATUS_CODE_ERROR, "bad magic: \0PK"
    span.attributes.add(key="k\0ey").value.string_value = "va\0lue"
    span.events.add(name="e\0vent").attributes.add(key="k").value.string_value = "\0"

    assert receiver.send(build_request(span).SerializeToString()).body == b""
    assert receiver.stored_spans() == ids_of(span)
    stored = get_span(receiver.store, project_id=1, trace_id=span.trace_id.hex(), span_id=span.span_id.hex())
    assert (stored.summary.name, stored.summary.error_message) == ("na\0me", "bad magic: \0PK")
    assert stored.attributes["k\0ey"] == "va\0lue"
    assert [(event.name, event.attributes) for event in stored.events] == [("e\0vent", {"k": "\0"})]


def test_resources_and_scopes_of_one_request_stay_apart_in_one_project(receiver: Receiver) -> None:
    request = ExportTraceServiceRequest()
    for service in ("shop", "bank"):
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.add(key="service.name").value.string_value = service
        resource_spans.resource.attributes.add(key="openinference.project.name").value.string_value = "another"
        for scope in ("a", "b"):
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = scope
            scope_spans.spans.append(build_span())

    receiver.send(request.SerializeToString())
    receiver.wait_until_drained()

    found = receiver.store.query_rows("SELECT project_id, service, scope_name FROM spans WHERE project_id > 0 ORDER BY ALL")
    assert found == [(1, "bank", "a"), (1, "bank", "b"), (1, "shop", "a"), (1, "shop", "b")]
