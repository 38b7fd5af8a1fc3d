"""Template context of every page: where this instance is, whose project it shows, which part of it is open."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject


def instance(request: HttpRequest) -> dict[str, Any]:
    """Add base_url, project_name (lazy), section (first part of the path) and theme ("" follows the system)."""
    theme = request.COOKIES.get("theme", "")
    return {
        "base_url": settings.BASE_URL,
        "project_name": SimpleLazyObject(lambda: getattr(getattr(request, "project", None), "name", "")),
        "section": request.path.strip("/").partition("/")[0],
        "theme": theme if theme in ("light", "dark") else "",
    }
