"""REST API of a project's privacy: what is masked or left out before it is stored."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingest.privacy_preview import MAX_TEXT_CHARACTERS, TOO_SLOW, preview_text
from tracestore.models import Privacy
from tracestore.privacy.masking import MAX_PATTERN_CHARACTERS, MAX_RULES, PRESETS, BadRule, MaskingTooSlow, build_rule
from tracestore.privacy.policy import build_policy, get_privacy, save_privacy
from tracestore.web.rest import StrictSerializer, project_of


class MaskingRule(serializers.Serializer[Any]):
    """A rule of the project's own: an RE2 pattern, and the name that its placeholder shows."""

    name = serializers.CharField()
    pattern = serializers.CharField(trim_whitespace=False, max_length=MAX_PATTERN_CHARACTERS)


class PrivacySettings(StrictSerializer):
    """What is masked or left out before it is stored. With `link_equal_values` equal values get equal placeholders."""

    presets = serializers.ListField(child=serializers.ChoiceField(choices=list(PRESETS)), required=False)
    rules = serializers.ListField(child=MaskingRule(), required=False, max_length=MAX_RULES)
    store_content = serializers.BooleanField(required=False, source="stores_content")
    store_error_texts = serializers.BooleanField(required=False, source="stores_error_texts")
    link_equal_values = serializers.BooleanField(required=False, source="links_equal_values")

    def validate_rules(self, rules: list[dict[str, str]]) -> list[dict[str, str]]:
        for number, rule in enumerate(rules, start=1):
            try:
                build_rule(rule["name"], rule["pattern"])
            except BadRule as error:
                raise serializers.ValidationError(f"Rule {number}: {error}") from None
        return [dict(rule) for rule in rules]

    def apply_to(self, row: Privacy) -> Privacy:
        for name, value in self.validated_data.items():
            setattr(row, name, value)
        return row


class PrivacyTest(PrivacySettings):
    """A text or OTLP/JSON, and settings to try it with: those that are absent are the project's."""

    text = serializers.CharField(trim_whitespace=False, max_length=MAX_TEXT_CHARACTERS)


class PrivacyTestResult(serializers.Serializer[Any]):
    """What would be stored of it, and how many values each rule masked."""

    text = serializers.CharField()
    is_otlp = serializers.BooleanField()
    masked = serializers.DictField(child=serializers.IntegerField())


class PrivacyView(APIView):
    """The project's settings."""

    @extend_schema(operation_id="get_privacy", responses=PrivacySettings)
    def get(self, request: Request) -> Response:
        return Response(PrivacySettings(get_privacy(project_of(request))).data)

    @extend_schema(operation_id="change_privacy", request=PrivacySettings(partial=True), responses=PrivacySettings)
    def patch(self, request: Request) -> Response:
        """Changes the fields that are given."""
        data = PrivacySettings(data=request.data)
        data.is_valid(raise_exception=True)
        row = data.apply_to(get_privacy(project_of(request)))
        try:
            save_privacy(row)
        except BadRule as error:
            raise serializers.ValidationError({"rules": [str(error)]}) from None
        return Response(PrivacySettings(row).data)


class PrivacyTestView(APIView):
    """What would be stored of a text."""

    @extend_schema(operation_id="test_privacy", request=PrivacyTest, responses=PrivacyTestResult)
    def post(self, request: Request) -> Response:
        data = PrivacyTest(data=request.data)
        data.is_valid(raise_exception=True)
        text = data.validated_data.pop("text")
        try:
            policy = build_policy(data.apply_to(get_privacy(project_of(request))))
        except BadRule as error:
            raise serializers.ValidationError({"rules": [str(error)]}) from None
        try:
            preview = preview_text(policy, text)
        except MaskingTooSlow:
            raise serializers.ValidationError({"text": [TOO_SLOW]}) from None
        return Response(PrivacyTestResult(preview).data)
