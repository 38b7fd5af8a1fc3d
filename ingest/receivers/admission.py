"""Who sends, for which project, and what of it must not be stored: known before a byte of a body is read."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import Error as DatabaseError

from ingest.receivers.refusing import Refused
from ingest.service import Ingest, get_running_ingest
from tracestore.keys import DEFAULT_PROJECT_ID, describe_unknown, extract_key, find_key_async
from tracestore.privacy.masking import BadRule
from tracestore.privacy.policy import Policy, find_policy_async
from tracestore.projects import describe_other_project, find_project_id_async
from tracestore.web.guessing import TooManyGuesses

log = logging.getLogger(__name__)

_TOLD_EVERY_S = 10.0
# What could not be read -> monotonic time until which that is not told again
_silent_until: dict[str, float] = {}


@dataclass(frozen=True)
class Admitted:
    """Who stores a request, and whose it is. `ingest_key` names its key, "" when none was needed and none came.

    `policy` says what must not be stored of it, None for nothing.
    """

    ingest: Ingest
    project_id: int
    ingest_key: str
    policy: Policy | None


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


async def _authenticate(headers: dict[str, str], address: str, slug: str) -> tuple[int, str]:
    """Return the project and the name of the presented key. Without a demand for keys an unknown one is as good as none.

    The project is that of the key, which the path may name too. Without a key it is that of the path, or the default one.
    """
    key = extract_key(headers)
    try:
        opened = await find_key_async(key, address) if key is not None else None
    except DatabaseError as error:
        _tell_unreadable("the database with the keys", error)
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
    except DatabaseError as error:
        _tell_unreadable("the database with the projects", error)
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
    except (DatabaseError, BadRule) as error:
        _tell_unreadable(f"the privacy rules of project {project_id}", error)
        raise Refused(503, "The server cannot read the project's privacy rules now.") from None


def _tell_unreadable(what: str, error: Exception) -> None:
    """Log it now and then: while the database is away every request is refused, and exporters send them again."""
    now = time.monotonic()
    if now >= _silent_until.get(what, 0.0):
        _silent_until[what] = now + _TOLD_EVERY_S
        log.error("otlp: %s cannot be read: %s", what, " ".join(str(error).split()))
