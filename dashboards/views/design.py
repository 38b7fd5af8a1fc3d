"""The design system on one page: tokens and components as every page has them."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.design import read_tokens
from tracestore.language.fields import KINDS
from tracestore.web.requests import PageRequest


@require_GET
def design(request: PageRequest) -> HttpResponse:
    """Tokens from the style sheet itself, components with the classes that pages use."""
    return render(request, "dashboards/design.html", {"tokens": read_tokens(), "kinds": KINDS})
