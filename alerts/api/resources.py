"""What the API's views of alerting share: lists page by page, and one object of the request's project."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Manager, Model, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tracestore.queries.paging import read_cursor
from tracestore.web.rest import next_page_url, project_of, refuse_unknown

DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
PAGING = [
    OpenApiParameter("limit", int, description=f"How many at most, 1 to {MAX_LIMIT}."),
    OpenApiParameter("cursor", str, description="Continues a list: that of `next` of the page before, or all of `next`."),
]


def _read_whole_number(name: str, text: str, default: int, low: int, high: int) -> int:
    text = text or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise serializers.ValidationError({name: [f"must be a whole number from {low} to {high}, not {text[:40]!r}."]})
    return int(text)


def answer_page(
    request: Request, items: QuerySet[Any], output: type[serializers.ModelSerializer[Any]], *filters: str
) -> Response:
    """The cursor is the number of items before: rules and alerts are few, and an item that moves does no harm."""
    given = request.query_params
    refuse_unknown(given, ("limit", "cursor", *filters))
    limit = _read_whole_number("limit", given.get("limit", ""), DEFAULT_LIMIT, 1, MAX_LIMIT)
    first = _read_whole_number("cursor", read_cursor(given.get("cursor", "")), 0, 0, 10**8)
    found = list(items[first : first + limit + 1])
    following = next_page_url(request, cursor=str(first + limit)) if len(found) > limit else None
    return Response({"results": output(found[:limit], many=True).data, "next": following})


_Kind = TypeVar("_Kind", bound=Model)


def get_of_project(found: QuerySet[_Kind] | Manager[_Kind], noun: str, request: Request, pk: int) -> _Kind:
    """Return the one with this id, if it is of the request's project. Raises Http404, which says the noun."""
    one = found.filter(project=project_of(request), pk=pk).first()
    if one is None:
        raise Http404(f"There is no {noun} {pk}.")
    return one
