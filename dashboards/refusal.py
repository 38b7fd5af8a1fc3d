"""The answer 400: a page with a next step to a person, one sentence to a script of a page."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from dashboards.requests import PageRequest


def refuse(request: PageRequest, message: str, parameter: str) -> HttpResponse:
    """Say in one sentence what is wrong with `parameter` of the address; the page links to the address without it."""
    if request.htmx:
        return HttpResponse(message, content_type="text/plain; charset=utf-8", status=400)
    kept = request.GET.copy()
    kept.pop(parameter, None)
    href = request.path + (f"?{kept.urlencode()}" if kept else "")
    return render(request, "dashboards/refused.html", {"message": message, "parameter": parameter, "href": href}, status=400)
