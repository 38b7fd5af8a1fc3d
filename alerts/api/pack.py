"""REST API of the ready-made rules."""

from __future__ import annotations

import math

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.names import ChannelReference, find_channels
from alerts.api.rules import AlertRuleOutput
from alerts.models import NotificationChannel
from alerts.rules.pack import add_pack, suggest_budgets
from tracestore.clickhouse.client import get_store
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of


class PackInput(StrictSerializer):
    """What the rules of the pack cannot know of themselves."""

    daily_budget_usd = serializers.FloatField(required=False, help_text="Default: the dearest day of the past four weeks.")
    user_quota_usd = serializers.FloatField(required=False, help_text="Of a month. Default: the dearest user's.")
    channels = serializers.ListField(child=ChannelReference(), default=list, help_text="Names or ids of who is told.")

    def validate_channels(self, names: list[str]) -> list[NotificationChannel]:
        return find_channels(self.context["project"], names)

    def validate_daily_budget_usd(self, usd: float) -> float:
        if not (math.isfinite(usd) and usd > 0):
            raise serializers.ValidationError("A budget is a number of USD above 0.")
        return usd

    validate_user_quota_usd = validate_daily_budget_usd


class PackView(APIView):
    """The ready-made rules."""

    @extend_schema(
        operation_id="add_alert_pack",
        summary="Add the ready-made rules",
        request=PackInput,
        responses=page_of("AlertPackResult", AlertRuleOutput),
    )
    def post(self, request: Request) -> Response:
        """Adds those that the project does not have, and answers them; what it has stays as it is."""
        project, now = project_of(request), timezone.now()
        given = dict(checked(PackInput(data=request.data, context={"project": project})))
        channels = given.pop("channels")
        if len(given) < 2:
            daily_usd, user_usd = suggest_budgets(get_store(), project.pk, now)
            given = {"daily_budget_usd": daily_usd, "user_quota_usd": user_usd} | given
        added = add_pack(project, channels, now, **given)
        return Response({"results": AlertRuleOutput(added, many=True).data, "next": None})
