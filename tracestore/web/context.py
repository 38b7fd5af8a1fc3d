"""Template context of every page: where this instance is, whose project it shows, which part of it is open."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from tracestore.models import Project
from tracestore.projects import in_this_project, root_of


def instance(request: HttpRequest) -> dict[str, Any]:
    """Add base_url, project_name, projects (name and address of each; both lazy), root (what stands before the paths of this
    one), section (first part of the path) and theme ("" follows the system).
    """
    theme = request.COOKIES.get("theme", "")
    return {
        "base_url": settings.BASE_URL,
        "project_name": SimpleLazyObject(lambda: getattr(getattr(request, "project", None), "name", "")),
        "projects": SimpleLazyObject(lambda: _list_projects(request)),
        "root": in_this_project(""),
        "section": request.path_info.strip("/").partition("/")[0],
        "theme": theme if theme in ("light", "dark") else "",
    }


def _list_projects(request: HttpRequest) -> list[tuple[str, str]]:
    """Return name and trace list of every project, the default one first; none to who has to log in."""
    if settings.LOGIN_REQUIRED and not request.user.is_authenticated:
        return []
    list_path = reverse("trace-list").removeprefix(in_this_project(""))
    return [(project.name, root_of(project) + list_path) for project in Project.objects.order_by("pk")]
