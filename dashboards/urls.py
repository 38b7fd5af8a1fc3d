"""Pages of the browser UI."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.generic import RedirectView

from dashboards import api
from dashboards.views import dashboard, design, logs, quality, setup, trace, traces
from dashboards.views.login import Login

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="trace-list", query_string=True), name="home"),
    path("login", Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("metrics", api.PrometheusView.as_view(), name="prometheus"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("dashboard/tiles", dashboard.dashboard_tiles, name="dashboard-tiles"),
    path("dashboard/charts/<slug:name>", dashboard.dashboard_chart, name="dashboard-chart"),
    path("help/design", design.design, name="design"),
    path("logs", logs.log_list, name="log-list"),
    path("logs/complete", logs.log_complete, name="log-complete"),
    path("logs/<int:time_ns>/<str:record_id>/text", logs.log_text, name="log-list-text"),
    path("quality", quality.data_quality, name="data-quality"),
    path("setup", setup.setup, name="setup"),
    path("setup/arrived", setup.setup_arrived, name="setup-arrived"),
    path("traces", traces.trace_list, name="trace-list"),
    path("traces/facets", traces.trace_facets, name="trace-facets"),
    path("traces/volume", traces.trace_volume, name="trace-volume"),
    path("traces/new", traces.trace_new, name="trace-new"),
    path("traces/complete", traces.trace_complete, name="trace-complete"),
    path("traces/<str:trace_id>", trace.trace_detail, name="trace-detail"),
    path("traces/<str:trace_id>/logs/<str:record_id>/text", trace.log_text, name="log-text"),
    path("traces/<str:trace_id>/spans/<str:span_id>", trace.span_detail, name="span-detail"),
    path("traces/<str:trace_id>/spans/<str:span_id>/text", trace.span_text, name="span-text"),
    path("traces/<str:trace_id>/spans/<str:span_id>/json", trace.span_json, name="span-json"),
]
