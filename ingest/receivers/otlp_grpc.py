"""OTLP/gRPC: the same three services as OTLP/HTTP, on the same event loop, through the same check and the same spool.

Import it in the process that serves and nowhere else: grpc starts threads, which do not survive a fork.

An Export is unary on the wire, but handled as a stream of one request: grpc hands a unary handler the whole body, while here
the key, the spool and the memory are looked at before a byte of it is asked for (until then HTTP/2's flow control holds the
sender back). With requests of 512 spans over 8 connections and nothing behind the spool, one event loop took 224,000 spans/s and
a pool of threads 238,000, both with 2.4 ms of processor time a request and 85 MiB: not worth a second way through the code.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from functools import partial
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
import grpc.aio
from django.conf import settings
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from ingest.receivers.admission import admit
from ingest.receivers.body import Allowance, NoMemory, budget
from ingest.receivers.refusing import Refused, build_status, choose_retry_delay_s, no_memory, note_refusal
from ingest.receivers.storing import store_signal
from tracestore.process import telemetry
from tracestore.process.http_protocol import max_connections

log = logging.getLogger(__name__)

_SERVICES = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
# By the status that HTTP answers. RESOURCE_EXHAUSTED without RetryInfo means "never"; SDKs drop whatever is not in this table.
_RETRYABLE = (429, 503)
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_MAX_CALLS = 1024
# How much of a body has arrived is known to grpc alone, so the number of bodies that may be arriving is what bounds them.
_MAX_READS = 16
_MAX_PROJECT_READS = 12  # so that one project's calls, which may all be slow, leave room for others
_READ_S = 20.0
_WAIT_S = 5.0  # for one of those reads; exporters give a whole export 10 s
_MAX_CONNECTION_AGE_MS = 600_000  # behind a load balancer connections move on to new servers
_MIN_PING_INTERVAL_MS = 10_000  # grpc's own five minutes disconnect clients that ping every 20 s, which many do


def _build_options() -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # else a second server on this port would get every other connection
        ("grpc.max_receive_message_length", min(settings.MAX_BODY_BYTES, 2**31 - 1)),
        # grpc would inflate outside the memory budget, answer INTERNAL to a broken body, and know one gzip member only.
        ("grpc.per_message_decompression", 0),
        ("grpc.max_allowed_incoming_connections", max_connections()),
        ("grpc.max_concurrent_streams", 100),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_connection_age_ms", _MAX_CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", 30_000),
    ]


class _Exports:
    """The Export method of every service, and what its calls share.

    Requests and responses stay bytes: grpc answers INTERNAL to what a deserializer of its own cannot read.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._reads = asyncio.Semaphore(_MAX_READS)
        self._reads_of = defaultdict[int, asyncio.Semaphore](lambda: asyncio.Semaphore(_MAX_PROJECT_READS))

    def build_handlers(self) -> tuple[Any, ...]:
        return tuple(
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.stream_unary_rpc_method_handler(partial(self._export, signal))}
            )
            for signal, service in _SERVICES.items()
        )

    async def _export(self, signal: str, _: object, context: grpc.aio.ServicerContext) -> bytes:
        self._calls += 1
        started = time.monotonic()
        headers = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            response = await self._answer(signal, headers, context)
        except Refused as refused:
            refusal = refused
        except Exception:
            log.exception("otlp: a gRPC request failed")
            refusal = Refused(500, "The server failed to handle this request; its log says why.")
        else:
            telemetry.REQUESTS.labels(signal, "grpc", "200").inc()
            if signal == "traces":
                telemetry.ACKNOWLEDGE.observe(time.monotonic() - started)
            return response
        finally:
            self._calls -= 1
        telemetry.REQUESTS.labels(signal, "grpc", str(refusal.status)).inc()
        note_refusal(refusal, headers, f"gRPC {signal}")
        return await _refuse(context, refusal)

    async def _answer(self, signal: str, headers: dict[str, str], context: grpc.aio.ServicerContext) -> bytes:
        """Return the serialized response, or raise Refused."""
        if self._calls > _MAX_CALLS:
            raise Refused(503, "The server is busy with other requests.")
        admitted = await admit(headers, _find_address(context.peer()))
        with Allowance(budget, max_body_bytes=settings.MAX_BODY_BYTES, project_id=admitted.project_id) as allowance:
            body = await self._read(context, admitted.project_id, allowance)
            return await store_signal(admitted, signal, body, _find_encoding(body), allowance, is_json=False)

    async def _read(self, context: grpc.aio.ServicerContext, project_id: int, allowance: Allowance) -> bytes:
        """Return the message as it is on the wire, compressed or not. Raises Refused."""
        places: list[asyncio.Semaphore] = []
        try:
            try:
                async with asyncio.timeout(_WAIT_S):
                    for place in (self._reads_of[project_id], self._reads):
                        await place.acquire()
                        places.append(place)
            except TimeoutError:
                raise Refused(503, "The server is busy with other requests.") from None
            # Not the request iterator: it keeps a body until the next garbage collection, 120 MiB in all at full speed.
            body = await asyncio.wait_for(context.read(), _READ_S)
            if not isinstance(body, bytes):  # EOF; a message beyond the limit was answered by grpc and ends here too
                raise Refused(400, "The call carries no message.")
            allowance.take(len(body))
        except TimeoutError:
            raise Refused(503, "The body did not arrive in time.") from None
        except NoMemory:
            raise no_memory() from None
        finally:
            for place in places:
                place.release()
        return body


def _find_address(peer: str) -> str:
    """Return the address in what grpc calls a peer: ipv4:127.0.0.1:50000, ipv6:%5B::1%5D:50000."""
    return unquote(peer.partition(":")[2].rpartition(":")[0]).strip("[]")


def _find_encoding(body: bytes) -> str:
    """Tell from the first bytes, since grpc keeps `grpc-encoding` to itself: no OTLP request begins as a compressed one does."""
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    return "deflate" if body.startswith(b"\x78") and int.from_bytes(body[:2], "big") % 31 == 0 else "identity"


async def _refuse(context: grpc.aio.ServicerContext, refused: Refused) -> NoReturn:
    code = _CODES.get(refused.status, grpc.StatusCode.INTERNAL)
    status = build_status(refused, code.value[0])
    trailers = []
    if refused.status in _RETRYABLE:
        retry = RetryInfo(retry_delay=Duration(seconds=choose_retry_delay_s()))
        status.details.add().Pack(retry)
        trailers.append(("google.rpc.retryinfo-bin", retry.SerializeToString()))  # the only place where Python's exporter looks
    trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    try:
        await context.abort(code, refused.message, tuple(trailers))
    except grpc.aio.InternalError:  # the call is over: the client has gone, or grpc has answered already
        raise asyncio.CancelledError from None
    raise AssertionError("abort raises")


def _is_no_departure(record: logging.LogRecord) -> bool:
    """Leave out what grpc logs, with a traceback, of a client that has gone before it took its answer: clients may."""
    error = record.exc_info[0] if record.exc_info else None
    return error is None or error.__name__ != "ExecuteBatchError"  # a class that grpc does not export


logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_departure)


async def start(host: str, port: int) -> grpc.aio.Server:
    """Serve on the running event loop until `stop(grace_s)` of what this returns. Raises OSError when it cannot listen."""
    server = grpc.aio.server(options=_build_options())
    server.add_generic_rpc_handlers(_Exports().build_handlers())
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(str(error)) from None
    await server.start()
    return server
