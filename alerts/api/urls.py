"""Paths under /api/v1/."""

from __future__ import annotations

from django.urls import path

from alerts.api import alerts, backtests, channels, digests, incidents, pack, routes, rules, silences

urlpatterns = [
    path("alert-rules", rules.AlertRuleList.as_view(), name="api-alert-rule-list"),
    path("alert-rules/pack", pack.PackView.as_view(), name="api-alert-pack"),
    path("alert-rules/backtest", backtests.DraftBacktest.as_view(), name="api-draft-backtest"),
    path("alert-rules/<int:rule_id>/backtest", backtests.RuleBacktest.as_view(), name="api-rule-backtest"),
    path("incident-marks", backtests.MarkList.as_view(), name="api-mark-list"),
    path("incident-marks/<int:mark_id>", backtests.MarkDetail.as_view(), name="api-mark-detail"),
    path("alert-rules/<int:rule_id>", rules.AlertRuleDetail.as_view(), name="api-alert-rule-detail"),
    path("channels", channels.ChannelList.as_view(), name="api-channel-list"),
    path("channels/<int:channel_id>/secret", channels.ChannelSecret.as_view(), name="api-channel-secret"),
    path("channels/<int:channel_id>", channels.ChannelDetail.as_view(), name="api-channel-detail"),
    path("incidents", incidents.IncidentList.as_view(), name="api-incident-list"),
    path("incidents/<int:incident_id>", incidents.IncidentDetail.as_view(), name="api-incident-detail"),
    path("incidents/<int:incident_id>/ack", incidents.IncidentAck.as_view(), name="api-incident-ack"),
    path("incidents/<int:incident_id>/snooze", incidents.IncidentSnooze.as_view(), name="api-incident-snooze"),
    path("incidents/<int:incident_id>/resolve", incidents.IncidentResolve.as_view(), name="api-incident-resolve"),
    path("incidents/<int:incident_id>/comments", incidents.IncidentComments.as_view(), name="api-incident-comments"),
    path("alert-routes", routes.RouteList.as_view(), name="api-route-list"),
    path("alert-routes/<int:route_id>", routes.RouteDetail.as_view(), name="api-route-detail"),
    path("alert-grouping", routes.GroupingDetail.as_view(), name="api-grouping"),
    path("silences", silences.SilenceList.as_view(), name="api-silence-list"),
    path("silences/<int:silence_id>", silences.SilenceDetail.as_view(), name="api-silence-detail"),
    path("digests", digests.DigestList.as_view(), name="api-digest-list"),
    path("digests/<int:digest_id>", digests.DigestDetail.as_view(), name="api-digest-detail"),
    path("alerts", alerts.AlertList.as_view(), name="api-alert-list"),
]
