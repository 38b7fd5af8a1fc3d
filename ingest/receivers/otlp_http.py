"""OTLP/HTTP as a plain ASGI application: authenticate, read, check, store durably, answer.

Outside Django's request cycle, because that refuses bodies over 2.5 MB with HTML, redirects, and reads a body before the
key is known. Every refusal is a google.rpc.Status in the encoding of the request, as the OTLP specification asks.

`admit` and `store_signal` know nothing of HTTP: OTLP/gRPC (otlp_grpc.py) goes through them as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ingest.otlp.check import CHECKS, BadBody, Checked, count_data_points, estimate_parsing_bytes, most_parsing_bytes
from ingest.privacy import Cleaner
from ingest.receivers.body import (
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
from ingest.receivers.cors import Headers, build_cors_headers, build_preflight_headers
from ingest.service import Ingest, get_running_ingest
from ingest.spool.queue import SpoolUnwritable
from tracestore.intake.refusals import refusals
from tracestore.keys import DEFAULT_PROJECT_ID, describe_unknown, extract_key, find_key_async, recall_key
from tracestore.model import Signal
from tracestore.privacy.counts import masked_counts
from tracestore.privacy.masking import BadRule, MaskingTooSlow
from tracestore.privacy.policy import Policy, find_policy_async
from tracestore.process import telemetry
from tracestore.projects import describe_other_project, find_project_id_async, read_slug, recall_project_id
from tracestore.web.guessing import TooManyGuesses

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_CONTENT_TYPES = {PROTOBUF: PROTOBUF, "application/protobuf": "application/protobuf", JSON: JSON}
SIGNALS = ("traces", "logs", "metrics")
# Larger bodies are inflated and parsed in a thread; below this the hand-over costs more than the work.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 64 * 2**10, 4 * 2**10
# In bodies of the largest size: what all requests in threads may take together to parse, and what one of them may.
_ALL_PARSING, _ONE_PARSING = 4, 32
# google.rpc.Code by HTTP status, as in the OpenTelemetry Collector (internal/statusutil).
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 413: 3, 415: 3, 429: 8, 503: 14}

budget = MemoryBudget()  # of all requests, whatever brought them
_parsing_budget = MemoryBudget()  # of its own: beside small requests a large one must still find room
_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp")
# Of their own, so that costly rules of one project hold up no other.
_cleaners = ThreadPoolExecutor(max_workers=2, thread_name_prefix="otlp-clean")
_CLEANER_WAIT_S = 8.0  # for one of them; exporters give a whole export 10 s, and what they gave up must hold up no other
_CLEANING = 3  # copies of a body's texts that cleaning makes beside what parsing makes


@dataclass
class Refused(Exception):
    """A request that is not accepted. `status` is HTTP's; the message is for the sender."""

    status: int
    message: str


@dataclass(frozen=True)
class Admitted:
    """Who stores a request, and whose it is. `ingest_key` names its key, "" when none was needed and none came.

    `policy` says what must not be stored of it, None for nothing.
    """

    ingest: Ingest
    project_id: int
    ingest_key: str
    policy: Policy | None


def _find_signal(path: str) -> str:
    """Return what is posted to this path, "" when it is not an OTLP path. A base path and a slash at the end are fine."""
    for signal in SIGNALS:
        if path.rstrip("/").endswith(f"/v1/{signal}"):
            return signal
    return ""


def handles(path: str, method: str = "GET") -> bool:
    """Whether a request belongs to OTLP: any path that ends in /v1/<signal>, except what the REST API under /api/ reads.

    A POST to / comes from an exporter whose signal endpoint was given without a path, one to /v1/... from a slip of the pen;
    both are told the right one.
    """
    if path.startswith("/api/"):
        return method == "POST" and bool(_find_signal(path))
    if method == "POST" and (path in ("", "/") or path.startswith("/v1/")):
        return True
    return bool(_find_signal(path)) or "/v1development/" in path


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI entry point for every request that `handles` claims."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    cors = build_cors_headers(headers, settings.OTLP_CORS_ORIGINS)
    if preflight := build_preflight_headers(cors, scope["method"], headers):  # browsers send no key with it
        await send({"type": "http.response.start", "status": 204, "headers": cors + preflight})
        await send({"type": "http.response.body", "body": b""})
        return
    started = time.monotonic()
    signal, slug = _find_signal(scope["path"]), read_slug(scope["path"])
    request_line = f"{scope['method'][:10]} {scope['path'][:80]}"
    try:
        status, body = 200, await _answer(scope, headers, content_type, receive)
    except Disconnected:
        return
    except Refused as refused:
        status, body = refused.status, _encode_status(refused, content_type)
        note_refusal(refused, headers, request_line, slug)
    except Exception:
        log.exception("otlp: a request failed")
        status = 500
        failed = Refused(500, "The server failed to handle this request; its log says why.")
        body = _encode_status(failed, content_type)
        note_refusal(failed, headers, request_line, slug)
    encoding = "other" if content_type not in _CONTENT_TYPES else "json" if content_type == JSON else "protobuf"
    telemetry.REQUESTS.labels(signal or "other", encoding, str(status)).inc()
    if status == 200 and signal == "traces":
        telemetry.ACKNOWLEDGE.observe(time.monotonic() - started)
    await _send(send, status, body, _CONTENT_TYPES.get(content_type, JSON), cors)


def note_refusal(refused: Refused, headers: dict[str, str], request_line: str, slug: str = "") -> None:
    """Count it for the data quality page: except after 503 an exporter drops what it sent, and few of them say so.

    It counts for the project of the key, or where none is demanded for that of the address (`slug`), else for the default one.
    """
    project_id, key_name = recall_key(extract_key(headers))
    if project_id is None and not settings.KEY_REQUIRED:
        project_id = recall_project_id(slug)
    refusals.note(
        f"http_{refused.status}",
        project_id=project_id or DEFAULT_PROJECT_ID,
        ingest_key=key_name,
        sdk=headers.get("user-agent", ""),
        sample=f"{request_line}: {refused.message}",
    )


def choose_retry_delay_s() -> int:
    """SDKs give a whole export 10 s and drop it when asked to wait longer; the spread keeps them from coming back together."""
    return random.choice((1, 2))


async def _send(send: Send, status: int, body: bytes, content_type: str, cors: Headers) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *cors]
    if status in (429, 503):
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
        raise Refused(404, "There is no OTLP endpoint here. Traces are accepted at /v1/traces, logs at /v1/logs.")
    if scope["method"] != "POST":
        raise Refused(405, f"OTLP is sent with POST, not {scope['method']}.")
    admitted = await admit(headers, (scope["client"] or ("",))[0], read_slug(scope["path"]))
    encoding = _check_headers(headers, content_type)
    with Allowance(budget, max_body_bytes=settings.MAX_BODY_BYTES, project_id=admitted.project_id) as allowance:
        try:
            body = await read_body(receive, allowance)
        except TooLarge:
            raise too_large() from None
        except NoMemory:
            raise no_memory() from None
        except Stalled:
            raise Refused(503, "The body stopped arriving.") from None
        return await store_signal(admitted, signal, body, encoding, allowance, is_json=content_type == JSON)


async def admit(headers: dict[str, str], address: str, slug: str = "") -> Admitted:
    """Return who stores the request and its project, before a byte of its body is read. Raises Refused.

    `address` is the sender's, "" when unknown: guesses at the password are counted by it. `slug` is of the project that the
    request's path names, "" when it names none.
    """
    ingest = get_running_ingest()
    if ingest is None:
        raise Refused(503, "The server is not ready to store data.")
    project_id, key_name = await _authenticate(headers, address, slug)
    if refusal := ingest.refusal():
        raise Refused(503, refusal)
    return Admitted(ingest, project_id, key_name, await _find_policy(project_id))


async def store_signal(
    admitted: Admitted, signal: str, body: bytes, encoding: str, allowance: Allowance, *, is_json: bool
) -> bytes:
    """Check one request's body and store what is good of it; return the response message once that is durable. Raises Refused.

    `signal` is one of SIGNALS, `encoding` one of ENCODINGS; the response is serialized as the body was, Protobuf or JSON.
    """
    telemetry.BODY_BYTES.labels(signal).inc(len(body))
    try:
        if signal == "metrics":
            return await _decline_metrics(body, encoding, is_json, allowance)
        return await _store(admitted, Signal(signal), body, encoding, is_json, allowance)
    except (BadBody, Corrupt) as error:
        reason = f"The body is not valid {encoding}: {error}." if isinstance(error, Corrupt) else str(error)
        raise Refused(400, reason) from None
    except MaskingTooSlow:
        raise Refused(413, "The project's privacy rules take too long for this body. Send smaller batches.") from None
    except TooLarge:
        raise too_large() from None
    except (NoMemory, MemoryError):
        raise no_memory() from None
    except SpoolUnwritable as error:
        raise Refused(503, str(error)) from None


async def _authenticate(headers: dict[str, str], address: str, slug: str) -> tuple[int, str]:
    """Return the project and the name of the presented key. Without a demand for keys an unknown one is as good as none.

    The project is that of the key, which the path may name too. Without a key it is that of the path, or the default one.
    """
    key = extract_key(headers)
    try:
        opened = await find_key_async(key, address) if key is not None else None
    except DatabaseError:
        log.exception("otlp: the database with the keys cannot be read")
        raise Refused(503, "The server cannot check keys now.") from None
    except TooManyGuesses as error:
        raise Refused(429, str(error)) from None
    if opened is not None:
        if problem := describe_other_project(opened, slug):
            raise Refused(403, problem)
        return opened.project_id, opened.name
    if settings.KEY_REQUIRED:
        problem = describe_unknown(key) if key is not None else "A key is needed."
        raise Refused(401, f"{problem} Send a key as `Authorization: Bearer <key>` or `x-api-key: <key>`.")
    if not slug:
        return DEFAULT_PROJECT_ID, ""
    try:
        project_id = await find_project_id_async(slug)
    except DatabaseError:
        log.exception("otlp: the database with the projects cannot be read")
        raise Refused(503, "The server cannot look up projects now.") from None
    if project_id is None:
        raise Refused(
            404, f"There is no project {slug}. Make it on the page Setup, Projects, or send to an address without /p/{slug}."
        )
    return project_id, ""


async def _find_policy(project_id: int) -> Policy | None:
    """Return what must not be stored. While that cannot be read, nothing is."""
    try:
        return await find_policy_async(project_id)
    except (DatabaseError, BadRule):
        log.exception("otlp: the privacy rules of project %d cannot be read", project_id)
        raise Refused(503, "The server cannot read the project's privacy rules now.") from None


def _check_headers(headers: dict[str, str], content_type: str) -> str:
    """Return the content encoding; refuse what cannot be read before a byte of it is."""
    if content_type not in _CONTENT_TYPES:
        given = f"not {content_type[:100]!r}" if content_type else "and the header is missing"
        raise Refused(415, f"Content-Type must be {PROTOBUF} or {JSON}, {given}.")
    encodings = [name.strip().lower() for name in headers.get("content-encoding", "").split(",")]
    # RFC 9110, 8.4.1.3: x-gzip is another name of gzip.
    applied = ["gzip" if name == "x-gzip" else name for name in encodings if name and name != "identity"] or ["identity"]
    if len(applied) > 1 or applied[0] not in ENCODINGS:
        raise Refused(415, f"Content-Encoding must be one of {', '.join(ENCODINGS)}, not {','.join(applied)[:100]!r}.")
    if "content-length" not in headers and "transfer-encoding" not in headers:
        # RFC 9112, 6.3: that means no body at all. What was sent as one would be lost, and a 200 would hide that.
        raise Refused(400, "The request has no body: it names neither a Content-Length nor a Transfer-Encoding.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > settings.MAX_BODY_BYTES:
        raise too_large()
    return applied[0]


def too_large() -> Refused:
    return Refused(
        413,
        f"The body is larger than {settings.MAX_BODY_BYTES} bytes, as sent or inflated, or holds too many small values. "
        "Send smaller batches.",
    )


def no_memory() -> Refused:
    return Refused(503, "The server is busy with other large requests.")


async def _parse(
    parse: Callable[[bytes], Any], body: bytes, encoding: str, is_json: bool, allowance: Allowance, *, cleans: bool = False
) -> Any:
    """Inflate and parse, each here when it is short, else in a thread, where it does not hold up other requests.

    `cleans`: parsing applies a project's rules too, which takes a thread whatever the size.
    """
    loop = asyncio.get_running_loop()
    if cleans:
        parse = partial(_parse_unless_late, parse, time.monotonic() + _CLEANER_WAIT_S)
    if encoding == "identity" or len(body) <= _INLINE_COMPRESSED_BYTES:
        content = inflate(body, encoding, allowance)
    else:
        content = await loop.run_in_executor(_workers, inflate, body, encoding, allowance)
    pool = _cleaners if cleans else _workers
    if len(content) <= _INLINE_BYTES:
        return await loop.run_in_executor(pool, parse, content) if cleans else parse(content)
    extra = _CLEANING * len(content) if cleans else 0
    return await loop.run_in_executor(pool, _parse_large, parse, content, is_json, extra, allowance.max_body_bytes)


def _parse_unless_late(parse: Callable[[bytes], Any], until_s: float, content: bytes) -> Any:
    """Parse unless the wait for a thread was too long. Raises Refused."""
    if time.monotonic() > until_s:
        raise Refused(503, "The server is busy applying privacy rules.")
    return parse(content)


def _parse_large(parse: Callable[[bytes], Any], content: bytes, is_json: bool, extra_bytes: int, max_body_bytes: int) -> Any:
    """Parse when there is memory for it. Raises NoMemory, or TooLarge when even a lone request would take too much."""
    room = _ALL_PARSING * max_body_bytes
    size = most_parsing_bytes(content) + extra_bytes
    # Where there is room for the worst body of this size, nobody needs to look: that takes as long as parsing.
    if not _parsing_budget.take_if_free(size, room):
        size = estimate_parsing_bytes(content, is_json=is_json) + extra_bytes
        if size > _ONE_PARSING * max_body_bytes:
            raise TooLarge
        _parsing_budget.take(size, room)
    try:
        return parse(content)
    finally:
        _parsing_budget.give_back(size)


async def _store(admitted: Admitted, signal: Signal, body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    ingest, project_id = admitted.ingest, admitted.project_id
    cleaner = Cleaner(admitted.policy) if admitted.policy is not None else None
    check = partial(CHECKS[signal, is_json], clean=cleaner.clean) if cleaner else CHECKS[signal, is_json]
    checked: Checked = await _parse(check, body, encoding, is_json, allowance, cleans=cleaner is not None)
    if checked.accepted:
        await asyncio.wrap_future(
            ingest.accept(project_id, checked.payload, signal, ingest_key=admitted.ingest_key, spans=checked.accepted)
        )
    if cleaner:
        masked_counts.note(project_id, cleaner.counts)
    ingest.count(signal, accepted=checked.accepted, rejected=checked.rejected, message=checked.message)
    if checked.rejected:
        log.warning("otlp: project %d: %s", project_id, checked.message)
    if checked.rejection:
        refusals.note(
            checked.rejection.reason, project_id=project_id, ingest_key=admitted.ingest_key, sdk=checked.rejection.sdk,
            spans=checked.rejected, sample=checked.rejection.sample,
        )  # fmt: skip
    return _encode_success(signal, checked.rejected, checked.message, is_json)


async def _decline_metrics(body: bytes, encoding: str, is_json: bool, allowance: Allowance) -> bytes:
    """Answer metrics: an exporter with a base endpoint sends them too, and a 404 would fill its own log with errors."""
    rejected: int = await _parse(partial(count_data_points, is_json=is_json), body, encoding, is_json, allowance)
    return _encode_success("metrics", rejected, "Tracestore does not store metrics; only traces and logs are kept.", is_json)


# signal -> response, its field with the number of what was rejected, the same in JSON
_RESPONSES: dict[str, tuple[type[Message], str, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


def _encode_success(signal: str, rejected: int, message: str, is_json: bool) -> bytes:
    """Return the body of a 200: empty when nothing was rejected, as the specification asks."""
    if not rejected:
        return b"{}" if is_json else b""
    response_type, field, json_field = _RESPONSES[signal]
    if is_json:
        return json.dumps({"partialSuccess": {json_field: str(rejected), "errorMessage": message}}).encode()
    partial_success = {field: rejected, "error_message": message}
    return response_type(partial_success=partial_success).SerializeToString()
