"""Which of a project's data may be stored: its masking rules and content switches, as ingest asks for them and pages set them.

Ingest asks for every request, so the answer is remembered for `_KNOWN_S`; the process that changes it forgets it at once.
What cannot be read is not taken for "no rules": the request is refused until it can.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import close_old_connections

from tracestore.models import Privacy, Project
from tracestore.privacy.masking import Masker, build_masker

_KNOWN_S = 5.0  # a change made in another process counts this much later
_MAX_REMEMBERED = 4096


@dataclass(frozen=True)
class Policy:
    """What is done to a project's data before it is stored."""

    masker: Masker
    stores_content: bool
    stores_error_texts: bool


# project id -> (what it wants, None for nothing; monotonic time until which that holds)
_remembered: dict[int, tuple[Policy | None, float]] = {}
_UNREMEMBERED: tuple[Policy | None, float] = (None, 0.0)


async def find_policy_async(project_id: int) -> Policy | None:
    """Return the policy of a project, None when it stores everything as it comes. Raises django.db.Error, or BadRule."""
    policy, until = _remembered.get(project_id, _UNREMEMBERED)
    if until > time.monotonic():
        return policy
    return await asyncio.to_thread(_find_and_close, project_id)


def _find_and_close(project_id: int) -> Policy | None:
    try:
        return find_policy(project_id)
    finally:
        close_old_connections()


def find_policy(project_id: int) -> Policy | None:
    """As find_policy_async, from the database. Compiling is spared while nothing has changed."""
    asked_at_s = time.monotonic()
    row = Privacy.objects.filter(project_id=project_id).first()
    policy = None if row is None else _reuse(build_policy(row), _remembered.get(project_id, _UNREMEMBERED)[0])
    if len(_remembered) >= _MAX_REMEMBERED:
        _remembered.clear()
    _remembered[project_id] = (policy, asked_at_s + _KNOWN_S)
    return policy


def _reuse(policy: Policy | None, known: Policy | None) -> Policy | None:
    return known if policy == known else policy


def build_policy(row: Privacy) -> Policy | None:
    """Return what a row asks for, None when that is nothing. Raises BadRule."""
    masker = build_masker(
        row.presets,
        [(rule["name"], rule["pattern"]) for rule in row.rules],
        hash_key=row.hash_key.encode() if row.links_equal_values else b"",
    )
    if not masker.rules and row.stores_content and row.stores_error_texts:
        return None
    return Policy(masker, row.stores_content, row.stores_error_texts)


def get_privacy(project: Project) -> Privacy:
    """Return the project's settings; unsaved defaults when it has none yet."""
    return Privacy.objects.filter(project=project).first() or Privacy(project=project, hash_key=secrets.token_hex(32))


def save_privacy(row: Privacy) -> None:
    """Check and save; it counts at once in this process, within `_KNOWN_S` in others. Raises BadRule."""
    build_policy(row)
    row.save()
    forget_policies([row.project_id])


def forget_policies(project_ids: Iterable[int] | None = None) -> None:
    """Drop what is remembered, so that a change counts at once in this process."""
    for project_id in list(_remembered) if project_ids is None else project_ids:
        _remembered.pop(project_id, None)
