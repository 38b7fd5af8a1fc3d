"""Where a new route stands, and its steps."""

from __future__ import annotations

from django.db.models import Max

from alerts.models import NotificationChannel, Route, RouteStep
from tracestore.models import Project


def next_position(project: Project) -> int:
    last: int | None = Route.objects.filter(project=project).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def save_steps(route: Route, steps: list[tuple[int, list[NotificationChannel]]]) -> None:
    """Replace a route's steps by those that have channels."""
    route.steps.all().delete()
    for after_s, channels in steps:
        if channels:
            RouteStep.objects.create(route=route, after_s=after_s).channels.set(channels)
