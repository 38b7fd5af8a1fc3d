"""Which project a presented key belongs to. Used by OTLP ingest and the REST API; never logs a key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import unquote

from django.conf import settings
from django.db import close_old_connections

from tracestore.guessing import WINDOW_S, check_address, refund_try, spend_try
from tracestore.models import IngestKey

DEFAULT_PROJECT_ID = 1
_KNOWN_S, _UNKNOWN_S = 30.0, 5.0  # a revoked key works this much longer, a new one is noticed this late
_MAX_REMEMBERED = 4096
_remembered: dict[str, tuple[int | None, float]] = {}  # SHA-256 of the key -> (project id, monotonic time until which it holds)


def extract_key(headers: Mapping[str, str]) -> str | None:
    """Return the key that these headers present, or None. Names are looked up in lower case.

    Accepted: `x-api-key: <key>` and `Authorization:` with `Bearer <key>`, `Basic <base64 of user:key>` (returned as
    `user:key`) or the bare key; a value may be URL-encoded, as OTEL_EXPORTER_OTLP_HEADERS asks for.
    """
    direct = headers.get("x-api-key", "").strip()
    if direct:
        return direct
    value = unquote(headers.get("authorization", "")).strip()
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip() or None
        case "basic":
            return _decode_basic(rest.strip())
        case _:
            return value or None


def _decode_basic(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode() or None
    except ValueError:
        return None


def find_project_id(presented: str, address: str) -> int | None:
    """Return the project that this key opens, None when it opens none. Of `user:key` either part may be the key.

    May ask the database; call it from a thread that may wait. Raises django.db.Error when the database is away, and
    TooManyGuesses when the client's `address` has tried too many passwords.
    """
    for key in _candidates(presented):
        project_id = _find(key, address)
        if project_id is not None:
            return project_id
    return None


async def find_project_id_async(presented: str, address: str) -> int | None:
    """As find_project_id, for the event loop: leaves it only when the answer is not remembered."""
    if any(map(_is_password, _candidates(presented))):
        check_address(address)
    digests = [_digest(key) for key in _candidates(presented)]
    now = time.monotonic()
    known = [_remembered.get(digest, (None, 0.0)) for digest in digests]
    for project_id, until in known:
        if project_id is not None and until > now:
            return project_id
    if all(until > now for _, until in known):
        return None
    return await asyncio.to_thread(_find_and_close, presented, address)


def _find_and_close(presented: str, address: str) -> int | None:
    try:
        return find_project_id(presented, address)
    finally:
        close_old_connections()


def forget_keys() -> None:
    """Drop what is remembered, so that a change of keys counts at once in this process."""
    _remembered.clear()


def _candidates(presented: str) -> list[str]:
    user, colon, password = presented.partition(":")
    return [part for part in (presented, password, user) if part] if colon else [presented]


def _is_password(key: str) -> bool:
    """Whether this tries the admin password. Keys are random and need no protection from guessing."""
    return bool(settings.ADMIN_PASSWORD) and key.startswith("admin:")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _find(key: str, address: str) -> int | None:
    if _is_password(key):
        check_address(address)  # first of all: what is remembered must not tell a guesser that he is right
    digest = _digest(key)
    project_id, until = _remembered.get(digest, (None, 0.0))
    if until > time.monotonic():
        return project_id
    if _is_password(key):
        spend_try(address)
    # Basic admin:password opens the same doors as the login page, so that a password alone is enough to start with.
    masters = [settings.API_KEY, settings.ADMIN_PASSWORD and f"admin:{settings.ADMIN_PASSWORD}"]
    if any(master and hmac.compare_digest(digest, _digest(master)) for master in masters):
        project_id = DEFAULT_PROJECT_ID
        if _is_password(key):
            refund_try(address)
    else:
        project_id = IngestKey.objects.filter(sha256=digest).values_list("project_id", flat=True).first()
    if len(_remembered) >= _MAX_REMEMBERED:
        _remembered.clear()  # someone is guessing: what is forgotten costs one query each
    # An exporter that repeats a password from before the last start is wrong, but it does not guess.
    unknown_s = WINDOW_S if _is_password(key) else _UNKNOWN_S
    _remembered[digest] = (project_id, time.monotonic() + (unknown_s if project_id is None else _KNOWN_S))
    return project_id
