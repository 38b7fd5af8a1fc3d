"""Pages of the browser UI."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter
from django.views.generic import RedirectView

from dashboards import api
from dashboards.lists import AnyText
from dashboards.views import (
    compare,
    dashboard,
    error_list,
    export,
    help,
    logs,
    peek,
    quality,
    saved_views,
    sessions,
    setup,
    step,
    trace,
    traces,
    transcript,
    why,
)
from dashboards.views.login import Login

register_converter(AnyText, "any")

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="trace-list", query_string=True), name="home"),
    path("login", Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("metrics", api.PrometheusView.as_view(), name="prometheus"),
    path("compare", compare.compare, name="compare"),
    path("compare/answer", compare.compare_answer, name="compare-answer"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("dashboard/tiles", dashboard.dashboard_tiles, name="dashboard-tiles"),
    path("dashboard/charts/<slug:name>", dashboard.dashboard_chart, name="dashboard-chart"),
    path("help/query", help.query_language, name="help-query"),
    path("errors", error_list.error_list, name="error-list"),
    path("errors/<str:fingerprint>", error_list.error_detail, name="error-detail"),
    path("errors/<str:fingerprint>/state", error_list.error_state, name="error-state"),
    path("logs", logs.log_list, name="log-list"),
    path("logs/complete", logs.log_complete, name="log-complete"),
    path("logs/<int:time_ns>/<str:record_id>/text", logs.log_text, name="log-list-text"),
    path("quality", quality.data_quality, name="data-quality"),
    path("sessions", sessions.session_list, name="session-list"),
    path("sessions/<any:session_id>", sessions.session_detail, name="session-detail"),
    path("setup", setup.setup, name="setup"),
    path("setup/arrived", setup.setup_arrived, name="setup-arrived"),
    path("traces", traces.trace_list, name="trace-list"),
    path("traces/facets", traces.trace_facets, name="trace-facets"),
    path("traces/volume", traces.trace_volume, name="trace-volume"),
    path("traces/outliers", traces.trace_outliers, name="trace-outliers"),
    path("traces/tail", traces.trace_tail, name="trace-tail"),
    path("traces/export.<str:kind>", export.trace_export, name="trace-export"),
    path("traces/views", saved_views.saved_views, name="saved-views"),
    path("traces/views/menu", saved_views.saved_view_menu, name="saved-view-menu"),
    path("traces/views.json", saved_views.saved_view_json, name="saved-view-json"),
    path("traces/views/<int:view_id>", saved_views.saved_view_change, name="saved-view-change"),
    path("traces/views/<int:view_id>/delete", saved_views.saved_view_delete, name="saved-view-delete"),
    path("traces/new", traces.trace_new, name="trace-new"),
    path("traces/complete", traces.trace_complete, name="trace-complete"),
    path("traces/<str:trace_id>", trace.trace_detail, name="trace-detail"),
    path("traces/<str:trace_id>/turn", sessions.trace_turn, name="trace-turn"),
    path("traces/<str:trace_id>/peek", peek.trace_peek, name="trace-peek"),
    path("traces/<str:trace_id>/tree", trace.trace_tree, name="trace-tree"),
    path("traces/<str:trace_id>/search", trace.trace_search, name="trace-search"),
    path("traces/<str:trace_id>/raw", trace.trace_raw, name="trace-raw"),
    path("traces/<str:trace_id>/download", trace.trace_download, name="trace-download"),
    path("traces/<str:trace_id>/logs", trace.trace_log_rows, name="trace-logs"),
    path("traces/<str:trace_id>/logs/<str:record_id>/text", trace.log_text, name="log-text"),
    path("traces/<str:trace_id>/spans/<str:span_id>", trace.span_detail, name="span-detail"),
    path("traces/<str:trace_id>/spans/<str:span_id>/text", trace.span_text, name="span-text"),
    path("traces/<str:trace_id>/spans/<str:span_id>/json", trace.span_json, name="span-json"),
    path("users", sessions.user_list, name="user-list"),
    path("users/<any:user_id>", sessions.user_detail, name="user-detail"),
    path("traces/<str:trace_id>/transcript", transcript.transcript, name="trace-transcript"),
    path("traces/<str:trace_id>/repeats", transcript.repeats, name="trace-repeats"),
    path("traces/<str:trace_id>/spans/<str:span_id>/markdown", step.span_markdown, name="span-markdown"),
    path("traces/<str:trace_id>/spans/<str:span_id>/image", step.span_image, name="span-image"),
    path("traces/<str:trace_id>/spans/<str:span_id>/call", step.span_call, name="span-call"),
    path("traces/<str:trace_id>/spans/<str:span_id>/history", step.span_history, name="span-history"),
    path("traces/<str:trace_id>/spans/<str:span_id>/similar", step.span_similar, name="span-similar"),
    path("why", why.why, name="why"),
    path("why/answer", why.why_answer, name="why-answer"),
    path("why/attributes", why.why_attributes, name="why-attributes"),
]
