"""Paths under /api/v1/."""

from __future__ import annotations

from django.urls import path

from alerts import api

urlpatterns = [
    path("alert-rules", api.AlertRuleList.as_view(), name="api-alert-rule-list"),
    path("alert-rules/<int:rule_id>", api.AlertRuleDetail.as_view(), name="api-alert-rule-detail"),
    path("channels", api.ChannelList.as_view(), name="api-channel-list"),
    path("channels/<int:channel_id>/secret", api.ChannelSecret.as_view(), name="api-channel-secret"),
    path("channels/<int:channel_id>", api.ChannelDetail.as_view(), name="api-channel-detail"),
    path("alerts", api.AlertList.as_view(), name="api-alert-list"),
]
