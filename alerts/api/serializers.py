"""Input and output of the alert API, apart: what a client may set is not what it gets."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.channels import check_target, describe_target
from alerts.evidence.focus import traces_path
from alerts.evidence.model import Evidence
from alerts.messages.links import incident_url
from alerts.messages.payload import build_reasons
from alerts.models import (
    MAX_EVALUATIONS,
    MAX_GRACE_S,
    MAX_GROUP_FIELDS,
    MAX_HOLD_S,
    MAX_INTERVAL_S,
    MAX_WEEKS,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    Alert,
    AlertRule,
    ChannelKind,
    NoDataPolicy,
    NotificationChannel,
    Period,
    Route,
    RuleInstance,
    RuleKind,
    Severity,
    Side,
    validate_time_zone,
)
from alerts.rules.definition import find_problems
from alerts.rules.evaluation import AlertState
from tracestore.language import parse_query
from tracestore.models import Project
from tracestore.projects import address_of
from tracestore.queries.metrics.definitions import GROUPINGS, METRICS
from tracestore.queries.metrics.groups import RUN_METRICS
from tracestore.rest import StrictSerializer

_RULE_FIELDS = [
    "id", "name", "kind", "metric", "query", "group_by", "window_s", "interval_s", "grace_s", "comparison", "threshold",
    "warning_threshold", "recovery_threshold", "hold_s", "breaches_needed", "of_evaluations", "min_samples", "no_data",
    "baseline_weeks", "baseline_deviations", "budget_period", "schedule", "time_zone", "severity", "labels", "channels",
    "enabled", "groups", "state", "state_since", "last_value", "last_evaluated_at", "last_error", "created_at",
]  # fmt: skip
_CHANNEL_FIELDS = ["id", "name", "kind", "target_shown", "enabled", "disabled_reason", "created_at"]


class ChannelReference(serializers.CharField):
    """The id or name of a channel, or the object that a rule's answer holds, so that a rule can be sent back as it came."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data["id"] if isinstance(data, dict) and "id" in data else data)


def find_channels(project: Project, names: Iterable[str]) -> list[NotificationChannel]:
    """Return the channels that are named, or meant by their ids, each once. Raises ValidationError."""
    found = NotificationChannel.objects.filter(project=project)
    known = {str(channel.pk): channel for channel in found} | {channel.name: channel for channel in found}
    for name in names:
        if name not in known:
            raise serializers.ValidationError(f"There is no channel {name!r}.")
    return [known[name] for name in dict.fromkeys(names)]


class NamedInput(StrictSerializer):
    """What has a name, which nothing else of its kind has in the project that the view passes as context."""

    noun: ClassVar[str]
    model: ClassVar[type[AlertRule | NotificationChannel | Route]]

    def validate_name(self, name: str) -> str:
        taken = self.model.objects.filter(project=self.context["project"], name=name)
        if self.instance:
            taken = taken.exclude(pk=self.instance.pk)
        if taken.exists():
            raise serializers.ValidationError(f"Another {self.noun} has this name.")
        return name


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


class ChannelInput(NamedInput):
    """`target` may hold a secret and is never answered; a channel that exists keeps its own without one."""

    noun, model, answered = "channel", NotificationChannel, [*_CHANNEL_FIELDS, "secret"]

    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(
        choices=ChannelKind.choices,
        error_messages={"invalid_choice": f"There is no kind '{{input}}'; there are {', '.join(ChannelKind.values)}."},
    )
    target = serializers.CharField(
        max_length=2000,
        required=False,
        write_only=True,
        help_text="E-mail addresses, a webhook's address, a PagerDuty key or an Apprise URL.",
    )
    enabled = serializers.BooleanField(default=True)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        kind = values["kind"] if self.instance is None else values.get("kind", self.instance.kind)
        if "target" not in values:
            if self.instance is None:
                raise serializers.ValidationError({"target": "A new channel needs its target."})
            if kind != self.instance.kind:
                raise serializers.ValidationError({"target": "Another kind of channel needs another target."})
            return values
        try:
            check_target(kind, values["target"])
        except ValueError as error:
            raise serializers.ValidationError({"target": str(error)}) from None
        return values


class ChannelOutput(serializers.ModelSerializer[NotificationChannel]):
    """A channel without its target, which may hold a secret."""

    class Meta:
        model = NotificationChannel
        fields = ["id", "name", "kind", "enabled"]


class ChannelDetailOutput(serializers.ModelSerializer[NotificationChannel]):
    """A channel as its own address answers it. `disabled_reason` says why a channel was switched off by a refusal."""

    target_shown = serializers.SerializerMethodField(help_text="Where messages go, without passwords, tokens and paths.")

    class Meta:
        model = NotificationChannel
        fields = _CHANNEL_FIELDS

    def get_target_shown(self, channel: NotificationChannel) -> str:
        return describe_target(channel.kind, channel.target)


class CreatedChannelOutput(ChannelDetailOutput):
    """A new channel, with the secret that signs a webhook's requests: it is never answered again."""

    secret = serializers.CharField(allow_null=True, help_text="Null for kinds that are not signed.")

    class Meta:
        model = NotificationChannel
        fields = [*_CHANNEL_FIELDS, "secret"]


class RuleInstanceOutput(serializers.ModelSerializer[RuleInstance]):
    """The state of one group. `value` and `baseline` are in the metric's unit; `spent_at` is when a budget will be spent."""

    value = serializers.FloatField(source="last_value", allow_null=True)
    samples = serializers.IntegerField(source="last_samples")
    baseline = serializers.FloatField(source="last_baseline", allow_null=True)

    class Meta:
        model = RuleInstance
        fields = ["labels", "state", "severity", "value", "samples", "baseline", "spent_at"]


class AlertRuleOutput(serializers.ModelSerializer[AlertRule]):
    """A rule with its state. `last_value` is null for no data, `last_error` says why the last evaluation failed."""

    channels = ChannelOutput(many=True)
    state = serializers.ChoiceField(choices=[state.value for state in AlertState if state != AlertState.RESOLVED])
    groups = RuleInstanceOutput(source="instances", many=True, read_only=True)

    class Meta:
        model = AlertRule
        fields = _RULE_FIELDS


class AlertOutput(serializers.ModelSerializer[Alert]):
    """One firing episode with the rule as it was then.

    What is told of its traces is as of its start: their number, that of the others of the window, and as in a webhook's body
    where their time went, which calls looped, what differs about them, the errors that they failed with, and examples.
    `incident_id` is null for one that was never grouped.
    """

    state = serializers.ChoiceField(choices=[AlertState.FIRING.value, AlertState.RESOLVED.value])
    url = serializers.SerializerMethodField()
    traces_url = serializers.SerializerMethodField()
    traces_query = serializers.SerializerMethodField()
    incident_url = serializers.SerializerMethodField()
    traces_count = serializers.IntegerField(source="evidence.causes.failing")
    others_count = serializers.IntegerField(source="evidence.causes.others")
    slow_steps = serializers.SerializerMethodField()
    loops = serializers.SerializerMethodField()
    differences = serializers.SerializerMethodField()
    errors: Any = serializers.SerializerMethodField()
    examples = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = [
            "id", "state", "rule_id", "rule_name", "kind", "labels", "severity", "metric", "query", "window_s", "comparison",
            "threshold", "hold_s", "value", "peak_value", "samples", "baseline", "compared_with", "trace_id", "started_at",
            "resolved_at", "resolve_reason", "url", "incident_id", "incident_url", "traces_url", "traces_query", "traces_count",
            "others_count", "slow_steps", "loops", "differences", "errors", "examples",
        ]  # fmt: skip

    def get_url(self, alert: Alert) -> str:
        return f"{address_of(alert.project)}/alerts/{alert.pk}"

    def get_traces_url(self, alert: Alert) -> str:
        evidence = Evidence.from_json(alert.evidence)
        return address_of(alert.project) + traces_path(evidence.query, evidence.time_range)

    def get_traces_query(self, alert: Alert) -> str:
        return str(alert.evidence["query"])

    def get_incident_url(self, alert: Alert) -> str | None:
        return incident_url(alert) if alert.incident_id else None

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_slow_steps(self, alert: Alert) -> Any:
        return self._reasons(alert)["slow_steps"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_loops(self, alert: Alert) -> Any:
        return self._reasons(alert)["loops"]

    @extend_schema_field(serializers.DictField())
    def get_differences(self, alert: Alert) -> Any:
        return self._reasons(alert)["differences"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_errors(self, alert: Alert) -> Any:
        return self._reasons(alert)["errors"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_examples(self, alert: Alert) -> Any:
        return self._reasons(alert)["examples"]

    def _reasons(self, alert: Alert) -> dict[str, Any]:
        return build_reasons(Evidence.from_json(alert.evidence), address_of(alert.project))
