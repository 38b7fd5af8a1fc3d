"""REST API of a project's mapping rules: CRUD, the tester, and reading stored spans again. docs/attribute-mapping.md."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingest.mapping import TARGETS, BadSpan, try_rules
from tracestore.clickhouse.client import get_store
from tracestore.jobs.reread import AlreadyRunning, cancel_reread, start_reread
from tracestore.mapping import MAX_RULES, check_rule
from tracestore.models import MappingRule, Reread
from tracestore.web.rest import StrictSerializer, checked, page_of, project_of

_DEFINITION = ("position", "source", "key", "pattern", "target", "value")


class MappingRuleInput(StrictSerializer):
    """A rule. What the source holds becomes the target; `value`, where it is given, stands in its place.

    `source` is attribute (`key` names it), name (of the span) or tool; in `pattern` a * stands for any text.
    """

    answered = ("id", "created_at")

    position = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field of that name is allowed, if not in the stubs
        choices=MappingRule.Source.choices, default=MappingRule.Source.ATTRIBUTE
    )
    key = serializers.CharField(default="", allow_blank=True, max_length=256, trim_whitespace=False)
    pattern = serializers.CharField(default="", allow_blank=True, max_length=256, trim_whitespace=False)
    target = serializers.CharField(max_length=32, help_text=f"One of {', '.join(TARGETS)}.")
    value = serializers.CharField(default="", allow_blank=True, max_length=256, trim_whitespace=False)


class MappingRuleOutput(serializers.ModelSerializer[MappingRule]):
    class Meta:
        model = MappingRule
        fields: ClassVar[list[str]] = ["id", *_DEFINITION, "created_at"]


class MappingTestInput(serializers.Serializer[Any]):
    """`span` is OTLP/JSON, as text or object, or the address or ids of a stored span. Without `rules` the saved ones count."""

    span = serializers.JSONField()
    rules = MappingRuleInput(many=True, required=False)


class _FieldOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    without_rules = serializers.JSONField()
    value = serializers.JSONField()
    origin = serializers.CharField(help_text="The attribute or rule that the value is from, empty when it is derived.")


class _OutcomeOutput(serializers.Serializer[Any]):
    target = serializers.CharField(source="rule.target")
    source = serializers.CharField(source="rule.source")  # type: ignore[assignment]  # as in MappingRuleInput
    key = serializers.CharField(source="rule.key")
    pattern = serializers.CharField(source="rule.pattern")
    value = serializers.CharField(help_text="Empty when the rule does not match.")
    counts = serializers.BooleanField()


class MappingTestOutput(serializers.Serializer[Any]):
    """Each canonical field without and with the rules, and what each rule says."""

    def get_fields(self) -> dict[str, Any]:
        # Not as attributes of the class: `fields` is a property of every serializer.
        return {"fields": _FieldOutput(many=True), "rules": _OutcomeOutput(many=True, source="outcomes")}


class RereadOutput(serializers.ModelSerializer[Reread]):
    class Meta:
        model = Reread
        fields: ClassVar[list[str]] = ["id", "status", "spans_done", "spans_total", "error", "created_at", "ended_at"]


@transaction.atomic
def _save(rule: MappingRule, values: dict[str, Any]) -> MappingRule:
    for name, value in values.items():
        setattr(rule, name, value)
    _check(rule)
    rule.save()
    return rule


def _check(rule: MappingRule) -> MappingRule:
    try:
        check_rule(rule)
    except ValidationError as error:
        raise serializers.ValidationError(error.message_dict if hasattr(error, "error_dict") else error.messages) from None
    return rule


class MappingRuleList(APIView):
    """All rules in the order in which they are tried, and the place to add one."""

    @extend_schema(
        operation_id="list_mapping_rules",
        tags=["mapping"],
        responses=page_of("MappingRulePage", MappingRuleOutput),
    )
    def get(self, request: Request) -> Response:
        rules = MappingRule.objects.filter(project=project_of(request))
        return Response({"results": MappingRuleOutput(rules, many=True).data, "next": None})

    @extend_schema(
        operation_id="create_mapping_rule", request=MappingRuleInput, responses={201: MappingRuleOutput}, tags=["mapping"]
    )
    def post(self, request: Request) -> Response:
        data = checked(MappingRuleInput(data=request.data))
        rule = _save(MappingRule(project=project_of(request)), data)
        return Response(MappingRuleOutput(rule).data, status=status.HTTP_201_CREATED)


class MappingRuleDetail(APIView):
    """One rule."""

    @extend_schema(operation_id="get_mapping_rule", responses=MappingRuleOutput, tags=["mapping"])
    def get(self, request: Request, rule_id: int) -> Response:
        return Response(MappingRuleOutput(self._rule(request, rule_id)).data)

    @extend_schema(operation_id="replace_mapping_rule", request=MappingRuleInput, responses=MappingRuleOutput, tags=["mapping"])
    def put(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=False)

    @extend_schema(
        operation_id="change_mapping_rule", request=MappingRuleInput(partial=True), responses=MappingRuleOutput, tags=["mapping"]
    )
    def patch(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=True)

    @extend_schema(operation_id="delete_mapping_rule", responses={204: None}, tags=["mapping"])
    def delete(self, request: Request, rule_id: int) -> Response:
        self._rule(request, rule_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _rule(self, request: Request, rule_id: int) -> MappingRule:
        rule = MappingRule.objects.filter(project=project_of(request), pk=rule_id).first()
        if rule is None:
            raise Http404(f"There is no mapping rule {rule_id}.")
        return rule

    def _change(self, request: Request, rule_id: int, *, partial: bool) -> Response:
        rule = self._rule(request, rule_id)
        data = checked(MappingRuleInput(data=request.data, partial=partial))
        return Response(MappingRuleOutput(_save(rule, data)).data)


class MappingTest(APIView):
    """What a span would become; nothing is stored."""

    @extend_schema(operation_id="test_mapping", request=MappingTestInput, responses=MappingTestOutput, tags=["mapping"])
    def post(self, request: Request) -> Response:
        data = checked(MappingTestInput(data=request.data))
        project = project_of(request)
        span = data["span"]
        drafts = data.get("rules")
        if drafts is None:
            rules = list(MappingRule.objects.filter(project=project))
        else:
            rules = [_check(MappingRule(project=project, **values)) for values in drafts[:MAX_RULES]]
        try:
            text = span if isinstance(span, str) else json.dumps(span)
            trial = try_rules(get_store(), rules, project_id=project.pk, span=text)
        except BadSpan as error:
            raise serializers.ValidationError({"span": [str(error)]}) from None
        return Response(MappingTestOutput(trial).data)


class _UnderWay(APIException):
    status_code = status.HTTP_409_CONFLICT


class RereadView(APIView):
    """Reading stored spans again: start (409 while one is under way), progress of the last run, cancel."""

    @extend_schema(operation_id="get_reread", responses=RereadOutput, tags=["mapping"])
    def get(self, request: Request) -> Response:
        job = Reread.objects.filter(project=project_of(request)).last()
        if job is None:
            raise Http404("The spans of this project were never read again.")
        return Response(RereadOutput(job).data)

    @extend_schema(operation_id="start_reread", request=None, responses={202: RereadOutput}, tags=["mapping"])
    def post(self, request: Request) -> Response:
        try:
            job = start_reread(project_of(request).pk)
        except AlreadyRunning as error:
            raise _UnderWay(str(error)) from None
        return Response(RereadOutput(job).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(operation_id="cancel_reread", responses={204: None}, tags=["mapping"])
    def delete(self, request: Request) -> Response:
        if not cancel_reread(project_of(request).pk):
            raise Http404("Nothing is under way.")
        return Response(status=status.HTTP_204_NO_CONTENT)
