"""Routes of the REST API, included under /api/v1/."""

from __future__ import annotations

from django.urls import path

from dashboards import api, dashboard_api, price_api

urlpatterns = [
    path("traces", api.TraceListView.as_view(), name="api-trace-list"),
    path("traces/<str:trace_id>", api.TraceView.as_view(), name="api-trace"),
    path("traces/<str:trace_id>/logs", api.TraceLogsView.as_view(), name="api-trace-logs"),
    path("traces/<str:trace_id>/spans/<str:span_id>", api.SpanView.as_view(), name="api-span"),
    path("logs", api.LogListView.as_view(), name="api-log-list"),
    path("spans", api.SpanListView.as_view(), name="api-span-list"),
    path("metrics", api.MetricView.as_view(), name="api-metric"),
    path("errors", api.ErrorListView.as_view(), name="api-error-list"),
    path("why", api.WhyView.as_view(), name="api-why"),
    path("compare", api.CompareView.as_view(), name="api-compare"),
    path("agents", api.AgentGraphView.as_view(), name="api-agent-graph"),
    path("dashboards", dashboard_api.DashboardListView.as_view(), name="api-dashboard-list"),
    path("dashboards/<slug:slug>", dashboard_api.DashboardView.as_view(), name="api-dashboard"),
    path("prices", price_api.PriceListView.as_view(), name="api-price-list"),
    path("prices/<int:price_id>", price_api.PriceView.as_view(), name="api-price"),
    path("facets", api.FacetView.as_view(), name="api-facet"),
]
