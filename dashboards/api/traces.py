"""The REST API under /api/v1/: reads of traces, spans, metrics and facets. docs/api.md is its manual."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dashboards.api.comparison_serializers import (
    CompareParameters,
    CompareSerializer,
    VerdictParameters,
    VerdictSerializer,
    WhyParameters,
    WhySerializer,
)
from dashboards.api.errors import ParameterError
from dashboards.api.serializers import (
    AgentGraphSerializer,
    AgentParameters,
    AgentResultSerializer,
    CompletenessSerializer,
    ErrorParameters,
    ErrorResultSerializer,
    ErrorRowSerializer,
    FacetParameters,
    FacetResultSerializer,
    FacetValueSerializer,
    LogPageSerializer,
    LogRecordSerializer,
    LogSearchParameters,
    MetricParameters,
    MetricResultSerializer,
    MetricSeriesSerializer,
    PageParameters,
    SearchParameters,
    SpanDetailSerializer,
    SpanPageSerializer,
    SpanSerializer,
    TraceDetailSerializer,
    TracePageSerializer,
    TraceSerializer,
)
from dashboards.compare import gone_errors, new_errors
from dashboards.error_rows import build_error_row
from dashboards.lists import trend_step_s
from tracestore.clickhouse.client import get_store
from tracestore.completeness import find_completeness
from tracestore.errors import STATES, find_tracked_errors
from tracestore.language import Query, QueryError, parse_log_query, parse_query
from tracestore.language.fields import find_field
from tracestore.mapping import build_tool_signals
from tracestore.queries.agents import find_agent_graph
from tracestore.queries.cohort_tools import compare_tools
from tracestore.queries.cohorts import compare_cohorts, find_cohort_differences
from tracestore.queries.facets import FACETS, count_facet
from tracestore.queries.logs import find_logs, find_logs_of_trace
from tracestore.queries.metrics.definitions import find_metric
from tracestore.queries.metrics.series import metric_series
from tracestore.queries.paging import read_cursor
from tracestore.queries.spans import find_spans, get_span
from tracestore.queries.traces import find_traces, get_trace
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import find_differences
from tracestore.queries.why.sides import Selection
from tracestore.queries.why.values import Difference
from tracestore.rest import checked, next_page_url, project_of, refuse_unknown
from tracestore.timerange import DAY_NS, TimeError, TimeRange, parse_time_ns
from tracestore.verdict import DEFAULT_METRICS, find_judged, judge_version

_STEP = re.compile(r"(\d{1,9})([smhd]?)")
_STEP_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_FAILING = OpenApiExample(
    "Failing traces of version v3 that used the tool refund",
    "status:error version:v3 tool:refund",
    parameter_only=("q", "query"),
)


class TraceListView(APIView):
    @extend_schema(
        operation_id="list_traces", summary="Find traces", tags=["traces"], parameters=[SearchParameters],
        examples=[_FAILING], responses=TracePageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Traces that started in the range and match, newest start first."""
        given = _read_parameters(SearchParameters, request)
        query, time_range = _read_search(given)
        page = find_traces(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, limit=given["limit"],
            cursor=read_cursor(given["cursor"]),
        )  # fmt: skip
        return _page(request, TraceSerializer(page.items, many=True).data, page.next_cursor, time_range)


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
        given = _read_parameters(PageParameters, request)
        page = find_logs_of_trace(
            get_store(), project_id=project_of(request).pk, trace_id=trace_id.lower(), limit=given["limit"],
            cursor=read_cursor(given["cursor"]),
        )  # fmt: skip
        return _page(request, LogRecordSerializer(page.items, many=True).data, page.next_cursor)


class LogListView(APIView):
    @extend_schema(
        operation_id="list_logs", summary="Find log records", tags=["logs"], parameters=[LogSearchParameters],
        responses=LogPageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Records of the range that match, of a trace or of none, newest first. A page of large ones ends early."""
        given = _read_parameters(LogSearchParameters, request)
        query, time_range = _read_search(given, parse_log_query)
        page = find_logs(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, limit=given["limit"],
            cursor=read_cursor(given["cursor"]),
        )  # fmt: skip
        return _page(request, LogRecordSerializer(page.items, many=True).data, page.next_cursor, time_range)


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
        given = _read_parameters(SearchParameters, request)
        query, time_range = _read_search(given)
        page = find_spans(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, limit=given["limit"],
            cursor=read_cursor(given["cursor"]),
        )  # fmt: skip
        return _page(request, SpanSerializer(page.items, many=True).data, page.next_cursor, time_range)


class MetricView(APIView):
    @extend_schema(
        operation_id="get_metric", summary="Read a metric over time", tags=["metrics"], parameters=[MetricParameters],
        responses=MetricResultSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One series, or one per group. Steps without traces are 0 for counts and null for rates and percentiles."""
        given = _read_parameters(MetricParameters, request)
        query, time_range = _read_search(given)
        definition = find_metric(given["metric"])
        step_s = _read_step_s(given["step"]) if given["step"] else time_range.step_s()
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
        given = _read_parameters(FacetParameters, request)
        query, time_range = _read_search(given)
        found = find_field(given["field"])
        if found is None or found.name not in FACETS:
            raise ParameterError("field", f"The values of {given['field']!r} are not counted; those of {', '.join(FACETS)} are.")
        values = count_facet(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, field=found.name,
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
        given = _read_parameters(ErrorParameters, request)
        query, time_range = _read_search(given)
        step_s = trend_step_s(time_range)
        errors = find_tracked_errors(
            get_store(), project_id=project_of(request).pk, time_range=time_range, query=query, sort=given["sort"], step_s=step_s,
            states=(given["state"],) if given["state"] else STATES, limit=given["limit"],
        )  # fmt: skip
        rows = [build_error_row(error, time_range) for error in errors.items]
        return Response({"trend_step_s": step_s, "results": ErrorRowSerializer(rows, many=True).data, "next": None})


class WhyView(APIView):
    @extend_schema(
        operation_id="explain", summary="Compare a selection with other traces", tags=["traces"], parameters=[WhyParameters],
        responses=WhySerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Values of fields that the selection has more or less often, pairs of them, and numbers distributed otherwise."""
        given = _read_parameters(WhyParameters, request)
        selection, time_range = _read_search(given)
        project_id, against = project_of(request).pk, _parse("against", given["against"])
        chosen = Selection(selection, _read_window(given, time_range))
        if given["attributes"]:
            found = compare_attributes(
                get_store(), project_id=project_id, time_range=time_range, selection=chosen, against=against
            )
            shifts = [found.first_token] if found.first_token else []
            answer: dict[str, Any] = {
                "pairs": [],
                "numbers": shifts,
                "read_share": found.read_share,
                "searched_share": found.searched_share,
            }
            return Response(_explain(found.selected, found.others, found.tests, found.differences, answer))
        compared = find_differences(get_store(), project_id=project_id, time_range=time_range, selection=chosen, against=against)
        answer = {"pairs": compared.pairs, "numbers": compared.shifts, "read_share": 1.0, "searched_share": 1.0}
        return Response(_explain(compared.selected, compared.others, compared.tests, compared.differences, answer))


class CompareView(APIView):
    @extend_schema(
        operation_id="compare_cohorts", summary="Compare two cohorts of traces", tags=["traces"], parameters=[CompareParameters],
        responses=CompareSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Metrics of both with intervals, how often each tool fails, error types that are new in B or gone from A, and what else
        differs for certain."""
        given = _read_parameters(CompareParameters, request)
        a, b = _parse("a", given["a"]), _parse("b", given["b"])
        _, time_range = _read_search(given | {"q": ""})
        project_id = project_of(request).pk
        cohorts = compare_cohorts(get_store(), project_id=project_id, time_range=time_range, a=a, b=b)
        tools = compare_tools(get_store(), project_id=project_id, time_range=time_range, a=a, b=b)
        compared = find_cohort_differences(get_store(), project_id=project_id, time_range=time_range, a=a, b=b)
        answer = {
            "a_traces": cohorts.a_traces,
            "b_traces": cohorts.b_traces,
            "shared": cohorts.shared,
            "results": cohorts.metrics,
            "tools": tools,
            "new_errors": new_errors(compared),
            "gone_errors": gone_errors(compared),
            "differences": [found for found in compared.differences if found.is_significant],
            "next": None,
        }
        return Response(CompareSerializer(answer).data)


class VerdictView(APIView):
    @extend_schema(
        operation_id="judge_version", summary="Tell whether a version is worse than another", tags=["versions"],
        parameters=[VerdictParameters], responses=VerdictSerializer,
    )  # fmt: skip
    def get(self, request: Request, version: str) -> Response:
        """For deploy pipelines: `decision` is pass, worse or not_enough_data; `results` say why, metric by metric."""
        given = _read_parameters(VerdictParameters, request)
        query, time_range = _read_search(given)
        verdict = judge_version(
            get_store(), project_id=project_of(request).pk, time_range=time_range, version=version, against=given["against"],
            query=query, metrics=find_judged(given["metrics"].split(",")) if given["metrics"] else DEFAULT_METRICS,
            minimum_samples=given["min_samples"], tolerance=given["tolerance"],
        )  # fmt: skip
        return Response(verdict.to_json())


def _explain(selected: int, others: int, tests: int, differences: list[Difference], more: dict[str, Any]) -> Any:
    sums = {"selected": selected, "others": others, "tests": tests}
    return WhySerializer(sums | {"results": differences, "next": None} | more).data


class AgentGraphView(APIView):
    @extend_schema(
        operation_id="get_agent_graph", summary="Count who calls whom", tags=["traces"], parameters=[AgentParameters],
        responses=AgentResultSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Agents, models and tools of the traces that match, and the calls and hand-offs between them."""
        given = _read_parameters(AgentParameters, request)
        query, time_range = _read_search(given)
        project_id = project_of(request).pk
        scope: dict[str, Any] = {
            "project_id": project_id, "time_range": time_range, "read_signal": build_tool_signals(project_id),
        }  # fmt: skip
        graph = find_agent_graph(get_store(), **scope, query=query)
        against = None
        if given["against"].strip():
            try:
                against = find_agent_graph(get_store(), **scope, query=parse_query(given["against"]))
            except QueryError as error:
                raise ParameterError("against", error.message) from None
        other = AgentGraphSerializer(against).data if against else None
        return Response(AgentGraphSerializer(graph).data | {"against": other})


class PrometheusView(APIView):
    """What this process counts about itself, for Prometheus; under the API's rule of access, outside its paths."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type  # of errors: scrapers ask for formats that DRF knows nothing of

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(REGISTRY), content_type=content_type)


def _read_parameters(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Validate the query string. Raises ParameterError or DRF's ValidationError, both of which name the parameter."""
    serializer = serializer_class(data=request.query_params)
    refuse_unknown(request.query_params, serializer.fields)
    return dict(checked(serializer))


def _parse(parameter: str, text: str) -> Query:
    """Read a query that is not `q`. Raises ParameterError."""
    try:
        return parse_query(text)
    except QueryError as error:
        raise ParameterError(parameter, error.message, error.suggestion) from None


def _read_search(given: dict[str, Any], parse: Callable[[str], Query] = parse_query) -> tuple[Query, TimeRange]:
    """Return query and range. Raises QueryError, or ParameterError for a time."""
    now_ns = time.time_ns()
    query = parse(given["q"])
    end_ns = _read_time_ns("end", given["end"], now_ns) if given["end"] else now_ns
    start_ns = _read_time_ns("start", given["start"], now_ns) if given["start"] else max(0, end_ns - DAY_NS)
    try:
        return query, TimeRange(start_ns, end_ns)
    except TimeError:
        raise ParameterError("start", "`start` must lie before `end`.") from None


def _read_window(given: dict[str, Any], time_range: TimeRange) -> TimeRange | None:
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


def _read_step_s(text: str) -> int:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise ParameterError("step", f"{text!r} is not a step: use seconds, or 30s, 5m, 1h, 1d.")
    return int(match[1]) * _STEP_UNITS_S[match[2]]


def _page(request: Request, results: Any, next_cursor: str, time_range: TimeRange | None = None) -> Response:
    """`next` repeats the request, with absolute times where it has any, so that no page shifts while the list is read."""
    times = {"start": str(time_range.start_ns), "end": str(time_range.end_ns)} if time_range else {}
    following = next_page_url(request, cursor=next_cursor, **times) if next_cursor else None
    return Response({"results": results, "next": following})
