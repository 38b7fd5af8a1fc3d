"""Paths under /api/v1/."""

from __future__ import annotations

from django.urls import path

from ingest import api

urlpatterns = [
    path("privacy", api.PrivacyView.as_view(), name="api-privacy"),
    path("privacy/test", api.PrivacyTestView.as_view(), name="api-privacy-test"),
]
