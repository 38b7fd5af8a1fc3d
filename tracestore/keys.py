"""Keys: which project a presented one opens, making and revoking them. Used by OTLP ingest and the REST API; never logs a key.

What a key opens is remembered. Each process looks once a second whether keys were made or revoked, so that a change counts
within that in all of them, and at once in the one that makes it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, close_old_connections
from django.db.models import Count, Max, QuerySet

from tracestore.intake.key_uses import key_uses
from tracestore.models import IngestKey, Project
from tracestore.web.guessing import WINDOW_S, check_address, refund_try, spend_try

log = logging.getLogger(__name__)

DEFAULT_PROJECT_ID, DEFAULT_PROJECT_SLUG = 1, "default"
_PREFIX_CHARACTERS = 8  # of which 5 are random: enough to tell a project's keys apart, nothing to guess the other 38 by
_LOOK_S = 1.0  # how often a process looks whether keys were made or revoked
_KNOWN_S, _UNKNOWN_S = 30.0, 5.0  # how long an answer holds while nobody can look, because the database is away
_MAX_REMEMBERED = 4096


@dataclass(frozen=True)
class OpenedKey:
    """What a key opens. `name` is that of the key, or of the setting that it stands in; then `key_id` is None."""

    project_id: int
    project_slug: str
    name: str
    key_id: int | None


# SHA-256 of the key -> (what it opens, monotonic time until which that holds)
_remembered: dict[str, tuple[OpenedKey | None, float]] = {}
_UNREMEMBERED: tuple[OpenedKey | None, float] = (None, 0.0)


@dataclass
class _Looking:
    """When this process looks again, what it saw the last time, and how often it has forgotten what it remembered."""

    next_s: float = 0.0
    seen: tuple[int, int | None] | None = None
    forgotten: int = 0


_looking = _Looking()


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


def find_key(presented: str, address: str) -> OpenedKey | None:
    """Return what this key opens, None when that is nothing. Of `user:key` either part may be the key.

    May ask the database; call it from a thread that may wait. Raises django.db.Error when the database is away, and
    TooManyGuesses when the client's `address` has tried too many passwords.
    """
    if time.monotonic() >= _looking.next_s:
        _look_for_changes()
    for key in _candidates(presented):
        opened = _find(key, address)
        if opened is not None:
            return _note_use(opened)
    return None


async def find_key_async(presented: str, address: str) -> OpenedKey | None:
    """As find_key, for the event loop: leaves it only when the answer is not remembered, or it is time to look for changes."""
    if any(map(_is_password, _candidates(presented))):
        check_address(address)
    digests = [_digest(key) for key in _candidates(presented)]
    now = time.monotonic()
    if now < _looking.next_s:
        known = [_remembered.get(digest, _UNREMEMBERED) for digest in digests]
        for opened, until in known:
            if opened is not None and until > now:
                return _note_use(opened)
        if all(until > now for _, until in known):
            return None
    return await asyncio.to_thread(_find_and_close, presented, address)


def _note_use(opened: OpenedKey) -> OpenedKey:
    if opened.key_id is not None:
        key_uses.note(opened.key_id)
    return opened


def _find_and_close(presented: str, address: str) -> OpenedKey | None:
    try:
        return find_key(presented, address)
    finally:
        close_old_connections()


def _look_for_changes() -> None:
    """Forget what is remembered if a key was made or revoked since the last look, by whatever process.

    Keys are only ever added and deleted, and no id is used twice: where their number and the newest id are the same, so are they.
    """
    _looking.next_s = time.monotonic() + _LOOK_S  # first, so that requests beside this one do not look as well
    try:
        found = IngestKey.objects.aggregate(number=Count("pk"), newest=Max("pk"))
    except DatabaseError as error:
        log.warning("keys: the database is away, what is remembered holds for %.0f s at most: %s", _KNOWN_S, error)
        return
    seen = found["number"], found["newest"]
    if seen != _looking.seen:
        forget_keys()
        _looking.seen = seen


def recall_key(presented: str | None) -> tuple[int | None, str]:
    """Return project and name of a key that was looked up before; of an unknown one None and the start of its SHA-256.

    (None, "") for no key. Never the key itself; `printf %s KEY | sha256sum` finds out which one it was.
    """
    if not presented:
        return None, ""
    digests = [_digest(key) for key in _candidates(presented)]
    for opened, _ in (_remembered.get(digest, _UNREMEMBERED) for digest in digests):
        if opened is not None:
            return opened.project_id, opened.name
    if _is_password(presented):
        return None, "admin, wrong password"
    return None, f"unknown, sha256 {digests[1 if len(digests) > 1 else 0][:8]}"


def describe_unknown(presented: str) -> str:
    """Return the sentence for who presented a key that opens nothing."""
    return "The password of the user admin is wrong." if _is_password(presented) else "This key is not known."


def forget_keys() -> None:
    """Drop what is remembered, so that a change of keys counts at once in this process."""
    _looking.forgotten += 1
    _remembered.clear()


def make_key(project: Project, name: str, *, by: str) -> tuple[IngestKey, str]:
    """Make a key for a saved project. Return its row and the key itself, the only time that it is known.

    `by` is who makes it, for the list and the log. Raises ValidationError, also where a key of the project has that name:
    requests are counted by it.
    """
    secret = "ts_" + secrets.token_urlsafe(32)
    key = IngestKey(
        project=project,
        name=name,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        prefix=secret[:_PREFIX_CHARACTERS],
        created_by=by[:150],
    )
    key.full_clean()
    if IngestKey.objects.filter(project=project, name=name).exists():
        raise ValidationError({"name": "A key of this project has that name. Choose another, or revoke that one first."})
    key.save()
    forget_keys()  # it may have been tried before
    log.info("keys: %r made the key %r (%s...) of the project %s", by, name, key.prefix, project.slug)
    return key, secret


def revoke_keys(keys: QuerySet[IngestKey], *, by: str) -> int:
    """Delete these keys and return how many there were: all processes refuse them within a second, this one from now on."""
    revoked = 0
    for key in keys.select_related("project"):
        deleted, _ = key.delete()
        if deleted:
            revoked += 1
            log.info("keys: %r revoked the key %r (%s...) of the project %s", by, key.name, key.prefix, key.project.slug)
    forget_keys()
    return revoked


def _candidates(presented: str) -> list[str]:
    user, colon, password = presented.partition(":")
    return [part for part in (presented, password, user) if part] if colon else [presented]


def _is_password(key: str) -> bool:
    """Whether this tries the admin password. Keys are random and need no protection from guessing."""
    return bool(settings.ADMIN_PASSWORD) and key.startswith("admin:")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _find(key: str, address: str) -> OpenedKey | None:
    if _is_password(key):
        check_address(address)  # first of all: what is remembered must not tell a guesser that he is right
    digest = _digest(key)
    opened, until = _remembered.get(digest, _UNREMEMBERED)
    if until > time.monotonic():
        return opened
    if _is_password(key):
        spend_try(address)
    # Basic admin:password opens the same doors as the login page, so that a password alone is enough to start with.
    masters = {"TRACESTORE_API_KEY": settings.API_KEY}
    if settings.ADMIN_PASSWORD:
        masters["admin"] = f"admin:{settings.ADMIN_PASSWORD}"
    forgotten = _looking.forgotten
    names = [name for name, master in masters.items() if master and hmac.compare_digest(digest, _digest(master))]
    if names:
        opened = OpenedKey(DEFAULT_PROJECT_ID, DEFAULT_PROJECT_SLUG, names[0], None)
        if _is_password(key):
            refund_try(address)
    else:
        found = IngestKey.objects.filter(sha256=digest).values_list("project_id", "project__slug", "name", "pk").first()
        opened = OpenedKey(*found) if found else None
    if forgotten != _looking.forgotten:
        return opened  # a key was revoked meanwhile, perhaps this one: the next request asks again
    if len(_remembered) >= _MAX_REMEMBERED:
        _remembered.clear()  # someone is guessing: what is forgotten costs one query each
    # An exporter that repeats a password from before the last start is wrong, but it does not guess.
    unknown_s = WINDOW_S if _is_password(key) else _UNKNOWN_S
    _remembered[digest] = (opened, time.monotonic() + (unknown_s if opened is None else _KNOWN_S))
    return opened
