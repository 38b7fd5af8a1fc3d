"""What the middleware adds to a request, for type checkers."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from tracestore.models import Project


class PageRequest(HttpRequest):
    """A request that has passed AccessMiddleware and HtmxMiddleware."""

    project: Project
    htmx: HtmxDetails
