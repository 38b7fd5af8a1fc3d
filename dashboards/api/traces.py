"""The REST API's reads of traces, spans, log records, errors, metrics and facets. docs/api.md is its manual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dashboards.api.errors import ParameterError
from dashboards.api.parameter_serializers import (
    ErrorParameters,
    FacetParameters,
    LogSearchParameters,
    MetricParameters,
    PageParameters,
    SearchParameters,
)
from dashboards.api.parameters import answer_page, read_parameters, read_search, read_step_s
from dashboards.api.serializers import (
    CompletenessSerializer,
    ErrorResultSerializer,
    ErrorRowSerializer,
    FacetResultSerializer,
    FacetValueSerializer,
    LogPageSerializer,
    LogRecordSerializer,
    MetricResultSerializer,
    MetricSeriesSerializer,
    SpanDetailSerializer,
    SpanPageSerializer,
    SpanSerializer,
    TraceDetailSerializer,
    TracePageSerializer,
    TraceSerializer,
)
from dashboards.error_rows import build_error_row
from dashboards.trends import trend_step_s
from tracestore.clickhouse.client import get_store
from tracestore.completeness import find_completeness
from tracestore.errors import STATES, find_tracked_errors
from tracestore.language import Query, parse_log_query, parse_query
from tracestore.model import Page
from tracestore.queries.facets import FACET_NAMES, count_facet, find_facet_name
from tracestore.queries.logs import find_logs, find_logs_of_trace
from tracestore.queries.metrics.definitions import find_metric
from tracestore.queries.metrics.series import metric_series
from tracestore.queries.paging import read_cursor
from tracestore.queries.spans import find_spans, get_span
from tracestore.queries.traces import find_traces, get_trace
from tracestore.web.rest import project_of, refuse_unknown

_FAILING = OpenApiExample(
    "Failing traces of version v3 that used the tool refund",
    "status:error version:v3 tool:refund",
    parameter_only=("q", "query"),
)


def _answer_search(
    request: Request,
    find: Callable[..., Page[Any]],
    item: type[Serializer[Any]],
    parameters: type[Serializer[Any]] = SearchParameters,
    parse: Callable[[str], Query] = parse_query,
) -> Response:
    """Answer a page of what `find` finds by the query and range of the request."""
    given = read_parameters(parameters, request)
    query, time_range = read_search(given, parse)
    page = find(
        get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, limit=given["limit"],
        cursor=read_cursor(given["cursor"]),
    )  # fmt: skip
    return answer_page(request, item(page.items, many=True).data, page.next_cursor, time_range)


class TraceListView(APIView):
    @extend_schema(
        operation_id="list_traces", summary="Find traces", tags=["traces"], parameters=[SearchParameters],
        examples=[_FAILING], responses=TracePageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Traces that started in the range and match, newest start first."""
        return _answer_search(request, find_traces, TraceSerializer)


class TraceView(APIView):
    @extend_schema(
        operation_id="get_trace", summary="Get one trace with its spans", tags=["traces"],
        responses=TraceDetailSerializer,
    )  # fmt: skip
    def get(self, request: Request, trace_id: str) -> Response:
        """The trace and its spans in start order, without attributes."""
        refuse_unknown(request.query_params, ())
        store, project_id = get_store(), project_of(request).pk
        trace = get_trace(store, project_id=project_id, trace_id=trace_id.lower())
        completeness = find_completeness(store, project_id=project_id, trace=trace)
        return Response(TraceDetailSerializer(trace).data | {"completeness": CompletenessSerializer(completeness).data})


class TraceLogsView(APIView):
    @extend_schema(
        operation_id="list_trace_logs", summary="List the log records of a trace", tags=["traces"], parameters=[PageParameters],
        responses=LogPageSerializer,
    )  # fmt: skip
    def get(self, request: Request, trace_id: str) -> Response:
        """Records that belong to the trace or one of its spans, oldest first. A page of large records ends early."""
        given = read_parameters(PageParameters, request)
        page = find_logs_of_trace(
            get_store(), project_id=project_of(request).pk, trace_id=trace_id.lower(), limit=given["limit"],
            cursor=read_cursor(given["cursor"]),
        )  # fmt: skip
        return answer_page(request, LogRecordSerializer(page.items, many=True).data, page.next_cursor)


class LogListView(APIView):
    @extend_schema(
        operation_id="list_logs", summary="Find log records", tags=["logs"], parameters=[LogSearchParameters],
        responses=LogPageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Records of the range that match, of a trace or of none, newest first. A page of large ones ends early."""
        return _answer_search(request, find_logs, LogRecordSerializer, LogSearchParameters, parse_log_query)


class SpanView(APIView):
    @extend_schema(
        operation_id="get_span", summary="Get everything of one span", tags=["spans"],
        responses=SpanDetailSerializer,
    )  # fmt: skip
    def get(self, request: Request, trace_id: str, span_id: str) -> Response:
        """Canonical fields, all attributes of span, resource and scope, events and links."""
        refuse_unknown(request.query_params, ())
        span = get_span(get_store(), project_id=project_of(request).pk, trace_id=trace_id.lower(), span_id=span_id.lower())
        return Response(SpanDetailSerializer(span).data)


class SpanListView(APIView):
    @extend_schema(
        operation_id="list_spans", summary="Find spans", tags=["spans"], parameters=[SearchParameters],
        responses=SpanPageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Spans that started in the range and match themselves, newest start first."""
        return _answer_search(request, find_spans, SpanSerializer)


class MetricView(APIView):
    @extend_schema(
        operation_id="get_metric", summary="Read a metric over time", tags=["metrics"], parameters=[MetricParameters],
        responses=MetricResultSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One series, or one per group. Steps without traces are 0 for counts and null for rates and percentiles."""
        given = read_parameters(MetricParameters, request)
        query, time_range = read_search(given)
        definition = find_metric(given["metric"])
        step_s = read_step_s(given["step"]) if given["step"] else time_range.step_s()
        series = metric_series(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, metric=definition.name,
            group_by=given["group_by"], step_s=step_s,
        )  # fmt: skip
        return Response(
            {
                "metric": definition.name,
                "unit": definition.unit,
                "group_by": given["group_by"],
                "step_s": step_s,
                "results": MetricSeriesSerializer(series, many=True).data,
                "next": None,
            }
        )


class FacetView(APIView):
    @extend_schema(
        operation_id="count_facet", summary="Count traces by a field", tags=["traces"], parameters=[FacetParameters],
        responses=FacetResultSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """The values of a field with the number of traces that have each, most frequent first."""
        given = read_parameters(FacetParameters, request)
        query, time_range = read_search(given)
        field = find_facet_name(given["field"])
        if field is None:
            known = ", ".join(FACET_NAMES)
            raise ParameterError("field", f"The values of {given['field']!r} are not counted; those of {known} are.")
        values = count_facet(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, field=field,
            limit=given["limit"],
        )  # fmt: skip
        return Response({"results": FacetValueSerializer(values, many=True).data, "next": None})


class ErrorListView(APIView):
    @extend_schema(
        operation_id="list_errors", summary="List failures by error", tags=["traces"], parameters=[ErrorParameters],
        responses=ErrorResultSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """The failed traces of the range that match, grouped by the error they failed with: the rows of the errors page."""
        given = read_parameters(ErrorParameters, request)
        query, time_range = read_search(given)
        step_s = trend_step_s(time_range)
        errors = find_tracked_errors(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, sort=given["sort"], step_s=step_s,
            states=(given["state"],) if given["state"] else STATES, limit=given["limit"],
        )  # fmt: skip
        rows = [build_error_row(error, time_range) for error in errors.items]
        return Response({"trend_step_s": step_s, "results": ErrorRowSerializer(rows, many=True).data, "next": None})
