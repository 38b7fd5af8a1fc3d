"""Paths under /api/v1/."""

from __future__ import annotations

from django.urls import path

from alerts import api, incident_api

urlpatterns = [
    path("alert-rules", api.AlertRuleList.as_view(), name="api-alert-rule-list"),
    path("alert-rules/<int:rule_id>", api.AlertRuleDetail.as_view(), name="api-alert-rule-detail"),
    path("channels", api.ChannelList.as_view(), name="api-channel-list"),
    path("channels/<int:channel_id>/secret", api.ChannelSecret.as_view(), name="api-channel-secret"),
    path("channels/<int:channel_id>", api.ChannelDetail.as_view(), name="api-channel-detail"),
    path("incidents", incident_api.IncidentList.as_view(), name="api-incident-list"),
    path("incidents/<int:incident_id>", incident_api.IncidentDetail.as_view(), name="api-incident-detail"),
    path("incidents/<int:incident_id>/ack", incident_api.IncidentAck.as_view(), name="api-incident-ack"),
    path("incidents/<int:incident_id>/snooze", incident_api.IncidentSnooze.as_view(), name="api-incident-snooze"),
    path("incidents/<int:incident_id>/resolve", incident_api.IncidentResolve.as_view(), name="api-incident-resolve"),
    path("incidents/<int:incident_id>/comments", incident_api.IncidentComments.as_view(), name="api-incident-comments"),
    path("alerts", api.AlertList.as_view(), name="api-alert-list"),
]
