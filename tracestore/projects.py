"""Where a project is in the UI: the default one at the root, every other below `/p/SLUG`, where all pages are again.

The part before a page's own path is Django's script name (WSGI's SCRIPT_NAME, ASGI's root_path), so `reverse` and `{% url %}`
stay within the project that a request is about.
"""

from __future__ import annotations

import logging
import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import get_script_prefix
from django.utils.text import slugify

from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.models import Project

log = logging.getLogger(__name__)

_ROOT = re.compile(r"/p/([-\w]{1,64})(?=/)", re.ASCII)


def find_root(path: str) -> str:
    """Return the part of a path that names the project, "" for the default one."""
    found = _ROOT.match(path)
    return found[0] if found else ""


def read_slug(root: str) -> str:
    """Return the slug that such a part names, "" for none."""
    found = _ROOT.match(f"{root}/")
    return found[1] if found else ""


def root_of(project: Project) -> str:
    """Return the part of a path that names this project."""
    return "" if project.pk == DEFAULT_PROJECT_ID else f"/p/{project.slug}"


def make_project(name: str, slug: str, *, by: str) -> Project:
    """Make a project at `/p/SLUG/`; without a slug it is made of the name. Raises ValidationError.

    `by` is who makes it, for the log.
    """
    slug = slug or slugify(name)[:64]
    if not read_slug(f"/p/{slug}"):
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


def address_of(project: Project) -> str:
    """Return the address below which people reach the pages of this project."""
    return f"{settings.BASE_URL}{root_of(project)}"


def here(path: str) -> str:
    """Return the path of a page in the project that the present request is about."""
    return get_script_prefix().rstrip("/") + path
