"""Answers to what has no view: JSON where a script asked, a page with a next step where a person did."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse
from django.shortcuts import render
from django.template import loader


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _api_error(message: str, status: int) -> JsonResponse:
    """The shape of every error of the API (dashboards/api/errors.py)."""
    return JsonResponse({"error": {"parameter": None, "message": message, "suggestion": None}}, status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    if _is_api(request):
        return _api_error(f"There is nothing at {request.path}.", 404)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500. The page is rendered without a context: whatever broke may be what a context needs."""
    if _is_api(request):
        return _api_error("Something broke on our side; the server's log says what.", 500)
    return HttpResponseServerError(loader.get_template("500.html").render())
