"""The part of the UI that ingest answers for; OTLP paths never come here (asgi.py)."""

from __future__ import annotations

from django.urls import path

from ingest import mapping_views, privacy_views, views

urlpatterns = [
    path("privacy", privacy_views.privacy, name="privacy"),
    path("privacy/test", privacy_views.privacy_test, name="privacy-test"),
    path("quality/dead-letters", views.dead_letter_list, name="dead-letter-list"),
    path("quality/dead-letters/replay", views.dead_letter_replay, name="dead-letter-replay"),
    path("setup/mapping", mapping_views.mapping, name="mapping"),
    path("setup/mapping/test", mapping_views.mapping_test, name="mapping-test"),
    path("setup/mapping/reread", mapping_views.reread_progress, name="reread-progress"),
    path("setup/mapping/reread/switch", mapping_views.reread_switch, name="reread-switch"),
    path("setup/mapping/<int:rule_id>", mapping_views.mapping, name="mapping-edit"),
    path("setup/mapping/<int:rule_id>/test", mapping_views.mapping_test, name="mapping-edit-test"),
    path("setup/mapping/<int:rule_id>/delete", mapping_views.mapping_delete, name="mapping-delete"),
]
