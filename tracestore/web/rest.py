"""What the REST API's views share, whichever package they are of: the project, refusals, and the shape of lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.request import Request

from tracestore.models import Project
from tracestore.web.requests import PageRequest


def project_of(request: Request) -> Project:
    """Return the project of the key or the session, as dashboards/api/authentication.py has set it."""
    return cast(PageRequest, request._request).project


def refuse_unknown(given: Iterable[Any], known: Collection[str]) -> None:
    """Raise ValidationError for a name that is not known: one that is ignored looks as if it had been obeyed."""
    for name in given:
        if name not in known:
            shown = str(name)[:40]
            offered = f"; there are {', '.join(known)}" if known else ""
            raise serializers.ValidationError({shown: [f"There is no {shown!r} here{offered}."]})


def require_room(kept: QuerySet[Any], most: int, noun: str) -> None:
    """Raise ValidationError when a project keeps so many: each costs work again and again, and a script is quick to make more."""
    if kept.count() >= most:
        raise serializers.ValidationError(f"A project has at most {most:,} {noun}. Delete what nobody needs any more.")


def checked(given: serializers.BaseSerializer[Any]) -> Any:
    """Return the values of a serializer that was given data. Raises ValidationError."""
    given.is_valid(raise_exception=True)
    return given.validated_data


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses a misspelt field. Those of `answered`, which only an answer holds, may be sent back as they came."""

    answered: ClassVar[Collection[str]] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            refuse_unknown([name for name in data if name not in self.answered], self.fields)
        return super().to_internal_value(data)


def page_of(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """Return the schema of a list: {"results": [...], "next": the address of the next page, null after the last}."""
    return inline_serializer(name, {"results": item(many=True), "next": serializers.URLField(allow_null=True)})


def next_page_url(request: Request, **changes: str) -> str:
    """Return the address of the same list with these parameters, such as the cursor of what follows."""
    parameters = request.query_params.copy()
    for name, value in changes.items():
        parameters[name] = value
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
