"""How alerting has done: the page."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from alerts.past.history import find_history
from tracestore.web.requests import PageRequest

RANGES = (7, 30, 90)


@require_GET
def history(request: PageRequest) -> HttpResponse:
    """`?days=` is one of RANGES, 30 by default."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, RANGES) else 30
    now = timezone.now()
    context = {
        "history": find_history(request.project.pk, now - timedelta(days=days), now),
        "days": days,
        "ranges": RANGES,
    }
    return render(request, "alerts/history.html", context)
