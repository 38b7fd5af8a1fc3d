"""OTLP/HTTP as a plain ASGI application: authenticate, read, check, store durably, answer.

Outside Django's request cycle, because that refuses bodies over 2.5 MB with HTML, redirects, and reads a body before the
key is known. Every refusal is a google.rpc.Status in the encoding of the request, as the OTLP specification asks.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from ingest.receivers.admission import admit
from ingest.receivers.body import ENCODINGS, Allowance, Disconnected, NoMemory, Receive, Stalled, TooLarge, budget, read_body
from ingest.receivers.cors import Headers, build_cors_headers, build_preflight_headers
from ingest.receivers.refusing import Refused, build_status, choose_retry_delay_s, no_memory, note_refusal, too_large
from ingest.receivers.storing import SIGNALS, store_signal
from tracestore.process import telemetry
from tracestore.projects import read_slug

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_CONTENT_TYPES = {PROTOBUF: PROTOBUF, "application/protobuf": "application/protobuf", JSON: JSON}
# google.rpc.Code by HTTP status, as in the OpenTelemetry Collector (internal/statusutil).
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 413: 3, 415: 3, 429: 8, 503: 14}


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
