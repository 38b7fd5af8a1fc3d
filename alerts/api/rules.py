"""REST API of alerting: CRUD of rules and channels, and the alerts that fired."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.serializers import (
    AlertOutput,
    AlertRuleInput,
    AlertRuleOutput,
    ChannelDetailOutput,
    ChannelInput,
    CreatedChannelOutput,
)
from alerts.delivery import rotate_secret, set_channel_enabled
from alerts.models import AlertRule, ChannelKind, NotificationChannel
from alerts.rules.editing import delete_rule, save_rule
from alerts.rules.finding import find_alerts
from tracestore.queries.paging import read_cursor
from tracestore.rest import checked, next_page_url, page_of, project_of, refuse_unknown, require_room

DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
MAX_RULES, MAX_CHANNELS = 2000, 200
PAGING = [
    OpenApiParameter("limit", int, description=f"How many at most, 1 to {MAX_LIMIT}."),
    OpenApiParameter("cursor", str, description="Continues a list: that of `next` of the page before, or all of `next`."),
]


def _read_whole_number(name: str, text: str, default: int, low: int, high: int) -> int:
    text = text or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise serializers.ValidationError({name: [f"must be a whole number from {low} to {high}, not {text[:40]!r}."]})
    return int(text)


def answer_page(
    request: Request, items: QuerySet[Any], output: type[serializers.ModelSerializer[Any]], *filters: str
) -> Response:
    """The cursor is the number of items before: rules and alerts are few, and an item that moves does no harm."""
    given = request.query_params
    refuse_unknown(given, ("limit", "cursor", *filters))
    limit = _read_whole_number("limit", given.get("limit", ""), DEFAULT_LIMIT, 1, MAX_LIMIT)
    first = _read_whole_number("cursor", read_cursor(given.get("cursor", "")), 0, 0, 10**8)
    found = list(items[first : first + limit + 1])
    following = next_page_url(request, cursor=str(first + limit)) if len(found) > limit else None
    return Response({"results": output(found[:limit], many=True).data, "next": following})


class AlertRuleList(APIView):
    """All rules, and the place to add one."""

    query_parameter = "query"  # what an error in the query text names

    @extend_schema(operation_id="list_alert_rules", parameters=PAGING, responses=page_of("AlertRulePage", AlertRuleOutput))
    def get(self, request: Request) -> Response:
        rules = (
            AlertRule.objects.filter(project=project_of(request)).prefetch_related("channels", "instances").order_by("name", "pk")
        )
        return answer_page(request, rules, AlertRuleOutput)

    @extend_schema(operation_id="create_alert_rule", request=AlertRuleInput, responses={201: AlertRuleOutput})
    def post(self, request: Request) -> Response:
        project = project_of(request)
        require_room(AlertRule.objects.filter(project=project), MAX_RULES, "rules")
        data = checked(AlertRuleInput(data=request.data, context={"project": project}))
        rule = _save(AlertRule(project=project), data)
        return Response(AlertRuleOutput(rule).data, status=status.HTTP_201_CREATED)


class AlertRuleDetail(APIView):
    """One rule."""

    query_parameter = "query"

    @extend_schema(operation_id="get_alert_rule", responses=AlertRuleOutput)
    def get(self, request: Request, rule_id: int) -> Response:
        return Response(AlertRuleOutput(self._rule(request, rule_id)).data)

    @extend_schema(operation_id="replace_alert_rule", request=AlertRuleInput, responses=AlertRuleOutput)
    def put(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=False)

    @extend_schema(operation_id="change_alert_rule", request=AlertRuleInput(partial=True), responses=AlertRuleOutput)
    def patch(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=True)

    @extend_schema(operation_id="delete_alert_rule", responses={204: None})
    def delete(self, request: Request, rule_id: int) -> Response:
        delete_rule(self._rule(request, rule_id), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _rule(self, request: Request, rule_id: int) -> AlertRule:
        rule = AlertRule.objects.filter(project=project_of(request), pk=rule_id).first()
        if rule is None:
            raise Http404(f"There is no alert rule {rule_id}.")
        return rule

    def _change(self, request: Request, rule_id: int, *, partial: bool) -> Response:
        rule = self._rule(request, rule_id)
        data = checked(AlertRuleInput(rule, data=request.data, partial=partial, context={"project": rule.project}))
        return Response(AlertRuleOutput(_save(rule, data)).data)


@transaction.atomic
def _save(rule: AlertRule, values: dict[str, Any]) -> AlertRule:
    for name, value in values.items():
        if name != "channels":
            setattr(rule, name, value)
    save_rule(rule, timezone.now())
    if "channels" in values:
        rule.channels.set(values["channels"])
    return rule


class ChannelList(APIView):
    """All notification channels, and the place to add one."""

    @extend_schema(operation_id="list_channels", parameters=PAGING, responses=page_of("ChannelPage", ChannelDetailOutput))
    def get(self, request: Request) -> Response:
        channels = NotificationChannel.objects.filter(project=project_of(request)).order_by("name", "pk")
        return answer_page(request, channels, ChannelDetailOutput)

    @extend_schema(operation_id="create_channel", request=ChannelInput, responses={201: CreatedChannelOutput})
    def post(self, request: Request) -> Response:
        project = project_of(request)
        require_room(NotificationChannel.objects.filter(project=project), MAX_CHANNELS, "channels")
        data = checked(ChannelInput(data=request.data, context={"project": project}))
        channel = _save_channel(NotificationChannel(project=project), data)
        secret = rotate_secret(channel, timezone.now()) if channel.can_sign else None
        return Response(ChannelDetailOutput(channel).data | {"secret": secret}, status=status.HTTP_201_CREATED)


class ChannelSecret(APIView):
    """The secret with which a webhook's requests are signed."""

    @extend_schema(
        operation_id="rotate_channel_secret",
        request=None,
        responses=inline_serializer("ChannelSecret", {"secret": serializers.CharField()}),
        description="Makes a new secret and answers it, once. The one before stays in force for 24 hours beside it.",
    )
    def post(self, request: Request, channel_id: int) -> Response:
        channel = NotificationChannel.objects.filter(project=project_of(request), pk=channel_id, kind=ChannelKind.WEBHOOK).first()
        if channel is None:
            raise Http404(f"There is no webhook {channel_id}.")
        return Response({"secret": rotate_secret(channel, timezone.now())})


class ChannelDetail(APIView):
    """One notification channel."""

    @extend_schema(operation_id="get_channel", responses=ChannelDetailOutput)
    def get(self, request: Request, channel_id: int) -> Response:
        return Response(ChannelDetailOutput(self._channel(request, channel_id)).data)

    @extend_schema(operation_id="replace_channel", request=ChannelInput, responses=ChannelDetailOutput)
    def put(self, request: Request, channel_id: int) -> Response:
        return self._change(request, channel_id, partial=False)

    @extend_schema(operation_id="change_channel", request=ChannelInput(partial=True), responses=ChannelDetailOutput)
    def patch(self, request: Request, channel_id: int) -> Response:
        return self._change(request, channel_id, partial=True)

    @extend_schema(operation_id="delete_channel", responses={204: None})
    def delete(self, request: Request, channel_id: int) -> Response:
        self._channel(request, channel_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _channel(self, request: Request, channel_id: int) -> NotificationChannel:
        channel = NotificationChannel.objects.filter(project=project_of(request), pk=channel_id).first()
        if channel is None:
            raise Http404(f"There is no channel {channel_id}.")
        return channel

    def _change(self, request: Request, channel_id: int, *, partial: bool) -> Response:
        channel = self._channel(request, channel_id)
        data = checked(ChannelInput(channel, data=request.data, partial=partial, context={"project": channel.project}))
        return Response(ChannelDetailOutput(_save_channel(channel, data)).data)


@transaction.atomic
def _save_channel(channel: NotificationChannel, values: dict[str, Any]) -> NotificationChannel:
    """A new target switches a channel on that a refusal had switched off, unless `enabled` says otherwise."""
    repaired = "target" in values and bool(channel.disabled_reason)
    enabled = values.pop("enabled", channel.enabled or repaired)
    for name, value in values.items():
        setattr(channel, name, value)
    channel.save()
    if enabled or channel.enabled:  # one that stays off keeps the reason why it is
        set_channel_enabled(channel, enabled=enabled)
    return channel


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
