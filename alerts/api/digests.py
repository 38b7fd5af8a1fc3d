"""REST API of reports."""

from __future__ import annotations

from datetime import time
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.names import find_channels
from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.models import ChannelKind, Digest, DigestPeriod, DigestRun, NotificationChannel, validate_time_zone
from alerts.reports.digests import find_digests
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of, require_room

MAX_REPORTS = 100


class DigestInput(StrictSerializer):
    """A report to `channel` (its name or id), at `time_of_day` in `time_zone`; a weekly one on `weekday`, 0 being Monday."""

    channel = serializers.CharField()
    period = serializers.ChoiceField(choices=DigestPeriod.choices, default=DigestPeriod.DAILY)
    weekday = serializers.IntegerField(min_value=0, max_value=6, default=0)
    time_of_day = serializers.TimeField(default=time(8))
    time_zone = serializers.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    enabled = serializers.BooleanField(default=True)

    def validate_channel(self, name: str) -> NotificationChannel:
        (channel,) = find_channels(self.context["project"], [name])
        if channel.kind == ChannelKind.PAGERDUTY:
            raise serializers.ValidationError("PagerDuty would open an incident for each report: choose another channel.")
        return channel


class DigestRunOutput(serializers.ModelSerializer[DigestRun]):
    """One report that was due. `last_error` says why the last attempt failed."""

    class Meta:
        model = DigestRun
        fields = ["due_at", "status", "attempts", "delivered_at", "last_error"]


class DigestOutput(serializers.ModelSerializer[Digest]):
    """A report with the name of its channel; `last_run` is what became of the latest, null before the first."""

    channel: Any = serializers.SlugRelatedField("name", read_only=True)
    last_run = serializers.SerializerMethodField()

    class Meta:
        model = Digest
        fields = ["id", "channel", "period", "weekday", "time_of_day", "time_zone", "enabled", "created_at", "last_run"]

    @extend_schema_field(DigestRunOutput(allow_null=True))
    def get_last_run(self, digest: Any) -> Any:
        return DigestRunOutput(digest.latest[0]).data if digest.latest else None


class DigestList(APIView):
    """All reports, and the place to add one."""

    @extend_schema(operation_id="list_digests", parameters=PAGING, responses=page_of("DigestPage", DigestOutput))
    def get(self, request: Request) -> Response:
        return answer_page(request, find_digests(project_of(request).pk), DigestOutput)

    @extend_schema(operation_id="create_digest", request=DigestInput, responses={201: DigestOutput})
    def post(self, request: Request) -> Response:
        project = project_of(request)
        require_room(Digest.objects.filter(project=project), MAX_REPORTS, "reports")
        data = checked(DigestInput(data=request.data, context={"project": project}))
        digest = Digest.objects.create(project=project, **data)
        return Response(_answer_digest(digest), status=status.HTTP_201_CREATED)


class DigestDetail(APIView):
    """One report. DELETE forgets what became of those that were sent."""

    @extend_schema(operation_id="get_digest", responses=DigestOutput)
    def get(self, request: Request, digest_id: int) -> Response:
        return Response(_answer_digest(get_of_project(Digest.objects, "digest", request, digest_id)))

    @extend_schema(operation_id="change_digest", request=DigestInput(partial=True), responses=DigestOutput)
    def patch(self, request: Request, digest_id: int) -> Response:
        digest = get_of_project(Digest.objects, "digest", request, digest_id)
        data = checked(DigestInput(digest, data=request.data, partial=True, context={"project": digest.project}))
        for name, value in data.items():
            setattr(digest, name, value)
        digest.save()
        return Response(_answer_digest(digest))

    @extend_schema(operation_id="delete_digest", responses={204: None})
    def delete(self, request: Request, digest_id: int) -> Response:
        get_of_project(Digest.objects, "digest", request, digest_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _answer_digest(digest: Digest) -> Any:
    return DigestOutput(find_digests(digest.project_id).get(pk=digest.pk)).data
