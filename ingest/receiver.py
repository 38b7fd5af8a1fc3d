"""OTLP/HTTP as a plain ASGI application: authenticate, read, check, store durably, answer.

Outside Django's request cycle, because that refuses bodies over 2.5 MB with HTML, redirects, and reads a body before the
key is known. Every refusal is a google.rpc.Status in the encoding of the request, as the OTLP specification asks.

`admit` and `store_signal` know nothing of HTTP: OTLP/gRPC (grpc_receiver.py) goes through them as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ingest.body import (
    ENCODINGS,
    Allowance,
    Corrupt,
    Disconnected,
    MemoryBudget,
    NoMemory,
    Receive,
    Stalled,
    TooLarge,
    inflate,
    read_body,
)
from ingest.cors import Headers, build_cors_headers, build_preflight_headers
from ingest.otlp import BadBody, Checked, check_json, check_protobuf, count_data_points, count_log_records
from ingest.service import Ingest, get_running_ingest
from ingest.spool import SpoolUnwritable
from tracestore.keys import DEFAULT_PROJECT_ID, extract_key, find_project_id_async

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_CONTENT_TYPES = {PROTOBUF: PROTOBUF, "application/protobuf": "application/protobuf", JSON: JSON}
SIGNALS = ("traces", "logs", "metrics")
# Larger bodies are inflated and parsed in a thread; below this the hand-over costs more than the work.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 64 * 2**10, 4 * 2**10
# google.rpc.Code by HTTP status, as in the OpenTelemetry Collector (internal/statusutil).
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 413: 3, 415: 3, 429: 8, 503: 14}

budget = MemoryBudget()  # of all requests, whatever brought them
_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp")


@dataclass
class Refused(Exception):
    """A request that is not accepted. `status` is HTTP's; the message is for the sender."""

    status: int
    message: str


def _find_signal(path: str) -> str:
    """Return what is posted to this path, "" when it is not an OTLP path. A base path and a slash at the end are fine."""
    for signal in SIGNALS:
        if path.rstrip("/").endswith(f"/v1/{signal}"):
            return signal
    return ""


def handles(path: str, method: str = "GET") -> bool:
    """Whether a request belongs to OTLP: any path that ends in /v1/<signal>, except what the REST API under /api/ reads.

    A POST to / comes from an exporter whose signal endpoint was given without a path; it is told the right one.
    """
    if path.startswith("/api/"):
        return method == "POST" and bool(_find_signal(path))
    return bool(_find_signal(path)) or "/v1development/" in path or (method == "POST" and path in ("", "/"))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI entry point for every request that `handles` claims."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    cors = build_cors_headers(headers, settings.OTLP_CORS_ORIGINS)
    if preflight := build_preflight_headers(cors, scope["method"], headers):  # browsers send no key with it
        await send({"type": "http.response.start", "status": 204, "headers": cors + preflight})
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        status, body = 200, await _answer(scope, headers, content_type, receive)
    except Disconnected:
        return
    except Refused as refused:
        status, body = refused.status, _encode_status(refused, content_type)
    except Exception:
        log.exception("otlp: a request failed")
        status = 500
        body = _encode_status(Refused(500, "The server failed to handle this request; its log says why."), content_type)
    await _send(send, status, body, _CONTENT_TYPES.get(content_type, JSON), cors)


def choose_retry_delay_s() -> int:
    """SDKs give a whole export 10 s and drop it when asked to wait longer; the spread keeps them from coming back together."""
    return random.choice((1, 2))


async def _send(send: Send, status: int, body: bytes, content_type: str, cors: Headers) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *cors]
    if status == 503:
        headers.append((b"retry-after", str(choose_retry_delay_s()).encode()))
    elif status == 405:
        headers.append((b"allow", b"POST"))
    elif status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _encode_status(refused: Refused, content_type: str) -> bytes:
    code = _RPC_CODES.get(refused.status, 2)
    if _CONTENT_TYPES.get(content_type, JSON) == JSON:
        document: dict[str, Any] = {"code": code, "message": refused.message}
        if refused.status == 400:
            fields = [{"field": "body", "description": refused.message}]
            document["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields}]
        return json.dumps(document).encode()
    encoded: bytes = build_status(refused, code).SerializeToString()
    return encoded


def build_status(refused: Refused, code: int) -> Status:
    status = Status(code=code, message=refused.message)
    if refused.status == 400:
        violation = BadRequest.FieldViolation(field="body", description=refused.message)
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    return status


async def _answer(scope: Scope, headers: dict[str, str], content_type: str, receive: Receive) -> bytes:
    """Return the body of a 200, or raise Refused."""
    signal = _find_signal(scope["path"])
    if not signal:
        raise Refused(404, "There is no OTLP endpoint here. Traces are accepted at /v1/traces.")
    if scope["method"] != "POST":
        raise Refused(405, f"OTLP is sent with POST, not {scope['method']}.")
    ingest, project_id = await admit(headers)
    encoding = _check_headers(headers, content_type)
    with Allowance(budget, max_body_bytes=settings.MAX_BODY_BYTES) as allowance:
        try:
            body = await read_body(receive, allowance)
        except TooLarge:
            raise too_large() from None
        except NoMemory:
            raise no_memory() from None
        except Stalled:
            raise Refused(503, "The body stopped arriving.") from None
        return await store_signal(ingest, signal, project_id, body, encoding, allowance, is_json=content_type == JSON)


async def admit(headers: dict[str, str]) -> tuple[Ingest, int]:
    """Return who stores the request and its project, before a byte of its body is read. Raises Refused."""
    ingest = get_running_ingest()
    if ingest is None:
        raise Refused(503, "The server is not ready to store data.")
    project_id = await _authenticate(headers)
    if refusal := ingest.refusal():
        raise Refused(503, refusal)
    return ingest, project_id


async def store_signal(
    ingest: Ingest, signal: str, project_id: int, body: bytes, encoding: str, allowance: Allowance, *, is_json: bool
) -> bytes:
    """Check one request's body and store what is good of it; return the response message once that is durable. Raises Refused.

    `signal` is one of SIGNALS, `encoding` one of ENCODINGS; the response is serialized as the body was, Protobuf or JSON.
    """
    try:
        if signal == "traces":
            return await _store(ingest, project_id, body, encoding, is_json, allowance)
        return await _decline(signal, body, encoding, is_json, allowance)
    except (BadBody, Corrupt) as error:
        reason = f"The body is not valid {encoding}: {error}." if isinstance(error, Corrupt) else str(error)
        raise Refused(400, reason) from None
    except TooLarge:
        raise too_large() from None
    except NoMemory:
        raise no_memory() from None
    except SpoolUnwritable as error:
        raise Refused(503, str(error)) from None


async def _authenticate(headers: dict[str, str]) -> int:
    """Return the project of the presented key. Without a demand for keys an unknown one is ignored."""
    key = extract_key(headers)
    try:
        project_id = await find_project_id_async(key) if key is not None else None
    except DatabaseError:
        log.exception("otlp: the database with the keys cannot be read")
        raise Refused(503, "The server cannot check keys now.") from None
    if project_id is not None:
        return project_id
    if settings.KEY_REQUIRED:
        problem = "This key is not known." if key is not None else "A key is needed."
        raise Refused(401, f"{problem} Send it as `Authorization: Bearer <key>` or `x-api-key: <key>`.")
    return DEFAULT_PROJECT_ID


def _check_headers(headers: dict[str, str], content_type: str) -> str:
    """Return the content encoding; refuse what cannot be read before a byte of it is."""
    if content_type not in _CONTENT_TYPES:
        given = f"not {content_type[:100]!r}" if content_type else "and the header is missing"
        raise Refused(415, f"Content-Type must be {PROTOBUF} or {JSON}, {given}.")
    encodings = [name.strip().lower() for name in headers.get("content-encoding", "").split(",")]
    applied = [name for name in encodings if name and name != "identity"] or ["identity"]
    if len(applied) > 1 or applied[0] not in ENCODINGS:
        raise Refused(415, f"Content-Encoding must be one of {', '.join(ENCODINGS)}, not {','.join(applied)[:100]!r}.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > settings.MAX_BODY_BYTES:
        raise too_large()
    return applied[0]


def too_large() -> Refused:
    return Refused(413, f"The body is larger than {settings.MAX_BODY_BYTES} bytes, as sent or inflated. Send smaller batches.")


def no_memory() -> Refused:
    return Refused(503, "The server is busy with other large requests.")


async def _run(work: Callable[[], Any], body: bytes, encoding: str) -> Any:
    """Run the work here when it is short, else in a thread, where it does not hold up other requests."""
    if len(body) <= (_INLINE_BYTES if encoding == "identity" else _INLINE_COMPRESSED_BYTES):
        return work()
    return await asyncio.get_running_loop().run_in_executor(_workers, work)


async def _store(ingest: Ingest, project_id: int, body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    check = check_json if is_json else check_protobuf
    checked: Checked = await _run(lambda: check(inflate(body, encoding, allowance)), body, encoding)
    if checked.accepted:
        await asyncio.wrap_future(ingest.accept(project_id, checked.payload))
    ingest.count(accepted=checked.accepted, rejected=checked.rejected, message=checked.message)
    if not checked.rejected:
        return b"{}" if is_json else b""
    log.warning("otlp: project %d: %s", project_id, checked.message)
    if is_json:
        return json.dumps({"partialSuccess": {"rejectedSpans": str(checked.rejected), "errorMessage": checked.message}}).encode()
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = checked.rejected
    response.partial_success.error_message = checked.message
    return response.SerializeToString()


async def _decline(signal: str, body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    """Answer logs and metrics: an exporter with a base endpoint sends them too, and a 404 would fill its own log with errors."""
    count = count_log_records if signal == "logs" else count_data_points
    rejected: int = await _run(lambda: count(inflate(body, encoding, allowance), is_json=is_json), body, encoding)
    if not rejected:
        return b"{}" if is_json else b""
    message = f"Tracestore does not store {signal} yet; only traces are kept."
    field = "rejectedLogRecords" if signal == "logs" else "rejectedDataPoints"
    if is_json:
        return json.dumps({"partialSuccess": {field: str(rejected), "errorMessage": message}}).encode()
    if signal == "logs":
        logs = ExportLogsServiceResponse()
        logs.partial_success.rejected_log_records, logs.partial_success.error_message = rejected, message
        return logs.SerializeToString()
    metrics = ExportMetricsServiceResponse()
    metrics.partial_success.rejected_data_points, metrics.partial_success.error_message = rejected, message
    return metrics.SerializeToString()
