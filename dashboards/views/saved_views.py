"""Saved views: the menu of the trace list, the page where they are renamed and deleted, and what the palette offers of them."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboards.forms import describe_range
from dashboards.saved_views import ViewRefused, change_view, find_own_views, find_views, save_view
from tracestore.fragments import fragment_of
from tracestore.models import SavedView
from tracestore.requests import PageRequest

# A menu, or a palette, of more would not be read.
_MOST_OFFERED = 300


@require_http_methods(["GET", "POST"])
def saved_views(request: PageRequest) -> HttpResponse:
    """The page; a POST keeps the search in `querystring` under `name` and leads back to it."""
    if request.method == "GET":
        return _render_page(request)
    try:
        view = save_view(
            request.project, request.user, request.POST.get("name", ""), request.POST.get("querystring", ""),
            is_shared="shared" in request.POST,
        )  # fmt: skip
    except ViewRefused as refused:
        return _render_page(request, str(refused))
    return redirect(_address(view))


@fragment_of("saved-views")
@require_GET
def saved_view_menu(request: PageRequest) -> HttpResponse:
    """The links of the menu."""
    return render(request, "dashboards/_saved_view_links.html", {"views": _list(request)})


@require_GET
def saved_view_json(request: PageRequest) -> JsonResponse:
    """{"views": [{"name", "href"}]} for the palette."""
    return JsonResponse({"views": [{"name": row.view.name, "href": row.href} for row in _list(request)]})


@require_POST
def saved_view_change(request: PageRequest, view_id: int) -> HttpResponse:
    """Rename, share or unshare one of the reader's own."""
    view = get_object_or_404(find_own_views(request.project, request.user), pk=view_id)
    try:
        change_view(view, request.POST.get("name", ""), is_shared="shared" in request.POST)
    except ViewRefused as refused:
        return _render_page(request, str(refused))
    return redirect("saved-views")


@require_POST
def saved_view_delete(request: PageRequest, view_id: int) -> HttpResponse:
    """Delete one of the reader's own."""
    get_object_or_404(find_own_views(request.project, request.user), pk=view_id).delete()
    return redirect("saved-views")


def _render_page(request: PageRequest, problem: str = "") -> HttpResponse:
    context = {"views": _list(request), "problem": problem}
    return render(request, "dashboards/saved_views.html", context, status=422 if problem else 200)


@dataclass(frozen=True)
class _Row:
    """A view with its address, the text of its query and its time range in words; `is_own` when the reader may change it."""

    view: SavedView
    href: str
    query: str
    range_label: str
    is_own: bool


def _list(request: PageRequest) -> list[_Row]:
    own = set(find_own_views(request.project, request.user).values_list("pk", flat=True))
    views = find_views(request.project, request.user)[:_MOST_OFFERED]
    return [_read_row(view, is_own=view.pk in own) for view in views]


def _read_row(view: SavedView, *, is_own: bool) -> _Row:
    params = QueryDict(view.querystring).dict()
    return _Row(view, _address(view), str(params.get("q", "")), describe_range(params), is_own)


def _address(view: SavedView) -> str:
    return reverse("trace-list") + (f"?{view.querystring}" if view.querystring else "")
