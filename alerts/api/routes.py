"""REST API of routes, and of what makes alerts one incident."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.names import NamedInput, find_channels
from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.models import MAX_PAUSE_S, MAX_STEPS, Grouping, NotificationChannel, Route, RouteStep
from alerts.models.incidents import MAX_GROUP_WINDOW_S, MAX_WAIT_S
from alerts.models.routes import validate_matcher
from alerts.on_call.incidents import find_grouping
from alerts.on_call.routing import next_position, save_steps
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of, require_room

MAX_ROUTES = 200


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
        return Response(RouteOutput(get_of_project(Route.objects, "route", request, route_id)).data)

    @extend_schema(operation_id="change_alert_route", request=RouteInput(partial=True), responses=RouteOutput)
    def patch(self, request: Request, route_id: int) -> Response:
        route = get_of_project(Route.objects, "route", request, route_id)
        data = checked(RouteInput(route, data=request.data, partial=True, context={"project": route.project}))
        return Response(RouteOutput(_save_route(route, data)).data)

    @extend_schema(operation_id="delete_alert_route", responses={204: None})
    def delete(self, request: Request, route_id: int) -> Response:
        get_of_project(Route.objects, "route", request, route_id).delete()
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


@transaction.atomic
def _save_route(route: Route, values: dict[str, Any]) -> Route:
    steps = values.pop("steps", None)
    for name, value in values.items():
        setattr(route, name, value)
    route.save()
    if steps is not None:
        save_steps(route, steps)
    return Route.objects.prefetch_related("steps__channels").get(pk=route.pk)
