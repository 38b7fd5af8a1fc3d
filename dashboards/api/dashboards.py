"""The REST API of dashboards. docs/api.md is its manual."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dashboards.api.dashboard_serializers import DashboardInput, DashboardListSerializer, DashboardSerializer
from dashboards.api.errors import ParameterError
from dashboards.panels.builtin import BUILT_IN
from dashboards.panels.own_dashboards import (
    Board,
    DashboardRefused,
    as_board,
    find_board,
    find_boards,
    find_own_boards,
    save_board,
)
from dashboards.trace_list.saved_views import Reader
from tracestore.models import Dashboard
from tracestore.web.rest import checked, project_of, refuse_unknown


class DashboardListView(APIView):
    """All dashboards, and the place to add one."""

    @extend_schema(
        operation_id="list_dashboards", summary="List dashboards", tags=["dashboards"],
        responses=DashboardListSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Those of every project first, then what is one's own, shared or nobody's, by name."""
        ours = [Board(one.slug, one.name, one.panels, one.help) for one in BUILT_IN.values()]
        stored = [as_board(one, _reader(request)) for one in find_boards(project_of(request), _reader(request))]
        return Response({"results": [_describe(board) for board in (*ours, *stored)], "next": None})

    @extend_schema(
        operation_id="create_dashboard", summary="Create a dashboard", tags=["dashboards"], request=DashboardInput,
        responses={201: DashboardSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """A dashboard made with a key, and not by a user who is logged in, is everybody's."""
        stored = _save(request, _read(request))
        return Response(_describe(as_board(stored, _reader(request))), status=status.HTTP_201_CREATED)


class DashboardView(APIView):
    """One dashboard, by its slug."""

    @extend_schema(
        operation_id="get_dashboard", summary="Get a dashboard", tags=["dashboards"],
        responses=DashboardSerializer,
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """One of every project's, or one that is one's own, shared or nobody's."""
        board = find_board(project_of(request), _reader(request), slug)
        if board is None:
            raise Http404(f"There is no dashboard {slug}.")
        return Response(_describe(board))

    @extend_schema(
        operation_id="replace_dashboard", summary="Replace a dashboard", tags=["dashboards"], request=DashboardInput,
        responses=DashboardSerializer,
    )  # fmt: skip
    def put(self, request: Request, slug: str) -> Response:
        """All of it; its address stays when none is given."""
        stored = self._own(request, slug)
        return Response(_describe(as_board(_save(request, _read(request), stored), _reader(request))))

    @extend_schema(
        operation_id="change_dashboard", summary="Change a dashboard", tags=["dashboards"], request=DashboardInput(partial=True),
        responses=DashboardSerializer,
    )  # fmt: skip
    def patch(self, request: Request, slug: str) -> Response:
        """What is given; `panels` are all panels."""
        stored = self._own(request, slug)
        kept = {"name": stored.name, "slug": stored.slug, "panels": stored.panels, "shared": stored.is_shared}
        given = _read(request, partial=True)
        return Response(_describe(as_board(_save(request, kept | given, stored), _reader(request))))

    @extend_schema(operation_id="delete_dashboard", summary="Delete a dashboard", tags=["dashboards"], responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        """For good."""
        self._own(request, slug).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _own(self, request: Request, slug: str) -> Dashboard:
        if slug in BUILT_IN:
            raise ParameterError("slug", f"Every project has {slug}; it cannot be changed. Create a dashboard with its panels.")
        stored = find_own_boards(project_of(request), _reader(request)).filter(slug=slug).first()
        if stored is None:
            raise Http404(f"There is no dashboard {slug} that you may change.")
        return stored


def _reader(request: Request) -> Reader:
    return request.user or AnonymousUser()  # a key is nobody in particular


def _read(request: Request, *, partial: bool = False) -> dict[str, Any]:
    """Return what the body sets. A misspelt field is refused; what only an answer holds is ignored."""
    known = {*DashboardInput().fields, *DashboardSerializer().fields}
    if isinstance(request.data, dict):
        refuse_unknown((name for name in request.data if name not in known), DashboardInput().fields)
    return dict(checked(DashboardInput(data=request.data, partial=partial)))


def _save(request: Request, values: dict[str, Any], stored: Dashboard | None = None) -> Dashboard:
    slug = values["slug"]
    try:
        return save_board(
            project_of(request), _reader(request), name=values["name"], panels=values["panels"], is_shared=values["shared"],
            slug=slug, stored=stored,
        )  # fmt: skip
    except DashboardRefused as refused:
        problem = refused.problems[0]
        path = problem.field if problem.panel is None else f"panels.{problem.panel}.{problem.field}"
        raise ParameterError(path, problem.message, problem.suggestion) from None


def _describe(board: Board) -> Any:
    stored = board.stored
    return DashboardSerializer(
        {
            "slug": board.slug,
            "name": board.name,
            "panels": [panel.to_json() for panel in board.panels],
            "shared": stored.is_shared if stored else True,
            "built_in": stored is None,
            "owner": stored.owner.get_username() if stored and stored.owner else "",
            "url": reverse("dashboard", args=[board.slug]),
            "updated_at": stored.updated_at if stored else None,
        }
    ).data
