"""Pages of alerting."""

from __future__ import annotations

from django.urls import path

from alerts.views import alerts, backtest, channels, digests, history, incidents, pack, routes, rules, silences

urlpatterns = [
    path("alerts", alerts.alert_list, name="alert-list"),
    path("alerts/badge", alerts.alert_badge, name="alert-badge"),
    path("alerts/<int:alert_id>", alerts.alert_detail, name="alert-detail"),
    path("alerts/ack/<str:token>", incidents.ack_by_link, name="incident-ack-link"),
    path("alerts/digests", digests.digest_list, name="digest-list"),
    path("alerts/digests/new", digests.digest_edit, name="digest-new"),
    path("alerts/digests/<int:digest_id>", digests.digest_edit, name="digest-edit"),
    path("alerts/digests/<int:digest_id>/test", digests.digest_test, name="digest-test"),
    path("alerts/digests/<int:digest_id>/delete", digests.digest_delete, name="digest-delete"),
    path("alerts/history", history.history, name="alert-history"),
    path("alerts/incidents", incidents.incident_list, name="incident-list"),
    path("alerts/incidents/<int:incident_id>", incidents.incident_detail, name="incident-detail"),
    path("alerts/incidents/<int:incident_id>/chart", incidents.incident_chart, name="incident-chart"),
    path("alerts/incidents/<int:incident_id>/<str:action>", incidents.incident_act, name="incident-act"),
    path("alerts/silences", silences.silence_list, name="silence-list"),
    path("alerts/silences/new", silences.silence_edit, name="silence-new"),
    path("alerts/silences/<int:silence_id>", silences.silence_edit, name="silence-edit"),
    path("alerts/silences/<int:silence_id>/end", silences.silence_end, name="silence-end"),
    path("alerts/silences/<int:silence_id>/delete", silences.silence_delete, name="silence-delete"),
    path("alerts/routes", routes.route_list, name="route-list"),
    path("alerts/routes/grouping", routes.grouping_edit, name="grouping-edit"),
    path("alerts/routes/new", routes.route_edit, name="route-new"),
    path("alerts/routes/<int:route_id>", routes.route_edit, name="route-edit"),
    path("alerts/routes/<int:route_id>/move", routes.route_move, name="route-move"),
    path("alerts/routes/<int:route_id>/delete", routes.route_delete, name="route-delete"),
    path("alerts/rules", rules.rule_list, name="alert-rule-list"),
    path("alerts/rules/new", rules.rule_edit, name="alert-rule-new"),
    path("alerts/rules/preview", rules.rule_preview, name="alert-rule-preview"),
    path("alerts/rules/<int:rule_id>", rules.rule_edit, name="alert-rule-edit"),
    path("alerts/rules/<int:rule_id>/switch", rules.rule_switch, name="alert-rule-switch"),
    path("alerts/rules/<int:rule_id>/delete", rules.rule_delete, name="alert-rule-delete"),
    path("alerts/rules/<int:rule_id>/backtest", backtest.rule_backtest, name="alert-rule-backtest"),
    path("alerts/rules/pack", pack.pack, name="alert-pack"),
    path("alerts/rules/backtest", backtest.draft_backtest, name="alert-draft-backtest"),
    path("alerts/marks", backtest.mark_add, name="alert-mark-add"),
    path("alerts/marks/<int:mark_id>/delete", backtest.mark_delete, name="alert-mark-delete"),
    path("alerts/channels", channels.channel_list, name="alert-channel-list"),
    path("alerts/channels/new", channels.channel_edit, name="alert-channel-new"),
    path("alerts/channels/<int:channel_id>", channels.channel_edit, name="alert-channel-edit"),
    path("alerts/channels/<int:channel_id>/secret", channels.channel_secret, name="alert-channel-secret"),
    path("alerts/channels/<int:channel_id>/test", channels.channel_test, name="alert-channel-test"),
    path("alerts/channels/<int:channel_id>/switch", channels.channel_switch, name="alert-channel-switch"),
    path("alerts/channels/<int:channel_id>/delete", channels.channel_delete, name="alert-channel-delete"),
]
