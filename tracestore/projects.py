"""Where a project is: the default one at the root, every other below `/p/SLUG`, where all pages, the API and OTLP are again.

The part before a page's own path is Django's script name (WSGI's SCRIPT_NAME, ASGI's root_path), so `reverse` and `{% url %}`
stay within the project that a request is about.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import close_old_connections
from django.urls import get_script_prefix
from django.utils.text import slugify

from tracestore.keys import DEFAULT_PROJECT_ID, OpenedKey
from tracestore.models import Project

log = logging.getLogger(__name__)

_MAX_DAYS = 36_500
_KNOWN_S = 1.0  # one that is deleted is not found for longer than its keys are
_MAX_REMEMBERED = 4096
# slug -> (project id, monotonic time until which that holds)
_remembered: dict[str, tuple[int, float]] = {}
_ROOT = re.compile(r"/p/([-\w]{1,64})(?=/|\Z)", re.ASCII)


def find_root(path: str) -> str:
    """Return the part of a path that names the project, "" for the default one."""
    found = _ROOT.match(path)
    return found[0] if found else ""


def read_slug(path: str) -> str:
    """Return the slug that a path, or such a part of it, names; "" for none."""
    found = _ROOT.match(f"{path}/")
    return found[1] if found else ""


def root_of(project: Project) -> str:
    """Return the part of a path that names this project."""
    return "" if project.pk == DEFAULT_PROJECT_ID else f"/p/{project.slug}"


def describe_other_project(opened: OpenedKey, slug: str) -> str:
    """Return why a key must not be used at an address of the project `slug`, "" where it may be.

    `slug` "" is an address that names no project: there every key may be used.
    """
    if slug in ("", opened.project_slug):
        return ""
    return (
        f"The key {opened.name!r} is of the project {opened.project_slug}, the address is that of {slug}. Use a key of {slug}, "
        f"or an address without /p/{slug}."
    )


async def find_project_id_async(slug: str) -> int | None:
    """Return the project of a slug, None when there is none. Raises django.db.Error."""
    project_id, until = _remembered.get(slug, (None, 0.0))
    if project_id is not None and until > time.monotonic():
        return project_id
    return await asyncio.to_thread(_find_and_close, slug)


def _find_and_close(slug: str) -> int | None:
    try:
        project_id = Project.objects.filter(slug=slug).values_list("pk", flat=True).first()
    finally:
        close_old_connections()
    if project_id is not None:
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.clear()
        _remembered[slug] = (project_id, time.monotonic() + _KNOWN_S)
    return project_id


def recall_project_id(slug: str) -> int | None:
    """Return the project of a slug that was looked up before, None of another one."""
    return _remembered.get(slug, (None, 0.0))[0]


def forget_projects() -> None:
    """Drop what is remembered."""
    _remembered.clear()


def make_project(name: str, slug: str, *, by: str) -> Project:
    """Make a project at `/p/SLUG/`; without a slug it is made of the name. Raises ValidationError.

    `by` is who makes it, for the log.
    """
    slug = slug or slugify(name)[:64]
    if not slug or read_slug(f"/p/{slug}") != slug:
        made_of_name = " The name has none of them: choose a slug." if not slug else ""
        raise ValidationError({"slug": f"A slug is up to 64 letters (a to z), digits, - and _, without spaces.{made_of_name}"})
    there = Project.objects.filter(slug__iexact=slug).first()
    if there is not None:
        raise ValidationError({"slug": f"The project {there.name!r} is at /p/{there.slug}/ already. Choose another slug."})
    project = Project(name=name, slug=slug)
    project.full_clean()
    project.save()
    log.info("projects: %r made the project %s (%r)", by, project.slug, project.name)
    return project


def rename_project(project: Project, name: str, *, by: str) -> None:
    """Give a project another name; its slug stays, which addresses and senders have. Raises ValidationError."""
    before, project.name = project.name, name
    project.full_clean()
    project.save(update_fields=["name"])
    log.info("projects: %r renamed the project %s: %r was %r", by, project.slug, name, before)


def set_retention_days(project: Project, days: int | None, *, by: str) -> None:
    """Have a project keep so many days of what it has, None as many as the server keeps. Raises ValidationError.

    What is older is deleted at the next look of the job (clickhouse/retention.py). `by` is who sets it, for the log.
    """
    if days is not None and not 1 <= days <= _MAX_DAYS:
        raise ValidationError({"days": f"A project keeps 1 to {_MAX_DAYS:,} days, or without a number what the server keeps."})
    if days is not None and settings.RETENTION_DAYS and days > settings.RETENTION_DAYS:
        said = f"The server keeps {settings.RETENTION_DAYS} days of every project (TRACESTORE_RETENTION_DAYS): choose fewer."
        raise ValidationError({"days": said})
    project.retention_days = days
    project.save(update_fields=["retention_days"])
    log.info("projects: %r has the project %s keep %s", by, project.slug, f"{days} days" if days else "what the server keeps")


def find_retention_days() -> dict[int, int]:
    """Return project id -> days that it keeps, for those that say so. Raises django.db.Error."""
    return {project.pk: project.retention_days for project in Project.objects.all() if project.retention_days}


def address_of(project: Project) -> str:
    """Return the address below which people reach the pages of this project."""
    return f"{settings.BASE_URL}{root_of(project)}"


def in_this_project(path: str) -> str:
    """Return the path of a page in the project that the present request is about."""
    return get_script_prefix().rstrip("/") + path
