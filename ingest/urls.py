"""The part of the UI that ingest answers for; OTLP paths never come here (asgi.py)."""

from __future__ import annotations

from django.urls import path

from ingest.views import dead_letters, mapping, privacy

urlpatterns = [
    path("privacy", privacy.privacy, name="privacy"),
    path("privacy/test", privacy.privacy_test, name="privacy-test"),
    path("quality/dead-letters", dead_letters.dead_letter_list, name="dead-letter-list"),
    path("quality/dead-letters/replay", dead_letters.dead_letter_replay, name="dead-letter-replay"),
    path("setup/mapping", mapping.mapping, name="mapping"),
    path("setup/mapping/test", mapping.mapping_test, name="mapping-test"),
    path("setup/mapping/reread", mapping.reread_progress, name="reread-progress"),
    path("setup/mapping/reread/switch", mapping.reread_switch, name="reread-switch"),
    path("setup/mapping/<int:rule_id>", mapping.mapping, name="mapping-edit"),
    path("setup/mapping/<int:rule_id>/test", mapping.mapping_test, name="mapping-edit-test"),
    path("setup/mapping/<int:rule_id>/delete", mapping.mapping_delete, name="mapping-delete"),
]
