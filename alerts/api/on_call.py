"""REST API of routes, grouping, silences and reports."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.rules import PAGING, answer_page
from alerts.api.serializers import NamedInput, find_channels
from alerts.forms.on_call import next_position, save_steps
from alerts.models import (
    MAX_PAUSE_S,
    MAX_SILENCE_S,
    MAX_STEPS,
    ChannelKind,
    Digest,
    DigestPeriod,
    DigestRun,
    Grouping,
    NotificationChannel,
    Route,
    RouteStep,
    Silence,
)
from alerts.models.incidents import MAX_GROUP_WINDOW_S, MAX_WAIT_S
from alerts.models.routes import validate_matcher
from alerts.models.rules import validate_time_zone
from alerts.on_call.incidents import find_grouping
from alerts.reports.digests import find_digests
from tracestore.rest import StrictSerializer, checked, page_of, project_of, require_room

MAX_ROUTES, MAX_SILENCES, MAX_REPORTS = 200, 2000, 100


class StepInput(StrictSerializer):
    """`after_s` 0 is at once; `channels` are names or ids."""

    after_s = serializers.IntegerField(min_value=0, max_value=MAX_PAUSE_S, default=0)
    channels = serializers.ListField(child=serializers.CharField(), allow_empty=False)


class RouteInput(NamedInput):
    """A route; a new one comes last unless `position` says otherwise. `repeat_s` 0 repeats nothing."""

    noun, model = "route", Route

    name = serializers.CharField(max_length=128)
    position = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    matcher = serializers.CharField(required=False, allow_blank=True, default="", max_length=500, validators=[validate_matcher])
    steps = StepInput(many=True)
    repeat_s = serializers.IntegerField(min_value=0, max_value=MAX_PAUSE_S, default=0)
    goes_on = serializers.BooleanField(default=False)
    enabled = serializers.BooleanField(default=True)

    def validate_steps(self, steps: list[dict[str, Any]]) -> list[tuple[int, list[NotificationChannel]]]:
        if not 1 <= len(steps) <= MAX_STEPS or len({step["after_s"] for step in steps}) < len(steps):
            raise serializers.ValidationError(f"A route has 1 to {MAX_STEPS} steps, each at a time of its own.")
        return [(step["after_s"], find_channels(self.context["project"], step["channels"])) for step in steps]


class StepOutput(serializers.ModelSerializer[RouteStep]):
    """A step with the names of its channels."""

    channels: Any = serializers.SlugRelatedField("name", many=True, read_only=True)

    class Meta:
        model = RouteStep
        fields = ["after_s", "channels"]


class RouteOutput(serializers.ModelSerializer[Route]):
    """A route with its steps, soonest first."""

    steps = StepOutput(many=True)

    class Meta:
        model = Route
        fields = ["id", "name", "position", "matcher", "steps", "repeat_s", "goes_on", "enabled"]


class GroupingBody(StrictSerializer):
    """Alerts that begin within `window_s` of each other with equal `names` are one incident; its first news waits `wait_s`."""

    names = serializers.ListField(child=serializers.CharField(max_length=100), max_length=10)
    window_s = serializers.IntegerField(min_value=0, max_value=MAX_GROUP_WINDOW_S)
    wait_s = serializers.IntegerField(min_value=0, max_value=MAX_WAIT_S, default=0)


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


class RouteList(APIView):
    """All routes in their order, and the place to add one."""

    @extend_schema(operation_id="list_alert_routes", parameters=PAGING, responses=page_of("RoutePage", RouteOutput))
    def get(self, request: Request) -> Response:
        routes = Route.objects.filter(project=project_of(request)).prefetch_related("steps__channels")
        return answer_page(request, routes, RouteOutput)

    @extend_schema(operation_id="create_alert_route", request=RouteInput, responses={201: RouteOutput})
    def post(self, request: Request) -> Response:
        project = project_of(request)
        require_room(Route.objects.filter(project=project), MAX_ROUTES, "routes")
        data = checked(RouteInput(data=request.data, context={"project": project}))
        values = {"position": next_position(project)} | data
        return Response(RouteOutput(_save_route(Route(project=project), values)).data, status=status.HTTP_201_CREATED)


class RouteDetail(APIView):
    """One route."""

    @extend_schema(operation_id="get_alert_route", responses=RouteOutput)
    def get(self, request: Request, route_id: int) -> Response:
        return Response(RouteOutput(_find(Route, request, route_id)).data)

    @extend_schema(operation_id="change_alert_route", request=RouteInput(partial=True), responses=RouteOutput)
    def patch(self, request: Request, route_id: int) -> Response:
        route = _find(Route, request, route_id)
        data = checked(RouteInput(route, data=request.data, partial=True, context={"project": route.project}))
        return Response(RouteOutput(_save_route(route, data)).data)

    @extend_schema(operation_id="delete_alert_route", responses={204: None})
    def delete(self, request: Request, route_id: int) -> Response:
        _find(Route, request, route_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class GroupingDetail(APIView):
    """Which alerts are one incident."""

    @extend_schema(operation_id="get_alert_grouping", responses=GroupingBody)
    def get(self, request: Request) -> Response:
        return Response(GroupingBody(find_grouping(project_of(request).pk)).data)

    @extend_schema(operation_id="set_alert_grouping", request=GroupingBody, responses=GroupingBody)
    def put(self, request: Request) -> Response:
        data = checked(GroupingBody(data=request.data))
        grouping, _ = Grouping.objects.update_or_create(project_id=project_of(request).pk, defaults=data)
        return Response(GroupingBody(grouping).data)


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
        return Response(SilenceOutput(_find(Silence, request, silence_id)).data)

    @extend_schema(operation_id="change_silence", request=SilenceInput(partial=True), responses=SilenceOutput)
    def patch(self, request: Request, silence_id: int) -> Response:
        silence = _find(Silence, request, silence_id)
        data = checked(SilenceInput(silence, data=request.data, partial=True))
        for name, value in data.items():
            setattr(silence, name, value)
        silence.save()
        return Response(SilenceOutput(silence).data)

    @extend_schema(operation_id="delete_silence", responses={204: None})
    def delete(self, request: Request, silence_id: int) -> Response:
        _find(Silence, request, silence_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


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
        return Response(_answer_digest(_find(Digest, request, digest_id)))

    @extend_schema(operation_id="change_digest", request=DigestInput(partial=True), responses=DigestOutput)
    def patch(self, request: Request, digest_id: int) -> Response:
        digest = _find(Digest, request, digest_id)
        data = checked(DigestInput(digest, data=request.data, partial=True, context={"project": digest.project}))
        for name, value in data.items():
            setattr(digest, name, value)
        digest.save()
        return Response(_answer_digest(digest))

    @extend_schema(operation_id="delete_digest", responses={204: None})
    def delete(self, request: Request, digest_id: int) -> Response:
        _find(Digest, request, digest_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _answer_digest(digest: Digest) -> Any:
    return DigestOutput(find_digests(digest.project_id).get(pk=digest.pk)).data


@transaction.atomic
def _save_route(route: Route, values: dict[str, Any]) -> Route:
    steps = values.pop("steps", None)
    for name, value in values.items():
        setattr(route, name, value)
    route.save()
    if steps is not None:
        save_steps(route, steps)
    return Route.objects.prefetch_related("steps__channels").get(pk=route.pk)


_Kind = TypeVar("_Kind", Route, Silence, Digest)


def _find(model: type[_Kind], request: Request, pk: int) -> _Kind:
    found = model._default_manager.filter(project=project_of(request), pk=pk).first()
    if found is None:
        raise Http404(f"There is no {model.__name__.lower()} {pk}.")
    return found
