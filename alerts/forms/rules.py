"""What people type into the rule editor, checked, with a sentence for everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from alerts.forms.fields import DurationField, LabelsField, TextListField, at_least, at_most
from alerts.models import (
    MAX_EVALUATIONS,
    MAX_GRACE_S,
    MAX_HOLD_S,
    MAX_INTERVAL_S,
    MAX_WEEKS,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    AlertRule,
    NoDataPolicy,
    NotificationChannel,
    Period,
    RuleKind,
    Severity,
    Side,
    validate_query,
    validate_time_zone,
)
from alerts.rules.definition import find_problems
from alerts.rules.editing import DEFINITION_FIELDS, save_rule
from alerts.rules.units import format_threshold, parse_threshold
from tracestore.language import QueryError, parse_query
from tracestore.queries.metrics.definitions import METRICS
from tracestore.queries.metrics.groups import RUN_METRICS

RANGES = {"6h": (6 * 3600, "6 hours"), "24h": (86_400, "24 hours"), "7d": (7 * 86_400, "7 days")}
DEFAULT_RANGE = "24h"


@dataclass(frozen=True)
class QueryProblem:
    """Where a query text goes wrong, in the shape of the query field's template."""

    message: str
    position: int
    length: int
    suggestion: str


# Fields of the editor that are stored under their own name, with what an empty one means.
_PLAIN = {
    "kind": RuleKind.THRESHOLD.value, "metric": "", "group_by": [], "window_s": 300, "comparison": Side.ABOVE.value, "hold_s": 0,
    "interval_s": 0, "grace_s": 0, "breaches_needed": 1, "of_evaluations": 1, "min_samples": 0, "no_data": NoDataPolicy.OK.value,
    "baseline_weeks": 4, "baseline_deviations": 3.0, "budget_period": Period.DAY.value, "time_zone": "UTC",
    "severity": Severity.WARNING.value, "labels": {},
}  # fmt: skip
_THRESHOLDS = ("threshold", "warning_threshold", "recovery_threshold")
# What is folded away while nothing in it differs from what is usual: section -> its fields.
SECTIONS = {
    "levels": ("warning_threshold", "recovery_threshold"),
    "firing": ("breaches_needed", "of_evaluations", "interval_s", "min_samples", "no_data", "grace_s"),
    "hours": ("schedule_days",),
    "labels": ("labels",),
}


def _count(label: str, least: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=least, max_value=most)


class ConditionForm(forms.Form):
    """What a rule asks. The query travels as `q`, as everywhere; the threshold in the unit that people use (rates: percent)."""

    kind = forms.ChoiceField(choices=RuleKind.choices, required=False)
    metric = forms.ChoiceField(choices=[(name, known.label) for name, known in (METRICS | RUN_METRICS).items()])
    q = forms.CharField(required=False, max_length=4000)
    group_by = TextListField(label="For each", required=False)
    window_s = DurationField(label="Window", validators=[at_least(MIN_WINDOW_S), at_most(MAX_WINDOW_S)])
    comparison = forms.ChoiceField(choices=Side.choices)
    threshold = forms.CharField(max_length=32)
    warning_threshold = forms.CharField(label="Warn from", max_length=32, required=False)
    recovery_threshold = forms.CharField(label="Resolve at", max_length=32, required=False)
    hold_s = DurationField(label="Hold", required=False, validators=[at_most(MAX_HOLD_S)])
    interval_s = DurationField(label="Evaluate every", required=False, validators=[at_most(MAX_INTERVAL_S)])
    grace_s = DurationField(label="Wait for late data", required=False, validators=[at_most(MAX_GRACE_S)])
    breaches_needed = _count("Breaches", 1, MAX_EVALUATIONS)
    of_evaluations = _count("Of the last evaluations", 1, MAX_EVALUATIONS)
    min_samples = _count("At least so many traces", 0, 10**9)
    no_data = forms.ChoiceField(label="No data", choices=NoDataPolicy.choices, required=False)
    baseline_weeks = _count("Weeks", 1, MAX_WEEKS)
    baseline_deviations = forms.FloatField(label="Standard deviations", required=False, min_value=0, max_value=100)
    budget_period = forms.ChoiceField(label="Period", choices=Period.choices, required=False)
    schedule_days = TextListField(label="Days", required=False)
    schedule_start = forms.CharField(label="From", max_length=5, required=False)
    schedule_end = forms.CharField(label="To", max_length=5, required=False)
    time_zone = forms.CharField(label="Time zone", max_length=64, required=False)
    severity = forms.ChoiceField(choices=Severity.choices, required=False)
    labels = LabelsField(label="Labels", max_length=4000, required=False)

    def clean_q(self) -> str:
        text = str(self.cleaned_data["q"])
        validate_query(text)
        return text

    def clean_time_zone(self) -> str:
        name = str(self.cleaned_data["time_zone"] or "UTC")
        validate_time_zone(name)
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        relative = cleaned.get("kind") in (RuleKind.BASELINE, RuleKind.VERSION)
        for name in _THRESHOLDS if "metric" in cleaned else ():
            if text := cleaned.get(name):
                try:
                    cleaned[name] = parse_threshold(text, cleaned["metric"], relative=relative)
                except ValueError as error:
                    self.add_error(name, str(error))
            elif name in cleaned:
                cleaned[name] = None
        if not self.errors:
            self._check_together(cleaned)
        return cleaned

    def _check_together(self, cleaned: dict[str, Any]) -> None:
        self.cleaned_data = cleaned
        for name, problem in find_problems(self.apply_to(AlertRule())).items():
            self.add_error("schedule_days" if name == "schedule" else name, problem)

    def apply_to(self, rule: AlertRule) -> AlertRule:
        """Give the rule the condition of a valid form."""
        values = self.cleaned_data
        for name, usual in _PLAIN.items():
            given = values[name]
            setattr(rule, name, usual if given in (None, "") else given)
        for name in _THRESHOLDS:
            setattr(rule, name, values[name])
        rule.query = values["q"]
        days = sorted(int(day) for day in values["schedule_days"] if day in "0123456")
        hours = {"days": days, "start": values["schedule_start"] or "08:00", "end": values["schedule_end"] or "18:00"}
        rule.schedule = hours if days else {}
        return rule

    @property
    def open_sections(self) -> list[str]:
        """The sections in which something is not as usual, or is wrong."""
        return [
            name for name, fields in SECTIONS.items() if any(self.errors.get(field) or self._differs(field) for field in fields)
        ]

    def _differs(self, name: str) -> bool:
        value = self[name].value()
        return value not in (None, "", [], {}, _PLAIN.get(name), str(_PLAIN.get(name)), "0s")

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
            hours = rule.schedule
            self.initial = {name: getattr(rule, name) for name in DEFINITION_FIELDS} | {
                "q": rule.query,
                "channels": rule.channels.all(),
                "schedule_days": [str(day) for day in hours.get("days", ())],
                "schedule_start": hours.get("start", ""),
                "schedule_end": hours.get("end", ""),
            }
            for name in _THRESHOLDS:
                number = getattr(rule, name)
                self.initial[name] = "" if number is None else format_threshold(number, rule.metric, relative=rule.is_relative)

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        taken = AlertRule.objects.filter(project=self.rule.project, name=name).exclude(pk=self.rule.pk)
        if taken.exists():
            raise ValidationError("Another rule has this name.")
        return name

    def save(self, now: datetime) -> None:
        """Save a valid form's rule."""
        self.apply_to(self.rule)
        self.rule.name, self.rule.enabled = self.cleaned_data["name"], self.cleaned_data["enabled"]
        with transaction.atomic():
            save_rule(self.rule, now)
            self.rule.channels.set(self.cleaned_data["channels"])
