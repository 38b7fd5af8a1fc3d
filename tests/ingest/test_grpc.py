"""OTLP/gRPC over real sockets: what an exporter may rely on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gzip
import hashlib
import logging
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pytest_django.fixtures import Settings

from ingest import grpc_receiver
from ingest.body import Allowance
from ingest.receiver import budget
from tests.ingest.conftest import Receiver, build_request, build_span, ids_of
from tests.live import free_ports
from tests.waiting import wait_until
from tracestore import http_protocol
from tracestore import server as server_module
from tracestore.models import IngestKey, Project

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CODE = grpc.StatusCode


@dataclass
class GrpcAnswer:
    """What came back of one call; `body` is b"" where the code is not OK."""

    code: grpc.StatusCode
    body: bytes
    details: str
    trailers: dict[str, Any]

    def read_detail(self, message: Any) -> Any:
        """Unpack the one detail of this type from `grpc-status-details-bin`; None when there is none."""
        status = Status.FromString(self.trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (self.code.value[0], self.details)
        found = [detail for detail in status.details if detail.Is(message.DESCRIPTOR)]
        assert len(found) < 2
        return message if found and found[0].Unpack(message) else None


def open_channel(receiver: Receiver) -> grpc.Channel:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}", options=options)


def call(receiver: Receiver, body: bytes, method: str = TRACES, **options: Any) -> GrpcAnswer:
    with open_channel(receiver) as channel:
        return call_on(channel, body, method, **options)


def call_on(channel: grpc.Channel, body: bytes, method: str = TRACES, **options: Any) -> GrpcAnswer:
    try:
        answer, done = channel.unary_unary(method).with_call(body, timeout=90, **options)
    except grpc.RpcError as error:
        return GrpcAnswer(error.code(), b"", error.details(), dict(error.trailing_metadata() or ()))
    return GrpcAnswer(done.code(), answer, done.details(), dict(done.trailing_metadata()))


def check_retry_is_asked_for(answer: GrpcAnswer) -> None:
    """UNAVAILABLE, with the same delay of a second or two in both places where exporters look."""
    assert answer.code is CODE.UNAVAILABLE, answer
    delay_s = answer.read_detail(RetryInfo()).retry_delay.seconds
    assert delay_s in (1, 2)
    assert RetryInfo.FromString(answer.trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == delay_s


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
    monkeypatch.setattr(grpc_receiver, "_MAX_CALLS", 0)

    check_retry_is_asked_for(call(receiver, build_request(build_span()).SerializeToString()))


def _send_nothing(until: threading.Event) -> Iterator[bytes]:
    until.wait(120)
    yield from ()


@pytest.mark.django_db(transaction=True)
def test_bodies_that_do_not_arrive_hold_up_no_other_project(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.objects.create(pk=7, slug="other", name="Other")
    IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"project-key").hexdigest())
    reading: list[int] = []
    read = grpc_receiver._Exports._read

    async def note_and_read(exports: Any, context: Any, project_id: int, allowance: Allowance) -> bytes:
        reading.append(project_id)
        return await read(exports, context, project_id, allowance)

    monkeypatch.setattr(grpc_receiver._Exports, "_read", note_and_read)
    monkeypatch.setattr(grpc_receiver, "_READ_S", 3600)
    over = threading.Event()
    body = build_request(build_span()).SerializeToString()
    count = grpc_receiver._MAX_PROJECT_READS
    with open_channel(receiver) as channel:
        slow = [channel.stream_unary(TRACES).future(_send_nothing(over), timeout=90) for _ in range(count)]
        wait_until(lambda: len(reading) == count)

        of_another = call(receiver, body, metadata=(("x-api-key", "project-key"),))
        monkeypatch.setattr(grpc_receiver, "_WAIT_S", 0.2)
        refused = call(receiver, body)
        monkeypatch.setattr(grpc_receiver, "_WAIT_S", 60)
        over.set()
        afterwards = call(receiver, body)
        codes = [pending.code() for pending in slow]

    check_retry_is_asked_for(refused)
    assert of_another.code is CODE.OK
    assert codes == [CODE.INVALID_ARGUMENT] * count
    assert afterwards.code is CODE.OK


def test_body_that_does_not_arrive_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_receiver, "_READ_S", 0.2)
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


# Connections

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME, PING_FRAME, GOAWAY_FRAME = 4, 6, 7


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + bytes(4) + payload


def read_frames(received: bytes) -> list[int]:
    at, kinds = 0, []
    while at + 9 <= len(received):
        kinds.append(received[at + 3])
        at += 9 + int.from_bytes(received[at : at + 3], "big")
    return kinds


def open_http2(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(PREFACE + frame(SETTINGS_FRAME))
    return connection


def read_until(connection: socket.socket, received: bytes, kind: int, count: int = 1) -> bytes:
    """Return what has been received once it holds so many frames of a kind."""
    while read_frames(received).count(kind) < count:
        part = connection.recv(65536)
        assert part, f"closed after {read_frames(received)}"
        received += part
    return received


@pytest.fixture
def short_ping_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grpc_receiver._MIN_PING_INTERVAL_MS <= 10_000  # clients ping every 20 s
    monkeypatch.setattr(grpc_receiver, "_MIN_PING_INTERVAL_MS", 300)


@pytest.mark.usefixtures("short_ping_interval")
def test_keepalive_pings_are_tolerated_down_to_the_interval(receiver: Receiver) -> None:
    ping, received = frame(PING_FRAME, b"12345678"), b""
    with open_http2(receiver.grpc_port) as connection:
        for number in range(8):
            connection.sendall(ping)
            # Each waits for its answer: a server that is slow would otherwise find several at once.
            received = read_until(connection, received, PING_FRAME, number + 1)
            time.sleep(0.4)
        assert GOAWAY_FRAME not in read_frames(received)

        connection.sendall(8 * ping)
        read_until(connection, received, GOAWAY_FRAME)


def test_connection_moves_on_when_it_is_old_and_no_call_notices(monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    assert 60_000 <= grpc_receiver._MAX_CONNECTION_AGE_MS < 3_600_000
    monkeypatch.setattr(grpc_receiver, "_MAX_CONNECTION_AGE_MS", 500)
    receiver: Receiver = request.getfixturevalue("receiver")

    with open_channel(receiver) as channel:
        codes = set()
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            codes.add(call_on(channel, build_request(build_span()).SerializeToString()).code)
    with open_http2(receiver.grpc_port) as connection:
        read_until(connection, b"", GOAWAY_FRAME)

    assert codes == {CODE.OK}


def raw_call(message: bytes) -> bytes:
    """A unary call of TraceService/Export, its message as given: five bytes of flag and length belong to it."""
    path = TRACES.encode()
    headers = b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x01\x01x"  # POST, http, path, authority
    for name, value in ((b"content-type", b"application/grpc"), (b"te", b"trailers")):
        headers += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return b"".join((PREFACE, frame(SETTINGS_FRAME), stream_frame(1, 4, headers), stream_frame(0, 1, message)))


def stream_frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", 1) + payload


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        os.urandom(5000),
        PREFACE + frame(99, b"?" * 100) * 50,
        raw_call(b"\x00\xff\xff\xff\xf0garbage"),
        raw_call(b"\x00\x00\x00\xff\xffgarbage"),
        raw_call(b"\x01\x00\x00\x00\x01x"),
        raw_call(b""),
        raw_call(b"\x00\x00"),
    ],
    ids=[
        "http1",
        "noise",
        "unknown frames",
        "4 GiB announced",
        "cut short",
        "compressed with nothing",
        "no message",
        "half a length",
    ],
)
def test_broken_call_disturbs_nobody_and_leaves_no_traceback(
    receiver: Receiver, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", receiver.grpc_port), timeout=60) as connection:
        connection.sendall(sent)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while connection.recv(65536):
                pass

    assert call(receiver, build_request(build_span()).SerializeToString()).code is CODE.OK
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_client_that_leaves_without_taking_its_answer_leaves_no_traceback(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    no_window = frame(SETTINGS_FRAME, struct.pack(">HI", 4, 0))  # SETTINGS_INITIAL_WINDOW_SIZE: the answer has to wait
    request = raw_call(bytes(5))  # an empty message
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", receiver.grpc_port), timeout=60) as connection:
            connection.sendall(PREFACE + no_window + request[len(PREFACE) + len(frame(SETTINGS_FRAME)) :])
            taken = b""
            while b"application/grpc" not in taken:  # the head of the answer
                taken += connection.recv(65536)

    assert call(receiver, build_request(build_span()).SerializeToString()).code is CODE.OK
    time.sleep(0.5)  # for what is told late
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_second_server_on_the_port_fails(receiver: Receiver) -> None:
    async def start_another() -> None:
        await grpc_receiver.start("127.0.0.1", receiver.grpc_port)

    with pytest.raises(OSError, match=f":{receiver.grpc_port}"):
        asyncio.run(start_another())
    assert call(receiver, b"").code is CODE.OK


def test_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_MAX_CONNECTIONS", 2)
    (port,) = free_ports(1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0)[1:] + b"\4\0" + struct.pack(">I", 0)

    async def connect() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(preface)
        opened.append(writer)
        with contextlib.suppress(ConnectionError):
            return await reader.read(9)
        return b""

    async def connect_three() -> list[bytes]:
        server = await grpc_receiver.start("127.0.0.1", port)
        answers = [await asyncio.wait_for(connect(), 60) for _ in range(3)]
        for writer in opened:
            writer.close()
        await server.stop(0)
        return answers

    opened: list[asyncio.StreamWriter] = []
    answers = asyncio.run(connect_three())

    assert [bool(answer) for answer in answers] == [True, True, False]


def test_stop_lets_calls_under_way_finish(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, under_way = os.fdatasync, threading.Event()
    monkeypatch.setattr(server_module, "_REQUESTS_STOP_S", 60)  # a pause of the machine may be longer than users grant

    def take_long(descriptor: int) -> None:
        under_way.set()
        time.sleep(1)
        synced(descriptor)

    monkeypatch.setattr(os, "fdatasync", take_long)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(call, receiver, build_request(build_span()).SerializeToString())
        assert under_way.wait(60)
        receiver.stop()

        assert pending.result(60).code is CODE.OK
    assert call(receiver, b"").code is CODE.UNAVAILABLE
