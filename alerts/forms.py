"""What people type into the rule editor and the channel editor, checked, with a sentence for everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from alerts.channels import check_target
from alerts.models import AlertRule, NotificationChannel, validate_query
from alerts.units import format_duration_s, format_threshold, parse_duration_s, parse_threshold
from tracestore.language import QueryError, parse_query
from tracestore.models import Project
from tracestore.queries.metrics import METRICS

RANGES = {"6h": (6 * 3600, "6 hours"), "24h": (86_400, "24 hours"), "7d": (7 * 86_400, "7 days")}
DEFAULT_RANGE = "24h"


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


class AlertRuleForm(forms.ModelForm[AlertRule]):
    """The rule editor. The query travels as `q`, as everywhere; the threshold in the unit that people use (rates: percent)."""

    metric = forms.ChoiceField(choices=[(metric.name, metric.label) for metric in METRICS.values()])
    q = forms.CharField(required=False, max_length=4000, strip=True)
    threshold = forms.CharField(max_length=32)
    window_s = DurationField()
    hold_s = DurationField(required=False)

    class Meta:
        model = AlertRule
        fields = ["name", "metric", "window_s", "comparison", "hold_s", "severity", "channels", "enabled"]

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.instance.project = project
        channels: Any = self.fields["channels"]
        channels.queryset = NotificationChannel.objects.filter(project=project)
        if self.instance.pk:
            self.initial["q"] = self.instance.query
            self.initial["threshold"] = format_threshold(self.instance.threshold, self.instance.metric)

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        taken = AlertRule.objects.filter(project=self.project, name=name).exclude(pk=self.instance.pk)
        if taken.exists():
            raise ValidationError("Another rule has this name.")
        return name

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

    def _post_clean(self) -> None:
        # The model's own checks (bounds of window and hold) run on the instance: complete it first.
        self.instance.query = self.cleaned_data.get("q", "")
        if isinstance(self.cleaned_data.get("threshold"), float):
            self.instance.threshold = self.cleaned_data["threshold"]
        super()._post_clean()  # type: ignore[misc]

    @property
    def query_problem(self) -> QueryProblem | None:
        """Where the query as typed goes wrong, None when it does not."""
        try:
            parse_query(str(self["q"].value() or ""))
        except QueryError as error:
            return QueryProblem(error.message, error.position, error.length, error.suggestion)
        return None


class PreviewForm(AlertRuleForm):
    """The same fields for the chart beside the editor: a rule without a name can be drawn, only its condition counts."""

    name = forms.CharField(required=False)
    severity = forms.CharField(required=False)
    range = forms.ChoiceField(choices=[(key, label) for key, (_, label) in RANGES.items()], required=False)

    class Meta(AlertRuleForm.Meta):
        fields = ["metric", "window_s", "comparison", "hold_s"]

    def clean_name(self) -> str:
        return ""

    def _post_clean(self) -> None:
        super()._post_clean()
        for field in ("name", "channels"):
            self.errors.pop(field, None)


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
