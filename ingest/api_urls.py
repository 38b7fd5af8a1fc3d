"""Routes of the REST API that ingest answers for, included under /api/v1/."""

from __future__ import annotations

from django.urls import path

from ingest import api, mapping_api, scores_api

urlpatterns = [
    path("scores", scores_api.ScoreView.as_view(), name="api-scores"),
    path("scores/<path:score_id>", scores_api.ScoreDetailView.as_view(), name="api-score"),
    path("privacy", api.PrivacyView.as_view(), name="api-privacy"),
    path("privacy/test", api.PrivacyTestView.as_view(), name="api-privacy-test"),
    path("mapping/rules", mapping_api.MappingRuleList.as_view(), name="api-mapping-rule-list"),
    path("mapping/rules/<int:rule_id>", mapping_api.MappingRuleDetail.as_view(), name="api-mapping-rule"),
    path("mapping/test", mapping_api.MappingTest.as_view(), name="api-mapping-test"),
    path("mapping/reread", mapping_api.RereadView.as_view(), name="api-reread"),
]
