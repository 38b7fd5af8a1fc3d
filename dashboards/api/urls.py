"""Routes of the REST API, included under /api/v1/."""

from __future__ import annotations

from django.urls import path

from dashboards.api import comparisons, dashboards, prices, traces

urlpatterns = [
    path("traces", traces.TraceListView.as_view(), name="api-trace-list"),
    path("traces/<str:trace_id>", traces.TraceView.as_view(), name="api-trace"),
    path("traces/<str:trace_id>/logs", traces.TraceLogsView.as_view(), name="api-trace-logs"),
    path("traces/<str:trace_id>/spans/<str:span_id>", traces.SpanView.as_view(), name="api-span"),
    path("logs", traces.LogListView.as_view(), name="api-log-list"),
    path("spans", traces.SpanListView.as_view(), name="api-span-list"),
    path("metrics", traces.MetricView.as_view(), name="api-metric"),
    path("errors", traces.ErrorListView.as_view(), name="api-error-list"),
    path("why", comparisons.WhyView.as_view(), name="api-why"),
    path("compare", comparisons.CompareView.as_view(), name="api-compare"),
    path("agents", comparisons.AgentGraphView.as_view(), name="api-agent-graph"),
    path("versions/<path:version>/verdict", comparisons.VerdictView.as_view(), name="api-verdict"),
    path("prices", prices.PriceListView.as_view(), name="api-price-list"),
    path("prices/<int:price_id>", prices.PriceView.as_view(), name="api-price"),
    path("dashboards", dashboards.DashboardListView.as_view(), name="api-dashboard-list"),
    path("dashboards/<slug:slug>", dashboards.DashboardView.as_view(), name="api-dashboard"),
    path("facets", traces.FacetView.as_view(), name="api-facet"),
]
