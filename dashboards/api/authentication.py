"""Who may use the REST API: a logged-in session or a key, each only where the settings demand one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied, Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from tracestore.keys import describe_unknown, extract_key, find_key
from tracestore.models import Project
from tracestore.projects import describe_other_project, read_slug
from tracestore.web.guessing import WINDOW_S, TooManyGuesses


class SessionOrKeyAuthentication(SessionAuthentication):
    """Sets `request.project` to the project of the key or of the session.

    An address that names a project takes no key of another one.

    Without login and key in the settings (loopback only) everyone is let in; a key that is sent all the same still chooses
    its project, and what a page of another site sends changes nothing. A request that changes something with a session's cookie
    needs the CSRF token too.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        """Let the request in or raise: this is the only gate."""
        key = extract_key({name.lower(): value for name, value in request.headers.items()})
        try:
            opened = find_key(key, request.META.get("REMOTE_ADDR", "")) if key else None
        except TooManyGuesses as error:
            raise Throttled(WINDOW_S, str(error)) from None
        if opened is not None:
            if problem := describe_other_project(opened, read_slug(request.META["SCRIPT_NAME"])):
                raise PermissionDenied(problem)
            request._request.project = SimpleLazyObject(lambda: Project.objects.get(pk=opened.project_id))  # type: ignore[attr-defined]
            return None, key
        user = getattr(request._request, "user", None)
        if user is not None and user.is_authenticated:
            self.enforce_csrf(request)
            return user, None
        if not settings.KEY_REQUIRED and not settings.LOGIN_REQUIRED:
            _refuse_other_sites(request)
            return None, None
        if key:
            raise AuthenticationFailed(describe_unknown(key))
        raise NotAuthenticated("Log in, or send a key: as `Authorization: Bearer KEY`, as `x-api-key: KEY`, or with Basic.")

    def authenticate_header(self, request: Request) -> str:
        """Say how to authenticate; without this DRF answers 403 in place of 401."""
        return 'Bearer realm="tracestore"'


def _refuse_other_sites(request: Request) -> None:
    """Raise PermissionDenied when a page of another site, open in a browser of this machine, wants to change something.

    A browser sends a form, or a POST without a body, to any address, and names in `Origin` the page that it is from.
    """
    origin = request.headers.get("Origin")
    if request.method in SAFE_METHODS or origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return
    if origin.partition("://")[2] != request.get_host():
        raise PermissionDenied("A page of another site may change nothing here.")


class SessionOrKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The same in OpenAPI."""

    target_class = "dashboards.api.authentication.SessionOrKeyAuthentication"
    name = ["bearer", "apiKey", "basic", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "apiKey", "in": "header", "name": "x-api-key"},
            {"type": "http", "scheme": "basic"},
            {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        """Any one of them, or none where the settings demand none."""
        requirements: list[dict[str, list[str]]] = [{name: []} for name in self.name]
        return [*requirements, {}]
