"""The REST API of comparisons: why, cohorts, verdicts, agent graphs. docs/api.md is its manual."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dashboards.api.agent_serializers import AgentGraphSerializer, AgentParameters, AgentResultSerializer
from dashboards.api.comparison_serializers import (
    CompareParameters,
    CompareSerializer,
    VerdictParameters,
    VerdictSerializer,
    WhyParameters,
    WhySerializer,
)
from dashboards.api.parameters import parse_parameter, read_parameters, read_search, read_window
from dashboards.comparing.cohorts import gone_errors, new_errors
from tracestore.clickhouse.client import get_store
from tracestore.mapping import build_tool_signals
from tracestore.queries.agents import find_agent_graph
from tracestore.queries.cohort_tools import compare_tools
from tracestore.queries.cohorts import compare_cohorts, find_cohort_differences
from tracestore.queries.why.attributes import compare_attributes
from tracestore.queries.why.comparison import find_differences
from tracestore.queries.why.sides import Selection
from tracestore.queries.why.values import Difference
from tracestore.verdict import DEFAULT_METRICS, find_judged, judge_version
from tracestore.web.rest import project_of


class WhyView(APIView):
    @extend_schema(
        operation_id="explain", summary="Compare a selection with other traces", tags=["traces"], parameters=[WhyParameters],
        responses=WhySerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Values of fields that the selection has more or less often, pairs of them, and numbers distributed otherwise."""
        given = read_parameters(WhyParameters, request)
        selection, time_range = read_search(given)
        project_id, against = project_of(request).pk, parse_parameter("against", given["against"])
        chosen = Selection(selection, read_window(given, time_range))
        if given["attributes"]:
            found = compare_attributes(
                get_store(), project_id=project_id, time_range=time_range, selection=chosen, against=against
            )
            shifts = [found.first_token] if found.first_token else []
            answer: dict[str, Any] = {
                "pairs": [],
                "numbers": shifts,
                "read_share": found.read_share,
            }
            return Response(_explain(found.selected, found.others, found.tests, found.differences, answer))
        compared = find_differences(get_store(), project_id=project_id, time_range=time_range, selection=chosen, against=against)
        answer = {"pairs": compared.pairs, "numbers": compared.shifts, "read_share": 1.0}
        return Response(_explain(compared.selected, compared.others, compared.tests, compared.differences, answer))


class CompareView(APIView):
    @extend_schema(
        operation_id="compare_cohorts", summary="Compare two cohorts of traces", tags=["traces"], parameters=[CompareParameters],
        responses=CompareSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Metrics of both with intervals, how often each tool fails, error types that are new in B or gone from A, and what else
        differs for certain."""
        given = read_parameters(CompareParameters, request)
        a, b = parse_parameter("a", given["a"]), parse_parameter("b", given["b"])
        _, time_range = read_search(given | {"q": ""})
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
        given = read_parameters(VerdictParameters, request)
        query, time_range = read_search(given)
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
        given = read_parameters(AgentParameters, request)
        query, time_range = read_search(given)
        project_id = project_of(request).pk
        scope: dict[str, Any] = {
            "project_id": project_id, "time_range": time_range, "read_signal": build_tool_signals(project_id),
        }  # fmt: skip
        graph = find_agent_graph(get_store(), **scope, query=query)
        other = None
        if given["against"].strip():
            against = parse_parameter("against", given["against"])
            other = AgentGraphSerializer(find_agent_graph(get_store(), **scope, query=against)).data
        return Response(AgentGraphSerializer(graph).data | {"against": other})
