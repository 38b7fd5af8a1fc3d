"""Every error of the REST API as JSON: {"error": {"parameter": ..., "message": ..., "suggestion": ...}}."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response
from rest_framework.views import set_rollback

from tracestore.clickhouse.errors import QueryTooExpensive, StoreError, StoreUnavailable, TraceNotFound
from tracestore.language import QueryError
from tracestore.queries.metrics.definitions import MetricError
from tracestore.queries.paging import CursorError

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 5


class ParameterError(ValueError):
    """A parameter of the request that cannot be used. `suggestion` is a text to use in its place, or ""."""

    def __init__(self, parameter: str, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.parameter, self.message, self.suggestion = parameter, message, suggestion


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """Answer any exception of an API view; settings name this function as DRF's EXCEPTION_HANDLER."""
    set_rollback()
    match error:
        case ParameterError() | MetricError():
            return error_response(400, error.message, error.parameter, error.suggestion)
        case QueryError():
            parameter = getattr(context["view"], "query_parameter", "q")
            return error_response(400, error.message, parameter, error.suggestion, position=error.position, length=error.length)
        case CursorError():
            return error_response(400, "The cursor is not one that this list gave out.", "cursor")
        case QueryTooExpensive():
            return error_response(400, str(error))
        case TraceNotFound():
            return error_response(404, str(error))
        case StoreUnavailable():
            return error_response(503, f"The store cannot answer now: {error}", headers={"Retry-After": str(RETRY_AFTER_S)})
        case IntegrityError() if context["request"].method not in SAFE_METHODS:
            # Each view looks first; between its look and its write another request was quicker.
            return error_response(
                409, "Another request saved the same at this moment. Look at what is there now, then send again."
            )
        case Http404():
            return error_response(404, str(error) or "There is nothing at this address.")
        case RequestDataTooBig():
            return error_response(413, "The body of this request is too large.")
        case RecursionError() if context["request"].method != "GET":
            return error_response(400, "The JSON of this request nests too deeply.")
        case PermissionDenied():
            return error_response(403, str(error) or "This is not allowed.")
        case exceptions.APIException():
            return _from_framework(error)
        case StoreError():
            logger.error("the store refused a query of %s: %s", context["request"].path, error)
            return error_response(500, "The store refused this query; the server's log says why.")
    logger.exception("unexpected error at %s", context["request"].path, exc_info=error)
    return error_response(500, "Something went wrong on the server; its log says what.")


def error_response(
    status_code: int,
    message: str,
    parameter: str | None = None,
    suggestion: str | None = None,
    *,
    headers: dict[str, str] | None = None,
    **more: int,
) -> Response:
    """Build the body that every error has. `more` adds members, such as where in a query text the error is."""
    body = {"parameter": parameter, "message": message, "suggestion": suggestion or None, **more}
    return Response({"error": body}, status=status_code, headers=headers)


def _from_framework(error: exceptions.APIException) -> Response:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    parameter, message = _first_detail(error.detail)
    return error_response(error.status_code, message, parameter, headers=headers)


def _first_detail(detail: Any, path: tuple[str, ...] = ()) -> tuple[str | None, str]:
    """Return (dotted path of the offending field, message) of the first problem in DRF's nested detail."""
    if isinstance(detail, dict) and detail:
        name, inner = next(iter(detail.items()))
        return _first_detail(inner, path if name == "non_field_errors" else (*path, str(name)))
    if isinstance(detail, list) and detail:
        index, inner = next((pair for pair in enumerate(detail) if pair[1]), (0, detail[0]))
        return _first_detail(inner, (*path, str(index)) if isinstance(inner, dict) else path)
    return ".".join(path) or None, str(detail)
