"""Where a project is in the UI: the default one at the root, every other below `/p/SLUG`, where all pages are again.

The part before a page's own path is Django's script name (WSGI's SCRIPT_NAME, ASGI's root_path), so `reverse` and `{% url %}`
stay within the project that a request is about.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.urls import get_script_prefix

from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.models import Project

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


def address_of(project: Project) -> str:
    """Return the address below which people reach the pages of this project."""
    return f"{settings.BASE_URL}{root_of(project)}"


def here(path: str) -> str:
    """Return the path of a page in the project that the present request is about."""
    return get_script_prefix().rstrip("/") + path
