"""Leave for web pages of other origins to send OTLP/HTTP and to read the answer (Fetch standard, "CORS protocol")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Headers = list[tuple[bytes, bytes]]

_SENT = b"content-type, content-encoding, authorization, x-api-key, traceparent, tracestate, baggage"


def build_cors_headers(headers: Mapping[str, str], origins: Sequence[str]) -> Headers:
    """Return what every answer to this request carries, errors included. `origins` are lower-case; `*` stands for all.

    Credentials are allowed because `navigator.sendBeacon` cannot send without them; OTLP looks at no cookie.
    """
    if not origins:
        return []
    origin = headers.get("origin", "")
    if not origin or (origin.lower() not in origins and "*" not in origins):
        return [(b"vary", b"origin")]
    return [
        (b"vary", b"origin"),
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"retry-after"),
    ]


def build_preflight_headers(cors: Headers, method: str, headers: Mapping[str, str]) -> Headers:
    """Return the rest of the answer to a preflight of an allowed origin, nothing for any other request."""
    is_allowed = any(name == b"access-control-allow-origin" for name, _ in cors)
    if method != "OPTIONS" or "access-control-request-method" not in headers or not is_allowed:
        return []
    return [
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", _SENT),
        (b"access-control-max-age", b"7200"),
    ]
