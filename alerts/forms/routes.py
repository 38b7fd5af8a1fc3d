"""What people type into the editors of routes and of grouping, checked, with a sentence for what is wrong."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from alerts.forms.fields import DurationField, clean_length
from alerts.messages.wording import format_seconds
from alerts.models import MAX_PAUSE_S, Grouping, NotificationChannel, Route
from alerts.models.incidents import MAX_GROUP_WINDOW_S, MAX_WAIT_S
from alerts.models.routes import validate_matcher
from alerts.on_call.routing import next_position, save_steps
from tracestore.models import Project

STEP_COUNT = 4


class RouteForm(forms.Form):
    """A route with up to STEP_COUNT steps: `after_0` is at once; a step without channels is none."""

    name = forms.CharField(max_length=128)
    matcher = forms.CharField(required=False, max_length=500, validators=[validate_matcher])
    repeat_s = DurationField(label="Repeat every", required=False)
    goes_on = forms.BooleanField(required=False)
    enabled = forms.BooleanField(required=False, initial=True)

    def __init__(self, *args: Any, route: Route, **kwargs: Any) -> None:
        """`route` may be a new one, with its project set."""
        super().__init__(*args, **kwargs)
        self.route = route
        channels = NotificationChannel.objects.filter(project=route.project)
        steps = list(route.steps.prefetch_related("channels")) if route.pk else []
        if route.pk:
            self.initial = {name: getattr(route, name) for name in ("name", "matcher", "goes_on", "enabled")}
            self.initial["repeat_s"] = route.repeat_s or None
        for number in range(STEP_COUNT):
            if number:
                self.fields[f"after_{number}"] = DurationField(label=f"Step {number + 1}, after", required=False)
            self.fields[f"channels_{number}"] = forms.ModelMultipleChoiceField(
                channels, required=False, widget=forms.CheckboxSelectMultiple
            )
        at_once = next((step for step in steps if step.after_s == 0), None)
        if at_once:
            self.initial["channels_0"] = list(at_once.channels.all())
        for number, step in enumerate((step for step in steps if step.after_s), 1):
            if number < STEP_COUNT:
                self.initial.update({f"after_{number}": step.after_s, f"channels_{number}": list(step.channels.all())})

    @property
    def steps(self) -> list[tuple[Any, Any]]:
        """The fields of the steps, (after, channels); the first has no time."""
        return [(self[f"after_{number}"] if number else None, self[f"channels_{number}"]) for number in range(STEP_COUNT)]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if Route.objects.filter(project=self.route.project, name=name).exclude(pk=self.route.pk).exists():
            raise ValidationError("Another route has this name.")
        return name

    def clean_repeat_s(self) -> int:
        seconds: int = self.cleaned_data["repeat_s"] or 0
        if seconds:
            clean_length(seconds, 60, MAX_PAUSE_S)
        return seconds

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        seen = set()
        for number in range(1, STEP_COUNT):
            after_s, channels = cleaned.get(f"after_{number}"), cleaned.get(f"channels_{number}")
            if channels and not after_s and f"after_{number}" not in self.errors:
                self.add_error(f"after_{number}", "Say after how long, such as 10m.")
            elif after_s in seen and channels:
                self.add_error(f"after_{number}", "Another step comes at this time: put the channels together.")
            elif after_s and not 0 < after_s <= MAX_PAUSE_S:
                self.add_error(f"after_{number}", f"This must be at most {format_seconds(MAX_PAUSE_S)}.")
            seen.add(after_s)
        if not self.errors and not any(cleaned.get(f"channels_{number}") for number in range(STEP_COUNT)):
            self.add_error("channels_0", "Choose at least one channel, at once or in a later step.")
        return cleaned

    @transaction.atomic
    def save(self) -> Route:
        """Save a valid form's route; a new one comes last."""
        values, route = self.cleaned_data, self.route
        for name in ("name", "matcher", "repeat_s", "goes_on", "enabled"):
            setattr(route, name, values[name])
        if route.pk is None:
            route.position = next_position(route.project)
        route.save()
        save_steps(
            route,
            [(values.get(f"after_{number}") or 0, list(values[f"channels_{number}"])) for number in range(STEP_COUNT)],
        )
        return route


class GroupingForm(forms.Form):
    """Which alerts are one incident; see models.Grouping."""

    names = forms.CharField(required=False, max_length=300)
    window_s = DurationField(label="Window")
    wait_s = DurationField(label="Wait", required=False)

    def clean_names(self) -> list[str]:
        names = list(dict.fromkeys(str(self.cleaned_data["names"]).replace(",", " ").split()))
        if len(names) > 10:
            raise ValidationError("Name at most ten.")
        return names

    def clean_window_s(self) -> int:
        seconds: int = self.cleaned_data["window_s"]
        clean_length(seconds, 0, MAX_GROUP_WINDOW_S)
        return seconds

    def clean_wait_s(self) -> int:
        seconds: int = self.cleaned_data["wait_s"] or 0
        clean_length(seconds, 0, MAX_WAIT_S)
        return seconds

    def save(self, project: Project) -> None:
        Grouping.objects.update_or_create(project=project, defaults=self.cleaned_data)
