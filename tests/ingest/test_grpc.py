"""OTLP/gRPC over real sockets: what an exporter may rely on."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pytest_django.fixtures import Settings

from ingest.receivers import otlp_grpc
from ingest.receivers.body import Allowance, budget
from tests.ingest.conftest import Receiver, build_request, build_span, ids_of
from tests.ingest.grpc_calls import CODE, LOGS, METRICS, TRACES, GrpcAnswer, call, call_on, check_retry_is_asked_for, open_channel
from tests.waiting import wait_until
from tracestore.models import IngestKey, Project

# Services and compression


def test_spans_are_stored(receiver: Receiver) -> None:
    span = build_span()

    answer = call(receiver, build_request(span).SerializeToString())

    assert (answer.code, answer.body) == (CODE.OK, b"")
    assert receiver.stored_spans() == ids_of(span)


@pytest.mark.parametrize("method", [TRACES, LOGS, METRICS])
def test_empty_request_succeeds(receiver: Receiver, method: str) -> None:
    answer = call(receiver, b"", method)

    assert (answer.code, answer.body) == (CODE.OK, b"")


def test_logs_and_metrics_are_answered_as_over_http(receiver: Receiver) -> None:
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=5)
    metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=5)

    over_grpc = [call(receiver, logs.SerializeToString(), LOGS), call(receiver, metrics.SerializeToString(), METRICS)]
    over_http = [
        receiver.send(logs.SerializeToString(), "/v1/logs"),
        receiver.send(metrics.SerializeToString(), "/v1/metrics"),
    ]

    assert [answer.code for answer in over_grpc] == [CODE.OK, CODE.OK]
    assert [answer.body for answer in over_grpc] == [answer.body for answer in over_http]
    ExportLogsServiceResponse.FromString(over_grpc[0].body)
    assert ExportMetricsServiceResponse.FromString(over_grpc[1].body).partial_success.rejected_data_points == 1


@pytest.mark.parametrize(
    "method",
    [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/grpc.health.v1.Health/Check",
        "/x",
    ],
)
def test_anything_else_is_unimplemented(receiver: Receiver, method: str) -> None:
    assert call(receiver, b"", method).code is CODE.UNIMPLEMENTED


@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_compressed_message_is_stored(receiver: Receiver, compression: grpc.Compression) -> None:
    spans = [build_span(name="x" * 500) for _ in range(20)]

    answer = call(receiver, build_request(*spans).SerializeToString(), compression=compression)

    assert answer.code is CODE.OK
    assert receiver.stored_spans() == ids_of(*spans)


def test_hundred_calls_at_once_on_one_connection_are_all_stored(receiver: Receiver) -> None:
    spans = [build_span(name="x" * 10_000) for _ in range(100)]
    bodies = [build_request(span).SerializeToString() for span in spans]

    with open_channel(receiver) as channel:
        export = channel.unary_unary(TRACES)
        calls = [export.future(body, timeout=90) for body in bodies]
        answers = [pending.result() for pending in calls]

    assert answers == [b""] * 100
    assert receiver.stored_spans() == ids_of(*spans)


def test_bad_span_is_named_and_the_others_stored(receiver: Receiver) -> None:
    good = [build_span(), build_span()]

    answer = call(receiver, build_request(good[0], build_span(name="broken", span_id=b"short"), good[1]).SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.code, partial.rejected_spans) == (CODE.OK, 1)
    assert "'broken'" in partial.error_message
    assert receiver.stored_spans() == ids_of(*good)


# Bad bodies


@pytest.mark.parametrize("method", [TRACES, LOGS, METRICS])
@pytest.mark.parametrize(
    "body", [b"\x0a\xff garbage", gzip.compress(b"\x0a\xff garbage"), gzip.compress(b"x" * 999)[:-9], b"\x78\x9c"]
)
def test_garbage_is_an_invalid_argument_with_its_field(receiver: Receiver, method: str, body: bytes) -> None:
    answer = call(receiver, body, method)

    assert answer.code is CODE.INVALID_ARGUMENT
    assert answer.read_detail(BadRequest()).field_violations[0].field == "body"
    assert answer.read_detail(RetryInfo()) is None
    assert "google.rpc.retryinfo-bin" not in answer.trailers


def test_no_body_is_answered_unknown_or_internal(receiver: Receiver) -> None:
    chance = random.Random(7)
    whole = build_request(build_span(), build_span(name="y" * 100)).SerializeToString()
    codes = set()

    with open_channel(receiver) as channel:
        for number in range(600):
            body = bytearray(gzip.compress(whole) if number % 3 == 0 else whole)
            for _ in range(chance.randint(1, 8)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            size = len(body) if number % 2 else chance.randint(1, len(body))
            codes.add(call_on(channel, bytes(body[:size])).code)

    assert codes == {CODE.OK, CODE.INVALID_ARGUMENT}


def test_call_without_a_message_is_an_invalid_argument(receiver: Receiver) -> None:
    with open_channel(receiver) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary(TRACES)(iter([]), timeout=90)

    assert caught.value.code() is CODE.INVALID_ARGUMENT


# Sizes


def test_message_beyond_grpcs_own_four_mebibytes_is_stored(receiver: Receiver) -> None:
    spans = [build_span(name="x" * 2**20) for _ in range(5)]

    assert call(receiver, build_request(*spans).SerializeToString()).code is CODE.OK
    assert receiver.stored_spans() == ids_of(*spans)


@pytest.fixture
def small_limit(settings: Settings) -> int:
    """Asked for before the receiver: the limit is read when the port opens."""
    settings.MAX_BODY_BYTES = 2**20
    return 2**20


def check_is_refused_for_good(answer: GrpcAnswer) -> None:
    assert answer.code is CODE.RESOURCE_EXHAUSTED, answer
    assert "google.rpc.retryinfo-bin" not in answer.trailers
    assert b"RetryInfo" not in answer.trailers.get("grpc-status-details-bin", b"")


def test_message_beyond_64_mebibytes_is_refused_for_good(receiver: Receiver) -> None:
    check_is_refused_for_good(call(receiver, bytes(64 * 2**20 + 1)))


def test_limit_counts_on_the_wire_and_inflated(small_limit: int, receiver: Receiver) -> None:
    span = build_span(name="")
    span.name = "x" * (small_limit - build_request(span).ByteSize() - 20)
    body = build_request(span).SerializeToString()
    assert small_limit - 40 < len(body) <= small_limit

    assert call(receiver, body).code is CODE.OK
    check_is_refused_for_good(call(receiver, body + bytes(100)))
    assert call(receiver, body, compression=grpc.Compression.Gzip).code is CODE.OK
    check_is_refused_for_good(call(receiver, body + bytes(100), compression=grpc.Compression.Gzip))


def test_bomb_is_refused_without_inflating_it(small_limit: int, receiver: Receiver) -> None:
    bomb = gzip.compress(bytes(2**26)) * 8
    before = _rss_bytes()

    answers = [call(receiver, bomb) for _ in range(3)]

    for answer in answers:
        check_is_refused_for_good(answer)
    assert _rss_bytes() - before < 300 * 2**20  # one of them holds 512 MiB; the engine moves by some too


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Overload


def test_full_spool_asks_for_a_retry(receiver: Receiver) -> None:
    receiver.ingest.spool.max_bytes = 0

    check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))


def test_full_disk_asks_for_a_retry(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))
    assert receiver.stored_spans() == []


def test_stopped_ingest_asks_for_a_retry(receiver: Receiver) -> None:
    receiver.ingest.stop(60)

    check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))


def test_memory_is_shared_with_http(receiver: Receiver, settings: Settings) -> None:
    budget.take(4 * settings.MAX_BODY_BYTES, 4 * settings.MAX_BODY_BYTES)
    try:
        check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))
    finally:
        budget.give_back(4 * settings.MAX_BODY_BYTES)

    assert call(receiver, build_request(build_span()).SerializeToString()).code is CODE.OK


def test_calls_beyond_the_bound_ask_for_a_retry(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "_MAX_CALLS", 0)

    check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))


def _send_nothing(until: threading.Event) -> Iterator[bytes]:
    until.wait(120)
    yield from ()


@pytest.mark.django_db(transaction=True)
def test_bodies_that_do_not_arrive_hold_up_no_other_project(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.objects.create(pk=7, slug="other", name="Other")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"project-key").hexdigest())
    reading: list[int] = []
    read = otlp_grpc._Exports._read

    async def note_and_read(exports: Any, context: Any, project_id: int, allowance: Allowance) -> bytes:
        reading.append(project_id)
        return await read(exports, context, project_id, allowance)

    monkeypatch.setattr(otlp_grpc._Exports, "_read", note_and_read)
    monkeypatch.setattr(otlp_grpc, "_READ_S", 3600)
    over = threading.Event()
    body = build_request(build_span()).SerializeToString()
    count = otlp_grpc._MAX_PROJECT_READS
    with open_channel(receiver) as channel:
        slow = [channel.stream_unary(TRACES).future(_send_nothing(over), timeout=90) for _ in range(count)]
        wait_until(lambda: len(reading) == count)

        of_another = call(receiver, body, metadata=(("x-api-key", "project-key"),))
        monkeypatch.setattr(otlp_grpc, "_WAIT_S", 0.2)
        refused = call(receiver, body)
        monkeypatch.setattr(otlp_grpc, "_WAIT_S", 60)
        over.set()
        afterwards = call(receiver, body)
        codes = [pending.code() for pending in slow]

    check_retry_is_asked_for(refused)
    assert of_another.code is CODE.OK
    assert codes == [CODE.INVALID_ARGUMENT] * count
    assert afterwards.code is CODE.OK


def test_body_that_does_not_arrive_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "_READ_S", 0.2)
    over = threading.Event()
    with open_channel(receiver) as channel:
        code = channel.stream_unary(TRACES).future(_send_nothing(over), timeout=90).code()
    over.set()

    assert code is CODE.UNAVAILABLE


def test_client_that_hangs_up_disturbs_nobody(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, under_way, given_up = os.fdatasync, threading.Event(), threading.Event()

    def take_long(descriptor: int) -> None:
        under_way.set()
        given_up.wait(60)
        synced(descriptor)

    span = build_span()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", take_long)
        with open_channel(receiver) as channel:
            pending = channel.unary_unary(TRACES).future(build_request(build_span()).SerializeToString(), timeout=90)
            assert under_way.wait(60)
            pending.cancel()
        given_up.set()
        answer = call(receiver, build_request(span).SerializeToString())

    assert answer.code is CODE.OK
    assert ids_of(span)[0] in receiver.stored_spans()


# Keys


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([("authorization", "Bearer secret-key")], CODE.OK),
        ([("authorization", "Bearer%20secret-key")], CODE.OK),
        ([("authorization", "secret-key")], CODE.OK),
        ([("authorization", basic("user:secret-key"))], CODE.OK),
        ([("x-api-key", "secret-key")], CODE.OK),
        ([], CODE.UNAUTHENTICATED),
        ([("authorization", "Bearer wrong")], CODE.UNAUTHENTICATED),
        ([("x-api-key-bin", b"secret-key")], CODE.UNAUTHENTICATED),
    ],
)
def test_key_in_the_metadata_is_demanded(
    receiver: Receiver, settings: Settings, metadata: list[tuple[str, Any]], expected: grpc.StatusCode
) -> None:
    settings.KEY_REQUIRED, settings.API_KEY = True, "secret-key"

    answer = call(receiver, build_request(build_span()).SerializeToString(), metadata=metadata)

    assert answer.code is expected
    assert "secret-key" not in answer.details
    assert len(receiver.stored_spans()) == (1 if expected is CODE.OK else 0)


def test_key_is_asked_for_before_the_body(receiver: Receiver, settings: Settings) -> None:
    settings.KEY_REQUIRED, settings.API_KEY = True, "secret-key"
    over = threading.Event()

    with open_channel(receiver) as channel:
        code = channel.stream_unary(TRACES).future(_send_nothing(over), timeout=90).code()
    over.set()

    assert code is CODE.UNAUTHENTICATED
