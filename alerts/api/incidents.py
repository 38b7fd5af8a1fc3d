"""REST API of incidents: what is going on, and acting on it from a script or a chat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.models import Alert, Incident, IncidentEvent, IncidentState
from alerts.on_call import incidents
from alerts.on_call.incidents import MAX_COMMENT_LENGTH, MAX_SNOOZE_S, IncidentError
from tracestore.projects import address_of
from tracestore.web.rest import checked, page_of, project_of

# Of an alert its id is asked for, not its evidence.
_ALERT_IDS = Prefetch("alerts", queryset=Alert.objects.only("pk", "incident_id"))


class IncidentOutput(serializers.ModelSerializer[Incident]):
    """One outage. `opened_at` is when it was last opened, `alerts` are ids; who acted is "" for Tracestore itself."""

    state = serializers.ChoiceField(choices=IncidentState.choices)
    url = serializers.SerializerMethodField()
    alerts: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Incident
        fields = [
            "id", "state", "title", "severity", "started_at", "opened_at", "flapping_since", "acked_at", "acked_by",
            "snoozed_until", "resolved_at", "resolved_by", "url", "alerts",
        ]  # fmt: skip

    def get_url(self, incident: Incident) -> str:
        return f"{address_of(incident.project)}/alerts/incidents/{incident.pk}"


class IncidentEventOutput(serializers.ModelSerializer[IncidentEvent]):
    """A line of the timeline besides what the alerts' own transitions say."""

    class Meta:
        model = IncidentEvent
        fields = ["id", "kind", "at", "by", "text", "alert_id"]


class IncidentDetailOutput(IncidentOutput):
    """An incident with its events, oldest first."""

    events = IncidentEventOutput(many=True)

    class Meta(IncidentOutput.Meta):
        fields = [*IncidentOutput.Meta.fields, "events"]


class ActInput(serializers.Serializer[Any]):
    """`by` is kept as the name of who acted."""

    by = serializers.CharField(max_length=128, required=False, default="API")


class SnoozeInput(ActInput):
    """`for_s` is in seconds."""

    for_s = serializers.IntegerField(min_value=60, max_value=MAX_SNOOZE_S)


class CommentInput(ActInput):
    """`text` is plain text."""

    text = serializers.CharField(max_length=MAX_COMMENT_LENGTH)


class IncidentIsOver(exceptions.APIException):
    """What was asked cannot be done to a resolved incident."""

    status_code = 409


class IncidentList(APIView):
    """Incidents, open ones first, then newest first."""

    @extend_schema(
        operation_id="list_incidents",
        parameters=[
            OpenApiParameter("state", str, enum=["open", "resolved"], description="Only those; both without it."),
            *PAGING,
        ],
        responses=page_of("IncidentPage", IncidentOutput),
    )
    def get(self, request: Request) -> Response:
        wanted = request.query_params.get("state", "")
        if wanted not in ("", "open", "resolved"):
            raise serializers.ValidationError({"state": [f"must be open or resolved, not {wanted!r}."]})
        found = incidents.find_incidents(project_of(request).pk, state=wanted).prefetch_related(_ALERT_IDS)
        return answer_page(request, found, IncidentOutput, "state")


class IncidentDetail(APIView):
    """One incident."""

    @extend_schema(operation_id="get_incident", responses=IncidentDetailOutput)
    def get(self, request: Request, incident_id: int) -> Response:
        return Response(IncidentDetailOutput(_find(request, incident_id)).data)


class _Act(APIView):
    """POST does one thing to an incident and answers it as it is then; 409 when it is over."""

    def act(
        self, request: Request, incident_id: int, data: dict[str, Any], do: Callable[[int, str, datetime], object]
    ) -> Response:
        incident = _find(request, incident_id)
        user = request.user
        by = user.get_username() if user is not None and user.is_authenticated else data["by"]
        try:
            do(incident.pk, by, timezone.now())
        except IncidentError as error:
            raise IncidentIsOver(str(error)) from None
        return Response(IncidentDetailOutput(_find(request, incident_id)).data)


class IncidentAck(_Act):
    """Say that someone is on it; DELETE takes that back."""

    @extend_schema(operation_id="acknowledge_incident", request=ActInput, responses=IncidentDetailOutput)
    def post(self, request: Request, incident_id: int) -> Response:
        return self.act(request, incident_id, checked(ActInput(data=request.data)), incidents.acknowledge)

    @extend_schema(operation_id="withdraw_acknowledgement", responses={200: IncidentDetailOutput})
    def delete(self, request: Request, incident_id: int) -> Response:
        return self.act(request, incident_id, checked(ActInput(data={})), incidents.withdraw_acknowledgement)


class IncidentSnooze(_Act):
    """Repeat and escalate nothing for so long."""

    @extend_schema(operation_id="snooze_incident", request=SnoozeInput, responses=IncidentDetailOutput)
    def post(self, request: Request, incident_id: int) -> Response:
        data = checked(SnoozeInput(data=request.data))
        for_s = data["for_s"]
        return self.act(request, incident_id, data, lambda pk, by, now: incidents.snooze(pk, for_s, by, now))


class IncidentResolve(_Act):
    """End it by hand."""

    @extend_schema(operation_id="resolve_incident", request=ActInput, responses=IncidentDetailOutput)
    def post(self, request: Request, incident_id: int) -> Response:
        return self.act(request, incident_id, checked(ActInput(data=request.data)), incidents.resolve_by_hand)


class IncidentComments(_Act):
    """Add a note, also after the end."""

    @extend_schema(operation_id="comment_on_incident", request=CommentInput, responses=IncidentDetailOutput)
    def post(self, request: Request, incident_id: int) -> Response:
        data = checked(CommentInput(data=request.data))
        text = data["text"]
        return self.act(request, incident_id, data, lambda pk, by, now: incidents.comment(pk, text, by, now))


def _find(request: Request, incident_id: int) -> Incident:
    return get_of_project(Incident.objects.prefetch_related(_ALERT_IDS), "incident", request, incident_id)
