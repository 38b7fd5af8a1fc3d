"""Routes of the REST API that ingest answers for, included under /api/v1/."""

from __future__ import annotations

from django.urls import path

from ingest.api import mapping, privacy, scores

urlpatterns = [
    path("scores", scores.ScoreView.as_view(), name="api-scores"),
    path("scores/<path:score_id>", scores.ScoreDetailView.as_view(), name="api-score"),
    path("privacy", privacy.PrivacyView.as_view(), name="api-privacy"),
    path("privacy/test", privacy.PrivacyTestView.as_view(), name="api-privacy-test"),
    path("mapping/rules", mapping.MappingRuleList.as_view(), name="api-mapping-rule-list"),
    path("mapping/rules/<int:rule_id>", mapping.MappingRuleDetail.as_view(), name="api-mapping-rule"),
    path("mapping/test", mapping.MappingTest.as_view(), name="api-mapping-test"),
    path("mapping/reread", mapping.RereadView.as_view(), name="api-reread"),
]
