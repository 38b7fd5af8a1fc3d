"""REST API of the alerts that fired."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.resources import PAGING, answer_page
from alerts.evidence.focus import traces_path
from alerts.evidence.model import Evidence
from alerts.messages.links import incident_url
from alerts.messages.payload import describe_reasons
from alerts.models import Alert
from alerts.rules.evaluation import AlertState
from alerts.rules.finding import find_alerts
from tracestore.projects import address_of
from tracestore.web.rest import page_of, project_of


class AlertOutput(serializers.ModelSerializer[Alert]):
    """One firing episode with the rule as it was then.

    What is told of its traces is as of its start: their number, that of the others of the window, and as in a webhook's body
    where their time went, which calls looped, what differs about them, the errors that they failed with, and examples.
    `incident_id` is null for one that was never grouped.
    """

    state = serializers.ChoiceField(choices=[AlertState.FIRING.value, AlertState.RESOLVED.value])
    url = serializers.SerializerMethodField()
    traces_url = serializers.SerializerMethodField()
    traces_query = serializers.SerializerMethodField()
    incident_url = serializers.SerializerMethodField()
    traces_count = serializers.IntegerField(source="evidence.causes.failing")
    others_count = serializers.IntegerField(source="evidence.causes.others")
    slow_steps = serializers.SerializerMethodField()
    loops = serializers.SerializerMethodField()
    differences = serializers.SerializerMethodField()
    errors: Any = serializers.SerializerMethodField()
    examples = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = [
            "id", "state", "rule_id", "rule_name", "kind", "labels", "severity", "metric", "query", "window_s", "comparison",
            "threshold", "hold_s", "value", "peak_value", "samples", "baseline", "compared_with", "trace_id", "started_at",
            "resolved_at", "resolve_reason", "url", "incident_id", "incident_url", "traces_url", "traces_query", "traces_count",
            "others_count", "slow_steps", "loops", "differences", "errors", "examples",
        ]  # fmt: skip

    def get_url(self, alert: Alert) -> str:
        return f"{address_of(alert.project)}/alerts/{alert.pk}"

    def get_traces_url(self, alert: Alert) -> str:
        evidence = Evidence.from_json(alert.evidence)
        return address_of(alert.project) + traces_path(evidence.query, evidence.time_range)

    def get_traces_query(self, alert: Alert) -> str:
        return str(alert.evidence["query"])

    def get_incident_url(self, alert: Alert) -> str | None:
        return incident_url(alert) if alert.incident_id else None

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_slow_steps(self, alert: Alert) -> Any:
        return self._reasons(alert)["slow_steps"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_loops(self, alert: Alert) -> Any:
        return self._reasons(alert)["loops"]

    @extend_schema_field(serializers.DictField())
    def get_differences(self, alert: Alert) -> Any:
        return self._reasons(alert)["differences"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_errors(self, alert: Alert) -> Any:
        return self._reasons(alert)["errors"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_examples(self, alert: Alert) -> Any:
        return self._reasons(alert)["examples"]

    def _reasons(self, alert: Alert) -> dict[str, Any]:
        return describe_reasons(Evidence.from_json(alert.evidence), address_of(alert.project))


class AlertList(APIView):
    """Alerts, firing ones first, then newest first."""

    @extend_schema(
        operation_id="list_alerts",
        parameters=[
            OpenApiParameter("state", str, enum=["firing", "resolved"], description="Only those; both without it."),
            *PAGING,
        ],
        responses=page_of("AlertPage", AlertOutput),
    )
    def get(self, request: Request) -> Response:
        wanted = request.query_params.get("state", "")
        if wanted not in ("", "firing", "resolved"):
            raise serializers.ValidationError({"state": [f"must be firing or resolved, not {wanted!r}."]})
        alerts = find_alerts(project_of(request).pk, firing=wanted == "firing" if wanted else None)
        return answer_page(request, alerts, AlertOutput, "state")
