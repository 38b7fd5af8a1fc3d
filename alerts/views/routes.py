"""Routes and grouping: list in order, editor, moving, deleting."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.forms.routes import GroupingForm, RouteForm
from alerts.models import NotificationChannel, Route
from alerts.on_call.incidents import find_grouping
from alerts.views.editing import answer_editor, delete_one, find_or_new
from tracestore.web.requests import PageRequest


@require_GET
def route_list(request: PageRequest) -> HttpResponse:
    return _render_list(request, None)


@require_POST
def grouping_edit(request: PageRequest) -> HttpResponse:
    form = GroupingForm(request.POST)
    if form.is_valid():
        form.save(request.project)
        return redirect("route-list")
    return _render_list(request, form)


def _render_list(request: PageRequest, form: GroupingForm | None) -> HttpResponse:
    grouping = find_grouping(request.project.pk)
    initial = {"names": " ".join(grouping.names), "window_s": grouping.window_s, "wait_s": grouping.wait_s}
    routes = Route.objects.filter(project=request.project).prefetch_related("steps__channels")
    context = {
        "routes": routes,
        "form": form or GroupingForm(initial=initial),
        "grouping": grouping,
        "channel_count": NotificationChannel.objects.filter(project=request.project).count(),
    }
    return render(request, "alerts/route_list.html", context, status=422 if form else 200)


@require_http_methods(["GET", "POST"])
def route_edit(request: PageRequest, route_id: int | None = None) -> HttpResponse:
    route = find_or_new(request, Route, route_id)
    form = RouteForm(request.POST or None, route=route)
    context = {
        "route": route if route.pk else None,
        "channel_count": NotificationChannel.objects.filter(project=request.project).count(),
    }
    return answer_editor(request, form, form.save, "alerts/route_edit.html", context, "route-list")


@require_POST
def route_move(request: PageRequest, route_id: int) -> HttpResponse:
    """Put a route before the one above it (`up`) or after the one below it."""
    with transaction.atomic():
        routes = list(Route.objects.select_for_update().filter(project=request.project))
        index = next((at for at, route in enumerate(routes) if route.pk == route_id), None)
        if index is not None:
            other = index + (-1 if request.POST.get("to") == "up" else 1)
            if 0 <= other < len(routes):
                routes[index], routes[other] = routes[other], routes[index]
        for position, route in enumerate(routes):
            Route.objects.filter(pk=route.pk).update(position=position)
    return redirect("route-list")


@require_POST
def route_delete(request: PageRequest, route_id: int) -> HttpResponse:
    return delete_one(request, Route, route_id, "route-list")
