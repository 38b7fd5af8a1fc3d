"""REST API of notification channels."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.names import NamedInput
from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.channels import check_target, describe_target
from alerts.delivery import rotate_secret, set_channel_enabled
from alerts.models import ChannelKind, NotificationChannel
from tracestore.web.rest import checked, page_of, project_of, require_room

MAX_CHANNELS = 200
_CHANNEL_FIELDS = ["id", "name", "kind", "target_shown", "enabled", "disabled_reason", "created_at"]


class ChannelInput(NamedInput):
    """`target` may hold a secret and is never answered; a channel that exists keeps its own without one."""

    noun, model, answered = "channel", NotificationChannel, [*_CHANNEL_FIELDS, "secret"]

    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(
        choices=ChannelKind.choices,
        error_messages={"invalid_choice": f"There is no kind '{{input}}'; there are {', '.join(ChannelKind.values)}."},
    )
    target = serializers.CharField(
        max_length=2000,
        required=False,
        write_only=True,
        help_text="E-mail addresses, a webhook's address, a PagerDuty key or an Apprise URL.",
    )
    enabled = serializers.BooleanField(default=True)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        kind = values["kind"] if self.instance is None else values.get("kind", self.instance.kind)
        if "target" not in values:
            if self.instance is None:
                raise serializers.ValidationError({"target": "A new channel needs its target."})
            if kind != self.instance.kind:
                raise serializers.ValidationError({"target": "Another kind of channel needs another target."})
            return values
        try:
            check_target(kind, values["target"])
        except ValueError as error:
            raise serializers.ValidationError({"target": str(error)}) from None
        return values


class ChannelOutput(serializers.ModelSerializer[NotificationChannel]):
    """A channel without its target, which may hold a secret."""

    class Meta:
        model = NotificationChannel
        fields = ["id", "name", "kind", "enabled"]


class ChannelDetailOutput(serializers.ModelSerializer[NotificationChannel]):
    """A channel as its own address answers it. `disabled_reason` says why a channel was switched off by a refusal."""

    target_shown = serializers.SerializerMethodField(help_text="Where messages go, without passwords, tokens and paths.")

    class Meta:
        model = NotificationChannel
        fields = _CHANNEL_FIELDS

    def get_target_shown(self, channel: NotificationChannel) -> str:
        return describe_target(channel.kind, channel.target)


class CreatedChannelOutput(ChannelDetailOutput):
    """A new channel, with the secret that signs a webhook's requests: it is never answered again."""

    secret = serializers.CharField(allow_null=True, help_text="Null for kinds that are not signed.")

    class Meta:
        model = NotificationChannel
        fields = [*_CHANNEL_FIELDS, "secret"]


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
        webhooks = NotificationChannel.objects.filter(kind=ChannelKind.WEBHOOK)
        channel = get_of_project(webhooks, "webhook", request, channel_id)
        return Response({"secret": rotate_secret(channel, timezone.now())})


class ChannelDetail(APIView):
    """One notification channel."""

    @extend_schema(operation_id="get_channel", responses=ChannelDetailOutput)
    def get(self, request: Request, channel_id: int) -> Response:
        return Response(ChannelDetailOutput(_get_channel(request, channel_id)).data)

    @extend_schema(operation_id="replace_channel", request=ChannelInput, responses=ChannelDetailOutput)
    def put(self, request: Request, channel_id: int) -> Response:
        return self._change(request, channel_id, partial=False)

    @extend_schema(operation_id="change_channel", request=ChannelInput(partial=True), responses=ChannelDetailOutput)
    def patch(self, request: Request, channel_id: int) -> Response:
        return self._change(request, channel_id, partial=True)

    @extend_schema(operation_id="delete_channel", responses={204: None})
    def delete(self, request: Request, channel_id: int) -> Response:
        _get_channel(request, channel_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _change(self, request: Request, channel_id: int, *, partial: bool) -> Response:
        channel = _get_channel(request, channel_id)
        data = checked(ChannelInput(channel, data=request.data, partial=partial, context={"project": channel.project}))
        return Response(ChannelDetailOutput(_save_channel(channel, data)).data)


def _get_channel(request: Request, channel_id: int) -> NotificationChannel:
    return get_of_project(NotificationChannel.objects, "channel", request, channel_id)


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
