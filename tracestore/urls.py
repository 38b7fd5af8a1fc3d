"""Composition of all URLs; OTLP paths never come here (asgi.py)."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from tracestore.process import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/", include("dashboards.api.urls")),
    path("api/v1/", include("alerts.api.urls")),
    path("api/v1/", include("ingest.api.urls")),
    path("", include("alerts.urls")),
    path("", include("ingest.urls")),
    path("", include("dashboards.urls")),
]
handler404 = "dashboards.views.errors.not_found"
handler500 = "dashboards.views.errors.server_error"
