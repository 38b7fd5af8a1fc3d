"""What stands in front of every page: how it is sent, what it may load (CSP), who may see it (login, project), a second try
after a lost race.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import resolve_url
from django.urls import set_script_prefix
from django.utils.functional import SimpleLazyObject

from tracestore.keys import DEFAULT_PROJECT_ID
from tracestore.models import Project
from tracestore.prices.stored import load_prices
from tracestore.projects import read_slug

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The API has its own rule (session or key), which /metrics shares, and so has a signed link; probes and the login page have none.
_NO_PRICES = ("/metrics", "/healthz", "/readyz", "/login", "/static/")
_OPEN_PREFIXES = ("/api/", "/metrics", "/healthz", "/readyz", "/login", "/static/", "/alerts/ack/")


class CompressionMiddleware(GZipMiddleware):
    """Compress answers that are whole. Of a stream Django makes each piece a gzip file of its own: curl reads the first."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)


class ContentSecurityPolicyMiddleware:
    """Send the policy with every response; a view that needs another one sets the header itself."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


class AccessMiddleware:
    """Set `request.project` and, where a login is required, send anonymous page requests to it.

    An address that names no project is answered 404, by a page of the default one.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Lazy: static pages and probes need no database.
        request.project = cast(Project, SimpleLazyObject(lambda: Project.objects.get(pk=DEFAULT_PROJECT_ID)))  # type: ignore[attr-defined]
        if settings.LOGIN_REQUIRED and not request.path_info.startswith(_OPEN_PREFIXES) and not request.user.is_authenticated:
            return _send_to_login(request)
        if slug := read_slug(request.META["SCRIPT_NAME"]):
            project = Project.objects.filter(slug=slug).first()
            if project is None:
                set_script_prefix("/")
                raise Http404(f"There is no project {slug}.")
            request.project = project  # type: ignore[attr-defined]
        if not request.path_info.startswith(_NO_PRICES):
            load_prices()
        return self.get_response(request)


class LostRaceMiddleware:
    """Handle a form once more when what it checked, such as that a name is free, was changed by another before it was saved.

    The second time the check sees what the other saved, and the form is shown with its own sentence about it. What failed has
    left nothing behind: a view saves in one transaction. The API answers 409 (dashboards/api/errors.py).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Called by Django with what a view raised. Raises what the second try raises: then it was no race."""
        match = request.resolver_match
        if not isinstance(exception, IntegrityError) or request.method != "POST" or match is None:
            return None
        logger.info("%s lost a race and is handled once more: %s", request.path, exception)
        answer: HttpResponse = match.func(request, *match.args, **match.kwargs)
        return answer


def _send_to_login(request: HttpRequest) -> HttpResponse:
    """Redirect, and come back to the page afterwards; a fragment makes the whole page go, not the fragment."""
    login = resolve_url(settings.LOGIN_URL)
    if request.headers.get("HX-Request") == "true":
        target = redirect_to_login(_path_of(request.headers.get("HX-Current-URL", "/")), login).url
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    # What a form was sent to is no page.
    is_form = request.method == "POST"
    return redirect_to_login(_path_of(request.headers.get("Referer", "/")) if is_form else request.get_full_path(), login)


def _path_of(url: str) -> str:
    """Return path and query, without the host: a login leads back to this instance only."""
    page = urlsplit(url)
    return (page.path or "/") + (f"?{page.query}" if page.query else "")
