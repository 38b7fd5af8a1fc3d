"""Saved views: the menu of the trace list, the page where they are renamed and deleted, and what the palette offers of them."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboards.search.query_string import describe_range
from dashboards.trace_list.saved_views import (
    NameTaken,
    ViewRefused,
    change_view,
    clean_querystring,
    find_own_views,
    find_problems,
    find_views,
    save_view,
)
from tracestore.models import SavedView
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# A menu, or a palette, of more would not be read.
_MOST_OFFERED = 300
_GONE = "This view is not there any more, or not yours: somebody deleted it or no longer shares it. Nothing was changed."


@require_http_methods(["GET", "POST"])
def saved_views(request: PageRequest) -> HttpResponse:
    """The page; a POST keeps the search in `querystring` under `name` and leads back to it.

    Where a view of that name shows something else the page asks first, and sends the same with `replace`.
    """
    if request.method == "GET":
        return _render_page(request)
    try:
        view = save_view(
            request.project, request.user, request.POST.get("name", ""), request.POST.get("querystring", ""),
            is_shared="shared" in request.POST, replaces="replace" in request.POST,
        )  # fmt: skip
    except NameTaken as taken:
        return _render_page(request, twin=_read_row(taken.view, is_own=True), asked=request.POST)
    except ViewRefused as refused:
        return _render_page(request, str(refused))
    return redirect(_address(view))


@fragment_of("saved-views")
@require_GET
def saved_view_menu(request: PageRequest) -> HttpResponse:
    """The links of the menu; the one whose search is in the query string of this request is marked."""
    try:
        opened = clean_querystring(request.GET.urlencode())
    except ViewRefused:
        opened = ""
    return render(request, "dashboards/_saved_view_links.html", {"views": _list(request), "opened": opened})


@require_GET
def saved_view_json(request: PageRequest) -> JsonResponse:
    """{"views": [{"name", "href", "by"}]} for the palette; `by` is who shares it, "" for the reader's own."""
    views = find_views(request.project, request.user)[:_MOST_OFFERED]
    offered = [{"name": view.name, "href": _address(view), "by": _sharer(request, view)} for view in views]
    return JsonResponse({"views": offered})


def _sharer(request: PageRequest, view: SavedView) -> str:
    return "" if view.owner is None or view.owner == request.user else view.owner.get_username()


@require_POST
def saved_view_change(request: PageRequest, view_id: int) -> HttpResponse:
    """Rename, share or unshare one of the reader's own."""
    view = find_own_views(request.project, request.user).filter(pk=view_id).first()
    if view is None:
        return _render_page(request, _GONE, status=404)
    try:
        change_view(
            view, request.POST.get("name", ""), is_shared="shared" in request.POST, seen_name=request.POST.get("seen", view.name)
        )
    except ViewRefused as refused:
        return _render_page(request, str(refused))
    return redirect("saved-views")


@require_POST
def saved_view_delete(request: PageRequest, view_id: int) -> HttpResponse:
    """Delete one of the reader's own."""
    deleted, _ = find_own_views(request.project, request.user).filter(pk=view_id).delete()
    return redirect("saved-views") if deleted else _render_page(request, _GONE, status=404)


def _render_page(
    request: PageRequest, problem: str = "", *, status: int = 422, twin: _Row | None = None, asked: QueryDict | None = None
) -> HttpResponse:
    """`twin` is the view that stands in the way of what was `asked` for."""
    context = {"views": _list(request), "problem": problem, "twin": twin, "asked": asked}
    return render(request, "dashboards/saved_views.html", context, status=status if problem or twin else 200)


@dataclass(frozen=True)
class _Row:
    """A view with its address, the text of its query and its time range in words; `is_own` when the reader may change it.

    `problems` are sentences about what of it is not understood any more.
    """

    view: SavedView
    href: str
    query: str
    range_label: str
    is_own: bool
    problems: list[str]


def _list(request: PageRequest) -> list[_Row]:
    own = set(find_own_views(request.project, request.user).values_list("pk", flat=True))
    views = find_views(request.project, request.user)[:_MOST_OFFERED]
    return [_read_row(view, is_own=view.pk in own) for view in views]


def _read_row(view: SavedView, *, is_own: bool) -> _Row:
    params = QueryDict(view.querystring).dict()
    return _Row(view, _address(view), str(params.get("q", "")), describe_range(params), is_own, find_problems(view))


def _address(view: SavedView) -> str:
    return reverse("trace-list") + (f"?{view.querystring}" if view.querystring else "")
