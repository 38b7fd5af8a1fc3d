"""The part of the UI that ingest answers for; OTLP paths never come here (asgi.py)."""

from __future__ import annotations

from django.urls import path

from ingest import privacy_views, views

urlpatterns = [
    path("privacy", privacy_views.privacy, name="privacy"),
    path("privacy/test", privacy_views.privacy_test, name="privacy-test"),
    path("quality/dead-letters", views.dead_letter_list, name="dead-letter-list"),
    path("quality/dead-letters/replay", views.dead_letter_replay, name="dead-letter-replay"),
]
