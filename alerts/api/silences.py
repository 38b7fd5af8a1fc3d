"""REST API of silences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.models import MAX_SILENCE_S, Silence, validate_time_zone
from alerts.models.routes import validate_matcher
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of, require_room

MAX_SILENCES = 2000


class SilenceInput(StrictSerializer):
    """A silence. Without `weekdays` from `starts_at` until `ends_at`; with them (0 is Monday) every week, from `time_of_day`."""

    matcher = serializers.CharField(required=False, allow_blank=True, default="", max_length=500, validators=[validate_matcher])
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    created_by = serializers.CharField(required=False, allow_blank=True, default="API", max_length=128)
    starts_at = serializers.DateTimeField(required=False)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    weekdays = serializers.ListField(child=serializers.IntegerField(min_value=0, max_value=6), default=list, max_length=7)
    time_of_day = serializers.TimeField(required=False, allow_null=True)
    length_s = serializers.IntegerField(min_value=0, max_value=MAX_SILENCE_S, default=0)
    time_zone = serializers.CharField(max_length=64, default="UTC", validators=[validate_time_zone])

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        now: datetime = timezone.now()
        start = values.setdefault("starts_at", getattr(self.instance, "starts_at", now))
        given = {
            name: values.get(name, getattr(self.instance, name, None))
            for name in ("ends_at", "weekdays", "time_of_day", "length_s")
        }
        if given["ends_at"] is not None and given["ends_at"] < start:
            raise serializers.ValidationError({"ends_at": "A silence ends after it begins."})
        if given["weekdays"]:
            if given["time_of_day"] is None or (given["length_s"] or 0) < 60:
                raise serializers.ValidationError({"weekdays": "A weekly silence needs time_of_day and length_s, 60 at least."})
        elif given["ends_at"] is None:
            raise serializers.ValidationError({"ends_at": "Say when it ends: a silence that is forgotten hides outages."})
        return values


class SilenceOutput(serializers.ModelSerializer[Silence]):
    """A silence; `is_active`: it holds at the moment. `suppressed` are the ids of the alerts that it kept from being told."""

    is_active = serializers.SerializerMethodField()
    suppressed = serializers.SerializerMethodField()

    class Meta:
        model = Silence
        fields = [
            "id", "matcher", "comment", "created_by", "created_at", "starts_at", "ends_at", "weekdays", "time_of_day", "length_s",
            "time_zone", "is_active", "suppressed",
        ]  # fmt: skip

    def get_is_active(self, silence: Silence) -> bool:
        return silence.to_quiet().holds(timezone.now())

    def get_suppressed(self, silence: Silence) -> list[int]:
        return [suppression.alert_id for suppression in silence.suppressions.all()]


class SilenceList(APIView):
    """All silences, the latest first, and the place to add one."""

    @extend_schema(operation_id="list_silences", parameters=PAGING, responses=page_of("SilencePage", SilenceOutput))
    def get(self, request: Request) -> Response:
        silences = Silence.objects.filter(project=project_of(request)).prefetch_related("suppressions")
        return answer_page(request, silences, SilenceOutput)

    @extend_schema(operation_id="create_silence", request=SilenceInput, responses={201: SilenceOutput})
    def post(self, request: Request) -> Response:
        kept = Silence.objects.filter(Q(ends_at=None) | Q(ends_at__gt=timezone.now()), project=project_of(request))
        require_room(kept, MAX_SILENCES, "silences that have not ended")
        data = checked(SilenceInput(data=request.data))
        silence = Silence.objects.create(project=project_of(request), **data)
        return Response(SilenceOutput(silence).data, status=status.HTTP_201_CREATED)


class SilenceDetail(APIView):
    """One silence. To end it, set `ends_at` to now; DELETE forgets what it suppressed."""

    @extend_schema(operation_id="get_silence", responses=SilenceOutput)
    def get(self, request: Request, silence_id: int) -> Response:
        return Response(SilenceOutput(get_of_project(Silence.objects, "silence", request, silence_id)).data)

    @extend_schema(operation_id="change_silence", request=SilenceInput(partial=True), responses=SilenceOutput)
    def patch(self, request: Request, silence_id: int) -> Response:
        silence = get_of_project(Silence.objects, "silence", request, silence_id)
        data = checked(SilenceInput(silence, data=request.data, partial=True))
        for name, value in data.items():
            setattr(silence, name, value)
        silence.save()
        return Response(SilenceOutput(silence).data)

    @extend_schema(operation_id="delete_silence", responses={204: None})
    def delete(self, request: Request, silence_id: int) -> Response:
        get_of_project(Silence.objects, "silence", request, silence_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
