"""Paths under /api/v1/."""

from __future__ import annotations

from django.urls import path

from alerts import api, backtest_api, incident_api, on_call_api, pack_api

urlpatterns = [
    path("alert-rules", api.AlertRuleList.as_view(), name="api-alert-rule-list"),
    path("alert-rules/pack", pack_api.PackView.as_view(), name="api-alert-pack"),
    path("alert-rules/backtest", backtest_api.DraftBacktest.as_view(), name="api-draft-backtest"),
    path("alert-rules/<int:rule_id>/backtest", backtest_api.RuleBacktest.as_view(), name="api-rule-backtest"),
    path("incident-marks", backtest_api.MarkList.as_view(), name="api-mark-list"),
    path("incident-marks/<int:mark_id>", backtest_api.MarkDetail.as_view(), name="api-mark-detail"),
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
    path("alert-routes", on_call_api.RouteList.as_view(), name="api-route-list"),
    path("alert-routes/<int:route_id>", on_call_api.RouteDetail.as_view(), name="api-route-detail"),
    path("alert-grouping", on_call_api.GroupingDetail.as_view(), name="api-grouping"),
    path("silences", on_call_api.SilenceList.as_view(), name="api-silence-list"),
    path("silences/<int:silence_id>", on_call_api.SilenceDetail.as_view(), name="api-silence-detail"),
    path("digests", on_call_api.DigestList.as_view(), name="api-digest-list"),
    path("digests/<int:digest_id>", on_call_api.DigestDetail.as_view(), name="api-digest-detail"),
    path("alerts", api.AlertList.as_view(), name="api-alert-list"),
]
