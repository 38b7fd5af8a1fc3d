"""Parameters of the REST API read: queries, time ranges, steps; and pages of lists answered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from dashboards.api.errors import ParameterError
from tracestore.language import Query, QueryError, parse_query
from tracestore.timerange import DAY_NS, TimeError, TimeRange, parse_time_ns
from tracestore.web.rest import checked, next_page_url, refuse_unknown

_STEP = re.compile(r"(\d{1,9})([smhd]?)")
_STEP_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_parameters(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Validate the query string. Raises ParameterError or DRF's ValidationError, both of which name the parameter."""
    serializer = serializer_class(data=request.query_params)
    refuse_unknown(request.query_params, serializer.fields)
    return dict(checked(serializer))


def parse_parameter(parameter: str, text: str) -> Query:
    """Read a query that is not `q`. Raises ParameterError."""
    try:
        return parse_query(text)
    except QueryError as error:
        raise ParameterError(parameter, error.message, error.suggestion) from None


def read_search(given: dict[str, Any], parse: Callable[[str], Query] = parse_query) -> tuple[Query, TimeRange]:
    """Return query and range. Raises QueryError, or ParameterError for a time."""
    now_ns = time.time_ns()
    query = parse(given["q"])
    end_ns = _read_time_ns("end", given["end"], now_ns) if given["end"] else now_ns
    start_ns = _read_time_ns("start", given["start"], now_ns) if given["start"] else max(0, end_ns - DAY_NS)
    try:
        return query, TimeRange(start_ns, end_ns)
    except TimeError:
        raise ParameterError("start", "`start` must lie before `end`.") from None


def read_window(given: dict[str, Any], time_range: TimeRange) -> TimeRange | None:
    """Return the part of the range that `selected_from` and `selected_to` name. Raises ParameterError."""
    first, last = given["selected_from"], given["selected_to"]
    if not first and not last:
        return None
    now_ns = time.time_ns()
    start_ns = _read_time_ns("selected_from", first, now_ns) if first else time_range.start_ns
    end_ns = _read_time_ns("selected_to", last, now_ns) if last else time_range.end_ns
    try:
        return TimeRange(start_ns, end_ns)
    except TimeError:
        raise ParameterError("selected_from", "`selected_from` must lie before `selected_to`.") from None


def _read_time_ns(parameter: str, text: str, now_ns: int) -> int:
    try:
        return parse_time_ns(text, now_ns)
    except TimeError as error:
        raise ParameterError(parameter, f"{error}.") from None


def read_step_s(text: str) -> int:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise ParameterError("step", f"{text!r} is not a step: use seconds, or 30s, 5m, 1h, 1d.")
    return int(match[1]) * _STEP_UNITS_S[match[2]]


def answer_page(request: Request, results: Any, next_cursor: str, time_range: TimeRange | None = None) -> Response:
    """`next` repeats the request, with absolute times where it has any, so that no page shifts while the list is read."""
    times = {"start": str(time_range.start_ns), "end": str(time_range.end_ns)} if time_range else {}
    following = next_page_url(request, cursor=next_cursor, **times) if next_cursor else None
    return Response({"results": results, "next": following})
