"""REST API of backtests and of marks of incidents."""

from __future__ import annotations

import math
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.rules import AlertRuleInput, get_rule
from alerts.models import AlertRule, IncidentMark
from alerts.past.backtest import find_marks, run_backtest
from tracestore.clickhouse.client import get_store
from tracestore.timerange import DAY_NS, TimeError, TimeRange, format_time_ns, parse_time_range
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of, require_room

_WEEK_NS = 7 * DAY_NS
_TIME_HELP = "RFC 3339, Unix nanoseconds, or `now-7d`."
_MAX_LIMIT = 1000
MAX_MARKS = 10_000


class BacktestParameters(StrictSerializer):
    """What to replay over, the last seven days without `start` and `end`."""

    start = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text=f"Included. {_TIME_HELP}"
    )
    end = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=64, help_text=f"Not included. {_TIME_HELP}"
    )
    pages_per_week = serializers.FloatField(
        required=False, default=1.0, min_value=0, max_value=1000, help_text="For the suggested threshold: as many at most."
    )

    def validate_pages_per_week(self, number: float) -> float:
        if not math.isfinite(number):  # compares as neither too small nor too large
            raise serializers.ValidationError("must be a number.")
        return number


@extend_schema_field({"type": "string", "format": "date-time"})
class _Moment(serializers.Field[int, Any, str, Any]):
    """Nanoseconds since the Unix epoch as RFC 3339."""

    def to_representation(self, value: int) -> str:
        return format_time_ns(value)


class _PageSerializer(serializers.Serializer[Any]):
    labels = serializers.DictField(child=serializers.CharField())
    started_at = _Moment(source="episode.start_ns")
    resolved_at = _Moment(source="episode.end_ns", allow_null=True, help_text="null: it would still fire.")
    severity = serializers.CharField(source="episode.severity", help_text="The gravest that it had.")
    peak_value = serializers.FloatField(source="episode.peak", allow_null=True)
    is_flap = serializers.BooleanField(help_text="Within an hour after the same group's last one ended.")
    incident = serializers.SerializerMethodField(help_text="The mark that it tells of, null for none.")

    def get_incident(self, page: Any) -> str | None:
        return page.mark.name if page.mark else None


class _DetectionSerializer(serializers.Serializer[Any]):
    incident = serializers.CharField(source="mark.name")
    started_at = _Moment(source="mark.start_ns")
    ended_at = _Moment(source="mark.end_ns")
    delay_s = serializers.FloatField(allow_null=True, help_text="null: it was not noticed.")


class _SuggestionSerializer(serializers.Serializer[Any]):
    threshold = serializers.FloatField(help_text="The most sensitive one; in the unit of the rule's threshold.")
    pages_per_week = serializers.FloatField(help_text="Beside those of marked incidents.")
    detected = serializers.IntegerField(help_text="Marked incidents that are noticed with it.")


class BacktestSerializer(serializers.Serializer[Any]):
    start = _Moment(source="time_range.start_ns")
    end = _Moment(source="time_range.end_ns")
    step_s = serializers.IntegerField(help_text="Seconds between evaluations.")
    evaluations = serializers.IntegerField()
    has_data = serializers.BooleanField()
    pages_per_week = serializers.FloatField()
    flaps = serializers.IntegerField()
    false_pages = serializers.IntegerField(help_text="Those that no marked incident explains.")
    detected = serializers.IntegerField(help_text="Marked incidents that were noticed.")
    fired_s = serializers.FloatField()
    results = _PageSerializer(many=True, source="pages")
    incidents = _DetectionSerializer(many=True, source="detections")
    suggestion = _SuggestionSerializer(allow_null=True, help_text="null without data, or when none keeps to it.")
    next = serializers.CharField(allow_null=True, read_only=True, help_text="Always null.")


class RuleBacktest(APIView):
    """A saved rule over the past."""

    query_parameter = "query"

    @extend_schema(operation_id="backtest_alert_rule", parameters=[BacktestParameters], responses=BacktestSerializer)
    def get(self, request: Request, rule_id: int) -> Response:
        """Pages, flaps, time to detect marked incidents, and a threshold to use."""
        return _replay(request, get_rule(request, rule_id))


class _DraftInput(AlertRuleInput):
    """A rule's definition. It is not saved, so it may have no name, or that of another rule."""

    name = serializers.CharField(max_length=128, default="Draft", allow_blank=True)

    def validate_name(self, name: str) -> str:
        return name


class DraftBacktest(APIView):
    """A rule that is not saved, over the past."""

    query_parameter = "query"

    @extend_schema(
        operation_id="backtest_draft", parameters=[BacktestParameters], request=_DraftInput, responses=BacktestSerializer
    )
    def post(self, request: Request) -> Response:
        """As for a saved rule; the body is what would create it, and nothing is saved."""
        project = project_of(request)
        data = checked(_DraftInput(data=request.data, context={"project": project}))
        values = {name: value for name, value in data.items() if name != "channels"}
        return _replay(request, AlertRule(project=project, **values))


def _replay(request: Request, rule: AlertRule) -> Response:
    given = checked(BacktestParameters(data=request.query_params))
    time_range = _read_range("start", given["start"], given["end"])
    marks = find_marks(rule.project_id, time_range)
    found = run_backtest(get_store(), rule, time_range, marks, pages_per_week=given["pages_per_week"])
    return Response(BacktestSerializer(found).data | {"next": None})


def _read_range(parameter: str, start: str, end: str) -> TimeRange:
    try:
        return parse_time_range(start, end, default_ns=_WEEK_NS)
    except TimeError as error:
        raise serializers.ValidationError({parameter: [f"{error}."]}) from None


class MarkSerializer(serializers.ModelSerializer[IncidentMark]):
    """[started_at, ended_at) in which something was wrong."""

    class Meta:
        model = IncidentMark
        fields = ["id", "name", "started_at", "ended_at", "created_at"]
        read_only_fields = ["created_at"]

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if values["started_at"] >= values["ended_at"]:
            raise serializers.ValidationError({"ended_at": "An incident ends after it starts."})
        return values


class MarkList(APIView):
    """Marks of incidents, and the place to add one."""

    @extend_schema(operation_id="list_incident_marks", responses=page_of("IncidentMarkPage", MarkSerializer))
    def get(self, request: Request) -> Response:
        """The newest thousand, newest first."""
        marks = IncidentMark.objects.filter(project=project_of(request)).order_by("-started_at", "-id")[:_MAX_LIMIT]
        return Response({"results": MarkSerializer(marks, many=True).data, "next": None})

    @extend_schema(operation_id="create_incident_mark", request=MarkSerializer, responses={201: MarkSerializer})
    def post(self, request: Request) -> Response:
        require_room(IncidentMark.objects.filter(project=project_of(request)), MAX_MARKS, "marks")
        data = MarkSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        data.save(project=project_of(request))
        return Response(data.data, status=status.HTTP_201_CREATED)


class MarkDetail(APIView):
    """One mark."""

    @extend_schema(operation_id="delete_incident_mark", responses={204: None})
    def delete(self, request: Request, mark_id: int) -> Response:
        if not IncidentMark.objects.filter(project=project_of(request), pk=mark_id).delete()[0]:
            raise Http404(f"There is no mark {mark_id}.")
        return Response(status=status.HTTP_204_NO_CONTENT)
