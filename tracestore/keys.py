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
# SHA-256 of the key -> (project id, name of the key, monotonic time until which that holds)
_remembered: dict[str, tuple[int | None, str, float]] = {}
_UNREMEMBERED: tuple[int | None, str, float] = (None, "", 0.0)


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
    known = [_remembered.get(digest, _UNREMEMBERED) for digest in digests]
    for project_id, _, until in known:
        if project_id is not None and until > now:
            return project_id
    if all(until > now for _, _, until in known):
        return None
    return await asyncio.to_thread(_find_and_close, presented, address)


def _find_and_close(presented: str, address: str) -> int | None:
    try:
        return find_project_id(presented, address)
    finally:
        close_old_connections()


def recall_key(presented: str | None) -> tuple[int | None, str]:
    """Return project and name of a key that was looked up before; of an unknown one None and the start of its SHA-256.

    (None, "") for no key. Never the key itself; `printf %s KEY | sha256sum` finds out which one it was.
    """
    if not presented:
        return None, ""
    digests = [_digest(key) for key in _candidates(presented)]
    for project_id, name, _ in (_remembered.get(digest, _UNREMEMBERED) for digest in digests):
        if project_id is not None:
            return project_id, name
    return None, f"unknown, sha256 {digests[1 if len(digests) > 1 else 0][:8]}"


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
    project_id, name, until = _remembered.get(digest, _UNREMEMBERED)
    if until > time.monotonic():
        return project_id
    if _is_password(key):
        spend_try(address)
    # Basic admin:password opens the same doors as the login page, so that a password alone is enough to start with.
    masters = {"TRACESTORE_API_KEY": settings.API_KEY}
    if settings.ADMIN_PASSWORD:
        masters["admin"] = f"admin:{settings.ADMIN_PASSWORD}"
    opened = [name for name, master in masters.items() if master and hmac.compare_digest(digest, _digest(master))]
    if opened:
        project_id, name = DEFAULT_PROJECT_ID, opened[0]
        if _is_password(key):
            refund_try(address)
    else:
        found = IngestKey.objects.filter(sha256=digest).values_list("project_id", "name").first()
        project_id, name = found or (None, "")
    if len(_remembered) >= _MAX_REMEMBERED:
        _remembered.clear()  # someone is guessing: what is forgotten costs one query each
    # An exporter that repeats a password from before the last start is wrong, but it does not guess.
    unknown_s = WINDOW_S if _is_password(key) else _UNKNOWN_S
    _remembered[digest] = (project_id, name, time.monotonic() + (unknown_s if project_id is None else _KNOWN_S))
    return project_id
