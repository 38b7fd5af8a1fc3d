"""Input and output of the alert API, apart: what a client may set is not what it gets."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.channels import check_target, describe_target
from alerts.evaluation import AlertState
from alerts.evidence import Evidence
from alerts.focus import traces_path
from alerts.models import (
    MAX_HOLD_S,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    Alert,
    AlertRule,
    ChannelKind,
    NotificationChannel,
    Severity,
    Side,
)
from tracestore.language import parse_query
from tracestore.models import Project
from tracestore.queries.metrics import METRICS

_RULE_FIELDS = [
    "id", "name", "metric", "query", "window_s", "comparison", "threshold", "hold_s", "severity", "channels", "enabled",
    "state", "state_since", "last_value", "last_evaluated_at", "last_error", "created_at",
]  # fmt: skip
_CHANNEL_FIELDS = ["id", "name", "kind", "target_shown", "enabled", "disabled_reason", "created_at"]


class ChannelReference(serializers.CharField):
    """The id or name of a channel, or the object that a rule's answer holds, so that a rule can be sent back as it came."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data["id"] if isinstance(data, dict) and "id" in data else data)


class StrictInput(serializers.Serializer[Any]):
    """Refuses a misspelt field, which would be ignored without a word. What only an answer holds is ignored.

    The view passes the project as context: names are looked up and unique within it.
    """

    noun: ClassVar[str]
    model: ClassVar[type[AlertRule] | type[NotificationChannel]]
    answered: ClassVar[list[str]]

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data.keys() - self.fields.keys() - set(self.answered):
                raise serializers.ValidationError({name: [f"A {self.noun} has no {name!r}; it has {', '.join(self.fields)}."]})
        return super().to_internal_value(data)

    @property
    def _project(self) -> Project:
        return cast(Project, self.context["project"])

    def validate_name(self, name: str) -> str:
        taken = self.model.objects.filter(project=self._project, name=name)
        if self.instance:
            taken = taken.exclude(pk=self.instance.pk)
        if taken.exists():
            raise serializers.ValidationError(f"Another {self.noun} has this name.")
        return name


class AlertRuleInput(StrictInput):
    """A rule's definition. `threshold` is in the metric's unit (rates 0 to 1), `channels` are ids or names of channels."""

    noun, model, answered = "rule", AlertRule, _RULE_FIELDS

    name = serializers.CharField(max_length=128)
    metric = serializers.ChoiceField(
        choices=list(METRICS),
        error_messages={"invalid_choice": f"There is no metric '{{input}}'; there are {', '.join(METRICS)}."},
    )
    # Kept as it came: an error's position counts its characters. The language bounds its length.
    query = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False)
    window_s = serializers.IntegerField(min_value=MIN_WINDOW_S, max_value=MAX_WINDOW_S, default=300)
    comparison = serializers.ChoiceField(choices=Side.choices, default=Side.ABOVE)
    threshold = serializers.FloatField()
    hold_s = serializers.IntegerField(min_value=0, max_value=MAX_HOLD_S, default=0)
    severity = serializers.ChoiceField(choices=Severity.choices, default=Severity.WARNING)
    channels = serializers.ListField(child=ChannelReference(), default=list)
    enabled = serializers.BooleanField(default=True)

    def validate_query(self, text: str) -> str:
        """Raises QueryError, which the API answers with its place in the text."""
        parse_query(text)
        return text

    def validate_threshold(self, threshold: float) -> float:
        if not 0 <= threshold < float("inf"):
            raise serializers.ValidationError("A threshold is a number from 0 up.")
        return threshold

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """A rate above 1 can only be a percentage, and such a rule would never fire."""
        metric, threshold = (values.get(name, getattr(self.instance, name, None)) for name in ("metric", "threshold"))
        if threshold is not None and threshold > 1 and metric in METRICS and METRICS[metric].unit == "ratio":
            raise serializers.ValidationError({"threshold": f"{metric} is a ratio from 0 to 1: write 0.05 for 5%."})
        return values

    def validate_channels(self, names: list[str]) -> list[NotificationChannel]:
        known = NotificationChannel.objects.filter(project=self._project)
        channels = {str(channel.pk): channel for channel in known} | {channel.name: channel for channel in known}
        unknown = [name for name in names if name not in channels]
        if unknown:
            raise serializers.ValidationError(f"There is no channel {unknown[0]!r}.")
        return [channels[name] for name in dict.fromkeys(names)]


class ChannelInput(StrictInput):
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


class AlertRuleOutput(serializers.ModelSerializer[AlertRule]):
    """A rule with its state. `last_value` is null for no data, `last_error` says why the last evaluation failed."""

    channels = ChannelOutput(many=True)
    state = serializers.ChoiceField(choices=[state.value for state in AlertState if state != AlertState.RESOLVED])

    class Meta:
        model = AlertRule
        fields = _RULE_FIELDS


class AlertOutput(serializers.ModelSerializer[Alert]):
    """One firing episode with the rule as it was then. `causes` and `examples` are as of its start."""

    state = serializers.ChoiceField(choices=[AlertState.FIRING.value, AlertState.RESOLVED.value])
    url = serializers.SerializerMethodField()
    traces_url = serializers.SerializerMethodField()
    traces_query = serializers.SerializerMethodField()
    causes = serializers.SerializerMethodField()
    examples = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = [
            "id", "state", "rule_id", "rule_name", "severity", "metric", "query", "window_s", "comparison", "threshold", "hold_s",
            "value", "peak_value", "started_at", "resolved_at", "resolve_reason", "url", "traces_url", "traces_query", "causes",
            "examples",
        ]  # fmt: skip

    def get_url(self, alert: Alert) -> str:
        return f"{settings.BASE_URL}/alerts/{alert.pk}"

    def get_traces_url(self, alert: Alert) -> str:
        evidence = Evidence.from_json(alert.evidence)
        return str(settings.BASE_URL) + traces_path(evidence.query, evidence.time_range)

    def get_traces_query(self, alert: Alert) -> str:
        return str(alert.evidence["query"])

    @extend_schema_field(serializers.DictField())
    def get_causes(self, alert: Alert) -> Any:
        return alert.evidence["causes"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_examples(self, alert: Alert) -> Any:
        return alert.evidence["examples"]
