"""What people type into the rule editor and the channel editor, checked, with a sentence for everything that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from alerts.channels import check_target
from alerts.models import (
    MAX_HOLD_S,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    AlertRule,
    NotificationChannel,
    Severity,
    Side,
    validate_query,
)
from alerts.services import DEFINITION_FIELDS, save_rule
from alerts.units import format_duration_s, format_threshold, parse_duration_s, parse_threshold
from alerts.wording import format_seconds
from tracestore.language import QueryError, parse_query
from tracestore.models import Project
from tracestore.queries.metrics import METRICS

RANGES = {"6h": (6 * 3600, "6 hours"), "24h": (86_400, "24 hours"), "7d": (7 * 86_400, "7 days")}
DEFAULT_RANGE = "24h"


def _at_least(seconds: int) -> Callable[[int], None]:
    def check(value: int) -> None:
        if value < seconds:
            raise ValidationError(f"This must be at least {format_seconds(seconds)}.")

    return check


def _at_most(seconds: int) -> Callable[[int], None]:
    def check(value: int) -> None:
        if value > seconds:
            raise ValidationError(f"This must be at most {format_seconds(seconds)}.")

    return check


class DurationField(forms.Field):
    """Seconds, typed as 5m or 1h."""

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        try:
            return parse_duration_s(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def prepare_value(self, value: Any) -> Any:
        return format_duration_s(value) if isinstance(value, int) else value


@dataclass(frozen=True)
class QueryProblem:
    """Where a query text goes wrong, in the shape of the query field's template."""

    message: str
    position: int
    length: int
    suggestion: str


class ConditionForm(forms.Form):
    """What a rule asks. The query travels as `q`, as everywhere; the threshold in the unit that people use (rates: percent)."""

    metric = forms.ChoiceField(choices=[(metric.name, metric.label) for metric in METRICS.values()])
    q = forms.CharField(required=False, max_length=4000)
    window_s = DurationField(label="Window", validators=[_at_least(MIN_WINDOW_S), _at_most(MAX_WINDOW_S)])
    comparison = forms.ChoiceField(choices=Side.choices)
    threshold = forms.CharField(max_length=32)
    hold_s = DurationField(label="Hold", required=False, validators=[_at_most(MAX_HOLD_S)])

    def clean_q(self) -> str:
        text = str(self.cleaned_data["q"])
        validate_query(text)
        return text

    def clean_hold_s(self) -> int:
        return self.cleaned_data["hold_s"] or 0

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "threshold" in cleaned and "metric" in cleaned:
            try:
                cleaned["threshold"] = parse_threshold(cleaned["threshold"], cleaned["metric"])
            except ValueError as error:
                self.add_error("threshold", str(error))
        return cleaned

    def apply_to(self, rule: AlertRule) -> AlertRule:
        """Give the rule the condition of a valid form."""
        for name in ("metric", "window_s", "comparison", "threshold", "hold_s"):
            setattr(rule, name, self.cleaned_data[name])
        rule.query = self.cleaned_data["q"]
        return rule

    @property
    def query_problem(self) -> QueryProblem | None:
        """Where the query as typed goes wrong, None when it does not."""
        try:
            parse_query(str(self["q"].value() or ""))
        except QueryError as error:
            return QueryProblem(error.message, error.position, error.length, error.suggestion)
        return None


class PreviewForm(ConditionForm):
    """A condition and how far back to replay it."""

    range = forms.ChoiceField(choices=[(key, label) for key, (_, label) in RANGES.items()], required=False)


class AlertRuleForm(ConditionForm):
    """The rule editor."""

    name = forms.CharField(max_length=128)
    severity = forms.ChoiceField(choices=Severity.choices)
    channels = forms.ModelMultipleChoiceField(
        NotificationChannel.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )
    enabled = forms.BooleanField(required=False, initial=True)

    def __init__(self, *args: Any, rule: AlertRule, **kwargs: Any) -> None:
        """`rule` may be a new one, with its project set."""
        super().__init__(*args, **kwargs)
        self.rule = rule
        channels: Any = self.fields["channels"]
        channels.queryset = NotificationChannel.objects.filter(project=rule.project)
        if rule.pk:
            self.initial = {name: getattr(rule, name) for name in DEFINITION_FIELDS} | {
                "q": rule.query,
                "threshold": format_threshold(rule.threshold, rule.metric),
                "channels": rule.channels.all(),
            }

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        taken = AlertRule.objects.filter(project=self.rule.project, name=name).exclude(pk=self.rule.pk)
        if taken.exists():
            raise ValidationError("Another rule has this name.")
        return name

    def save(self, now: datetime) -> None:
        """Save a valid form's rule."""
        self.apply_to(self.rule)
        for name in ("name", "severity", "enabled"):
            setattr(self.rule, name, self.cleaned_data[name])
        with transaction.atomic():
            save_rule(self.rule, now)
            self.rule.channels.set(self.cleaned_data["channels"])


class ChannelForm(forms.ModelForm[NotificationChannel]):
    """The channel editor."""

    class Meta:
        model = NotificationChannel
        fields = ["name", "kind", "target"]

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.instance.project = project

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        taken = NotificationChannel.objects.filter(project=self.project, name=name).exclude(pk=self.instance.pk)
        if taken.exists():
            raise ValidationError("Another channel has this name.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") and cleaned.get("target"):
            try:
                check_target(cleaned["kind"], cleaned["target"].strip())
                cleaned["target"] = cleaned["target"].strip()
            except ValueError as error:
                self.add_error("target", str(error))
        return cleaned
