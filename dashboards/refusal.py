"""The answer 400: a page with a next step to a person, one sentence to a script of a page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError
from tracestore.web.requests import PageRequest


def refuse(request: PageRequest, message: str, parameter: str) -> HttpResponse:
    """Say in one sentence what is wrong with `parameter` of the address; the page links to the address without it."""
    if request.htmx:
        return HttpResponse(message, content_type="text/plain; charset=utf-8", status=400)
    kept = request.GET.copy()
    kept.pop(parameter, None)
    href = request.path + (f"?{kept.urlencode()}" if kept else "")
    return render(request, "dashboards/refused.html", {"message": message, "parameter": parameter, "href": href}, status=400)


def render_failed(request: PageRequest, error: Exception, status: int = 200) -> HttpResponse:
    """Say in the place of a fragment why it cannot be computed; what the store refused can be asked for again.

    htmx shows answers of 200 alone; in the place of another the page says that it could not be loaded.
    """
    context = {"message": str(error), "may_try_again": isinstance(error, StoreError)}
    return render(request, "dashboards/_fragment_error.html", context, status=status)


class WrongMethodMiddleware:
    """Where a form is sent to there is no page to open; an address that was copied or reloaded says so instead of being empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or request.path_info.startswith("/api/"):
            return response
        page = render(request, "405.html", status=405)
        page.headers["Allow"] = response.headers["Allow"]
        return page


class ExtendedQueryMiddleware:
    """Pages add conditions of their own to a query that was checked: what is then longer than a query can be is refused here.

    The condition may also come from a path, such as the id of a session. The API answers for itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: PageRequest, exception: Exception) -> HttpResponse | None:
        """Called by Django with what a view raised."""
        if not isinstance(exception, QueryError) or request.path_info.startswith("/api/"):
            return None
        return refuse(request, f"This page adds a condition to the query, and with it the query cannot be run. {exception}", "q")
