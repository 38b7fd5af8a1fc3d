"""REST API of alert rules. What a client may set is not what it gets: input and output are apart, here as beside."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api.channels import ChannelOutput
from alerts.api.names import ChannelReference, NamedInput, find_channels
from alerts.api.resources import PAGING, answer_page, get_of_project
from alerts.models import (
    MAX_EVALUATIONS,
    MAX_GRACE_S,
    MAX_GROUP_FIELDS,
    MAX_HOLD_S,
    MAX_INTERVAL_S,
    MAX_WEEKS,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    AlertRule,
    NoDataPolicy,
    NotificationChannel,
    Period,
    RuleInstance,
    RuleKind,
    Severity,
    Side,
    validate_time_zone,
)
from alerts.rules.definition import find_problems
from alerts.rules.editing import delete_rule, save_rule
from alerts.rules.evaluation import AlertState
from tracestore.language import parse_query
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS
from tracestore.queries.metrics.groups import RUN_METRICS
from tracestore.timerange import moment_of
from tracestore.web.rest import checked, page_of, project_of, require_room

MAX_RULES = 2000
_RULE_FIELDS = [
    "id", "name", "kind", "metric", "query", "group_by", "window_s", "interval_s", "grace_s", "comparison", "threshold",
    "warning_threshold", "recovery_threshold", "hold_s", "breaches_needed", "of_evaluations", "min_samples", "no_data",
    "baseline_weeks", "baseline_deviations", "budget_period", "schedule", "time_zone", "severity", "labels", "channels",
    "enabled", "groups", "state", "state_since", "last_value", "last_evaluated_at", "last_error", "created_at",
]  # fmt: skip


class AlertRuleInput(NamedInput):
    """A rule's definition. `threshold` is in the metric's unit (rates 0 to 1), `channels` are ids or names of channels.

    For the kinds `baseline` and `version` thresholds are changes: 0.5 is half as much again.
    """

    noun, model, answered = "rule", AlertRule, _RULE_FIELDS

    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(choices=RuleKind.choices, default=RuleKind.THRESHOLD)
    metric = serializers.CharField(max_length=64, help_text=f"{', '.join(METRICS)}; for the kind `run` {', '.join(RUN_METRICS)}.")
    # Kept as it came: an error's position counts its characters. The language bounds its length.
    query = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False, help_text="Which traces count; empty for all."
    )
    group_by = serializers.ListField(
        child=serializers.CharField(max_length=64), default=list, max_length=MAX_GROUP_FIELDS,
        help_text=f"Fields whose values have a state each: {', '.join(GROUPINGS)}.",
    )  # fmt: skip
    window_s = serializers.IntegerField(
        min_value=MIN_WINDOW_S, max_value=MAX_WINDOW_S, default=300, help_text="How much of the past each evaluation looks at."
    )
    interval_s = serializers.IntegerField(
        min_value=0,
        max_value=MAX_INTERVAL_S,
        default=0,
        help_text="Seconds between evaluations; 0 for as often as the server does.",
    )
    grace_s = serializers.IntegerField(
        min_value=0, max_value=MAX_GRACE_S, default=0, help_text="The window ends so many seconds ago, for data that come late."
    )
    comparison = serializers.ChoiceField(choices=Side.choices, default=Side.ABOVE)
    threshold = serializers.FloatField()
    warning_threshold = serializers.FloatField(default=None, allow_null=True, help_text="Of a critical rule: where it warns.")
    recovery_threshold = serializers.FloatField(default=None, allow_null=True, help_text="What the value must reach to resolve.")
    hold_s = serializers.IntegerField(
        min_value=0, max_value=MAX_HOLD_S, default=0, help_text="How long the breach must last; 0 fires at the first one."
    )
    breaches_needed = serializers.IntegerField(
        min_value=1, max_value=MAX_EVALUATIONS, default=1, help_text="Fires when so many of the last `of_evaluations` breach."
    )
    of_evaluations = serializers.IntegerField(
        min_value=1, max_value=MAX_EVALUATIONS, default=1, help_text="Of how many evaluations, see `breaches_needed`."
    )
    min_samples = serializers.IntegerField(
        min_value=0, max_value=10**9, default=0, help_text="A value of fewer traces or calls counts as no data."
    )
    no_data = serializers.ChoiceField(choices=NoDataPolicy.choices, default=NoDataPolicy.OK)
    baseline_weeks = serializers.IntegerField(
        min_value=1, max_value=MAX_WEEKS, default=4, help_text="Of the kind `baseline`: how many past weeks to compare with."
    )
    baseline_deviations = serializers.FloatField(
        min_value=0, max_value=100, default=3.0,
        help_text="Of the kind `baseline`: standard deviations that chance may make; 0 counts every difference.",
    )  # fmt: skip
    budget_period = serializers.ChoiceField(choices=Period.choices, default=Period.DAY)
    schedule = serializers.JSONField(
        default=dict, help_text='When it is evaluated: {} for always, or {"days": [0, 1], "start": "08:00", "end": "18:00"}.'
    )
    time_zone = serializers.CharField(max_length=64, default="UTC", help_text="Of `schedule` and of a budget's days and months.")
    severity = serializers.ChoiceField(choices=Severity.choices, default=Severity.WARNING)
    labels = serializers.DictField(
        child=serializers.CharField(max_length=200),
        default=dict,
        help_text="What routes and silences match by, besides the groups.",
    )
    channels = serializers.ListField(
        child=ChannelReference(), default=list, help_text="Who is told: names or ids; routes may tell others."
    )
    enabled = serializers.BooleanField(default=True)

    def validate_query(self, text: str) -> str:
        """Raises QueryError, which the API answers with its place in the text."""
        parse_query(text)
        return text

    def validate_time_zone(self, name: str) -> str:
        validate_time_zone(name)
        return name

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """What the fields say together must make sense, also where only some of them are changed."""
        rule = copy.copy(self.instance) if self.instance else AlertRule()
        for name, value in values.items():
            if name != "channels":
                setattr(rule, name, value)
        if problems := find_problems(rule):
            raise serializers.ValidationError({name: [problem] for name, problem in problems.items()})
        return values

    def validate_channels(self, names: list[str]) -> list[NotificationChannel]:
        return find_channels(self.context["project"], names)


class RuleInstanceOutput(serializers.ModelSerializer[RuleInstance]):
    """The state of one group. `value` and `baseline` are in the metric's unit; `spent_at` is when a budget will be spent.

    One that `is_waiting` decides nothing before `waits_until` (null: nobody can tell), as part of its window was not received.
    """

    value = serializers.FloatField(source="last_value", allow_null=True)
    samples = serializers.IntegerField(source="last_samples")
    baseline = serializers.FloatField(source="last_baseline", allow_null=True)
    is_waiting = serializers.SerializerMethodField()
    waits_until = serializers.SerializerMethodField()

    class Meta:
        model = RuleInstance
        fields = ["labels", "state", "severity", "value", "samples", "baseline", "spent_at", "is_waiting", "waits_until"]

    def get_is_waiting(self, instance: RuleInstance) -> bool:
        return instance.to_state().wait is not None

    def get_waits_until(self, instance: RuleInstance) -> datetime | None:
        wait = instance.to_state().wait
        return moment_of(wait.until_ns) if wait and wait.until_ns is not None else None


class AlertRuleOutput(serializers.ModelSerializer[AlertRule]):
    """A rule with its state. `last_value` is null for no data, `last_error` says why the last evaluation failed."""

    channels = ChannelOutput(many=True)
    state = serializers.ChoiceField(choices=[state.value for state in AlertState if state != AlertState.RESOLVED])
    groups = RuleInstanceOutput(source="instances", many=True, read_only=True)

    class Meta:
        model = AlertRule
        fields = _RULE_FIELDS


class AlertRuleList(APIView):
    """All rules, and the place to add one."""

    query_parameter = "query"  # what an error in the query text names

    @extend_schema(operation_id="list_alert_rules", parameters=PAGING, responses=page_of("AlertRulePage", AlertRuleOutput))
    def get(self, request: Request) -> Response:
        rules = (
            AlertRule.objects.filter(project=project_of(request)).prefetch_related("channels", "instances").order_by("name", "pk")
        )
        return answer_page(request, rules, AlertRuleOutput)

    @extend_schema(operation_id="create_alert_rule", request=AlertRuleInput, responses={201: AlertRuleOutput})
    def post(self, request: Request) -> Response:
        project = project_of(request)
        require_room(AlertRule.objects.filter(project=project), MAX_RULES, "rules")
        data = checked(AlertRuleInput(data=request.data, context={"project": project}))
        rule = _save(AlertRule(project=project), data)
        return Response(AlertRuleOutput(rule).data, status=status.HTTP_201_CREATED)


class AlertRuleDetail(APIView):
    """One rule."""

    query_parameter = "query"

    @extend_schema(operation_id="get_alert_rule", responses=AlertRuleOutput)
    def get(self, request: Request, rule_id: int) -> Response:
        return Response(AlertRuleOutput(get_rule(request, rule_id)).data)

    @extend_schema(operation_id="replace_alert_rule", request=AlertRuleInput, responses=AlertRuleOutput)
    def put(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=False)

    @extend_schema(operation_id="change_alert_rule", request=AlertRuleInput(partial=True), responses=AlertRuleOutput)
    def patch(self, request: Request, rule_id: int) -> Response:
        return self._change(request, rule_id, partial=True)

    @extend_schema(operation_id="delete_alert_rule", responses={204: None})
    def delete(self, request: Request, rule_id: int) -> Response:
        delete_rule(get_rule(request, rule_id), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _change(self, request: Request, rule_id: int, *, partial: bool) -> Response:
        rule = get_rule(request, rule_id)
        data = checked(AlertRuleInput(rule, data=request.data, partial=partial, context={"project": rule.project}))
        return Response(AlertRuleOutput(_save(rule, data)).data)


def get_rule(request: Request, rule_id: int) -> AlertRule:
    return get_of_project(AlertRule.objects, "alert rule", request, rule_id)


@transaction.atomic
def _save(rule: AlertRule, values: dict[str, Any]) -> AlertRule:
    for name, value in values.items():
        if name != "channels":
            setattr(rule, name, value)
    save_rule(rule, timezone.now())
    if "channels" in values:
        rule.channels.set(values["channels"])
    return rule
