"""Bodies over HTTP: content types, encodings, sizes, memory, and those that never arrive."""

from __future__ import annotations

import gzip
import hashlib
import select
import time
import tracemalloc
import zlib

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_django.fixtures import Settings

from ingest.receivers import body as body_module
from ingest.receivers import parsing
from tests.ingest.conftest import JSON, PROTOBUF, Receiver, build_request, build_span, ids_of, open_connection
from tests.ingest.http_answers import JSON_HEAD, JSON_SPAN, json_body, read_status
from tests.waiting import wait_until
from tracestore.models import IngestKey, Project


@pytest.mark.parametrize("content_type", [PROTOBUF, "Application/X-Protobuf", "application/protobuf", PROTOBUF + "; x=y"])
def test_protobuf_content_types(receiver: Receiver, content_type: str) -> None:
    answer = receiver.send(build_request(build_span()).SerializeToString(), content_type=content_type)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == content_type.partition(";")[0].lower()


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=UTF-8"])
def test_json_content_types(receiver: Receiver, content_type: str) -> None:
    answer = receiver.send(json_body(JSON_SPAN), content_type=content_type)

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", JSON)
    assert receiver.stored_spans() == [(JSON_SPAN["traceId"].lower(), JSON_SPAN["spanId"])]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_other_content_types_are_answered_415(receiver: Receiver, content_type: str) -> None:
    answer = receiver.send(b"x", content_type=content_type)

    assert answer.status == 415
    assert read_status(answer.body, JSON)[0] == 3


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("gzip", lambda data: gzip.compress(data) + b"\0" * 512),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("identity, gzip", gzip.compress),
    ],
)
def test_encoded_body_is_stored(receiver: Receiver, encoding: str, compress) -> None:  # type: ignore[no-untyped-def]
    span = build_span()

    answer = receiver.send(compress(build_request(span).SerializeToString()), content_encoding=encoding)

    assert answer.status == 200
    assert receiver.stored_spans() == ids_of(span)


def test_answer_is_not_compressed(receiver: Receiver) -> None:
    answer = receiver.send(b'{"resourceSpans":[]}', content_type=JSON, accept_encoding="gzip")

    assert (answer.body, answer.headers.get("content-encoding")) == (b"{}", None)


def test_unknown_encoding_is_answered_415(receiver: Receiver) -> None:
    answer = receiver.send(b"x", content_encoding="br")

    assert answer.status == 415
    assert "gzip" in read_status(answer.body, PROTOBUF)[1]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no" + data, lambda data: data[:12] + b"\xff" * 9 + data[21:]]
)
def test_corrupt_gzip_is_answered_400(receiver: Receiver, damage) -> None:  # type: ignore[no-untyped-def]
    body = gzip.compress(build_request(build_span(name="x" * 300)).SerializeToString())

    assert receiver.send(damage(body), content_encoding="gzip").status == 400


def test_gzip_of_endless_empty_members_is_refused_after_a_thousand(receiver: Receiver) -> None:
    """Each costs a copy of what follows it: two megabytes took twelve seconds, sixty would take hours."""
    answer = receiver.send(gzip.compress(b"") * 100_000, content_encoding="gzip")

    assert answer.status == 400
    assert "more than 1000 members" in read_status(answer.body, PROTOBUF)[1]


def test_bomb_is_answered_413_without_inflating_it(receiver: Receiver, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 2**20
    member = gzip.compress(b"\0" * 2**26)

    tracemalloc.start()
    answer = receiver.send(member * 8, content_encoding="gzip")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status == 413
    assert peak_bytes < 2**24  # inflated, one member alone is four times as large


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_too_large_body_is_answered_413(receiver: Receiver, settings: Settings, content_type: str) -> None:
    settings.MAX_BODY_BYTES = 1000

    announced = receiver.send(b"x" * 1001, content_type=content_type)
    chunked = receiver.send(iter([b"x" * 600] * 2), content_type=content_type)

    assert (announced.status, chunked.status) == (413, 413)
    assert read_status(announced.body, content_type)[0] == 3


def test_busy_memory_is_answered_503(receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_IDLE_S", 3600)
    settings.MAX_BODY_BYTES = 100
    unfinished = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + b" " * 64 + b"\r\n"
    others = [open_connection(receiver.port) for _ in range(5)]  # 5 * 64 bytes are more than three whole bodies
    for connection in others:
        connection.sendall(unfinished)
    wait_until(lambda: body_module.budget._held == 4 * 64)  # what the fifth asks for is too much

    answer = receiver.send(b" " * 64, content_type=JSON)

    for connection in others:
        connection.close()
    assert answer.status == 503


@pytest.mark.django_db(transaction=True)
def test_bodies_of_one_project_leave_memory_to_others(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "_IDLE_S", 3600)
    project = Project.objects.create(pk=7, slug="other", name="Other")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"project-key").hexdigest())
    settings.MAX_BODY_BYTES = 100
    unfinished = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + b" " * 64 + b"\r\n"
    others = [open_connection(receiver.port) for _ in range(7)]
    for connection in others:
        connection.sendall(unfinished)
    wait_until(lambda: body_module.budget._held >= 4 * 64)

    answer = receiver.send(b"{}" + b" " * 94, content_type=JSON, authorization="Bearer project-key")

    for connection in others:
        connection.close()
    assert answer.status == 200


def test_large_bodies_whose_values_do_not_fit_in_memory_together_are_answered_503(receiver: Receiver, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 2**20
    span = JSON_SPAN | {"attributes": [{"key": "k", "value": {"intValue": number}} for number in range(100)]}
    many_values = json_body(*[span] * 100)
    few_values = build_request(build_span(name="x" * len(many_values))).SerializeToString()
    others = parsing._parsing_budget

    alone = receiver.send(many_values, content_type=JSON)
    others.take(2**20, 2**22)  # another large request is being parsed
    beside, small = receiver.send(many_values, content_type=JSON), receiver.send(json_body(JSON_SPAN), content_type=JSON)
    other_kind = receiver.send(few_values)
    others.give_back(2**20)
    again = receiver.send(many_values, content_type=JSON)

    assert 2**18 < len(many_values) < 2**20
    assert (alone.status, beside.status, small.status, other_kind.status, again.status) == (200, 503, 200, 200, 200)
    assert beside.headers["retry-after"] in ("1", "2")


def test_body_of_countless_small_values_is_answered_413(receiver: Receiver, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 2**20

    answer = receiver.send(json_body(*[{}] * 2**18), content_type=JSON)

    assert answer.status == 413
    assert "too many small values" in read_status(answer.body, JSON)[1]


def test_small_compressed_body_of_countless_spans_holds_up_nobody(receiver: Receiver) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend([Span()] * 2**20)
    body = gzip.compress(request.SerializeToString())
    assert len(body) < 4096  # small enough to be inflated in the event loop

    answer = receiver.send(body, content_encoding="gzip")

    assert answer.status == 400
    assert "more spans" in read_status(answer.body, PROTOBUF)[1]


def test_body_that_stops_arriving_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_IDLE_S", 0.2)
    with open_connection(receiver.port) as connection:
        connection.sendall(JSON_HEAD + b"Content-Length: 9\r\n\r\n{")

        assert connection.recv(65536).startswith(b"HTTP/1.1 503")


def test_body_that_drips_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_WHOLE_S", 0.5)
    with open_connection(receiver.port) as connection:
        connection.sendall(JSON_HEAD + b"Content-Length: 90\r\n\r\n")
        for _ in range(20):
            connection.sendall(b" ")
            time.sleep(0.1)
            if select.select([connection], [], [], 0)[0]:
                break

        assert connection.recv(65536).startswith(b"HTTP/1.1 503")


def test_client_that_leaves_in_the_middle_disturbs_nobody(receiver: Receiver) -> None:
    with open_connection(receiver.port) as connection:
        connection.sendall(JSON_HEAD + b"Content-Length: 9\r\n\r\n{")

    assert receiver.send(b"{}", content_type=JSON).status == 200
