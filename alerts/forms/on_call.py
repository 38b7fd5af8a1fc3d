"""What people type into the editors of silences, routes, grouping and reports, checked, with a sentence for what is wrong."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from alerts.forms.rules import DurationField
from alerts.messages.wording import format_seconds
from alerts.models import (
    MAX_PAUSE_S,
    MAX_SILENCE_S,
    ChannelKind,
    Digest,
    Grouping,
    NotificationChannel,
    Route,
    RouteStep,
    Silence,
    validate_time_zone,
)
from alerts.models.incidents import MAX_GROUP_WINDOW_S, MAX_WAIT_S
from alerts.models.routes import validate_matcher
from alerts.on_call.silences import DAYS
from tracestore.models import Project

# As a browser's field for date and time sends it.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M"
MAX_ONCE_S = 31 * 86_400
STEP_COUNT = 4


class MomentField(forms.Field):
    """A date and time without a zone."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values or isinstance(value, datetime):
            return value or None
        try:
            return datetime.fromisoformat(str(value)[:19]).replace(tzinfo=None)
        except ValueError:
            raise ValidationError(f"{str(value)[:30]!r} is not a date and time: write 2026-11-21T22:00.") from None

    def prepare_value(self, value: Any) -> Any:
        return value.strftime(MOMENT_FORMAT) if isinstance(value, datetime) else value


def _clean_length(seconds: int | None, least_s: int, most_s: int) -> None:
    if seconds is not None and not least_s <= seconds <= most_s:
        raise ValidationError(f"This must be from {format_seconds(least_s)} to {format_seconds(most_s)}.")


class SilenceForm(forms.Form):
    """A silence: once from `start` for `length`, or on `weekdays` every week, at that hour of `time_zone`, until `until`."""

    matcher = forms.CharField(required=False, max_length=500, validators=[validate_matcher])
    comment = forms.CharField(required=False, max_length=500)
    start = MomentField(label="From")
    length = DurationField(label="For")
    time_zone = forms.CharField(max_length=64, initial="UTC", validators=[validate_time_zone])
    weekdays = forms.TypedMultipleChoiceField(
        coerce=int, choices=list(enumerate(DAYS)), required=False, widget=forms.CheckboxSelectMultiple
    )
    until = MomentField(label="Until", required=False)

    def __init__(self, *args: Any, silence: Silence, now: datetime, **kwargs: Any) -> None:
        """`silence` may be a new one, with its project set; `initial` fills in its matcher."""
        super().__init__(*args, **kwargs)
        self.silence = silence
        zone = ZoneInfo(silence.time_zone)
        if silence.pk is None:
            self.initial = {"start": now.astimezone(zone), "length": 7200, "time_zone": "UTC", **self.initial}
            return
        lasts = (silence.ends_at or silence.starts_at) - silence.starts_at
        # The beginning is shown to the minute, and so is the length.
        length_s = silence.length_s or math.ceil(lasts.total_seconds() / 60) * 60
        self.initial = {
            "matcher": silence.matcher,
            "comment": silence.comment,
            "start": silence.starts_at.astimezone(zone),
            "length": length_s,
            "time_zone": silence.time_zone,
            "weekdays": silence.weekdays,
            "until": silence.ends_at.astimezone(zone) if silence.weekdays and silence.ends_at else None,
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            _clean_length(cleaned.get("length"), 60, MAX_SILENCE_S if cleaned.get("weekdays") else MAX_ONCE_S)
        except ValidationError as error:
            self.add_error("length", error)
        start, until = cleaned.get("start"), cleaned.get("until")
        if start and until and until <= start:
            self.add_error("until", "This lies before the beginning.")
        return cleaned

    def save(self, by: str) -> Silence:
        """Save a valid form's silence."""
        values, silence = self.cleaned_data, self.silence
        zone = ZoneInfo(values["time_zone"])
        start = values["start"].replace(tzinfo=zone).astimezone(UTC)
        silence.matcher, silence.comment, silence.time_zone = values["matcher"], values["comment"], values["time_zone"]
        silence.starts_at, silence.weekdays = start, sorted(values["weekdays"])
        if silence.weekdays:
            silence.time_of_day, silence.length_s = values["start"].time(), values["length"]
            silence.ends_at = values["until"].replace(tzinfo=zone).astimezone(UTC) if values["until"] else None
        else:
            silence.time_of_day, silence.length_s = None, 0
            silence.ends_at = start + timedelta(seconds=values["length"])
        silence.created_by = silence.created_by or by[:128]
        silence.save()
        return silence


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
            _clean_length(seconds, 60, MAX_PAUSE_S)
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


def next_position(project: Project) -> int:
    last: int | None = Route.objects.filter(project=project).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def save_steps(route: Route, steps: list[tuple[int, list[NotificationChannel]]]) -> None:
    """Replace a route's steps by those that have channels."""
    route.steps.all().delete()
    for after_s, channels in steps:
        if channels:
            RouteStep.objects.create(route=route, after_s=after_s).channels.set(channels)


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
        _clean_length(seconds, 0, MAX_GROUP_WINDOW_S)
        return seconds

    def clean_wait_s(self) -> int:
        seconds: int = self.cleaned_data["wait_s"] or 0
        _clean_length(seconds, 0, MAX_WAIT_S)
        return seconds

    def save(self, project: Project) -> None:
        Grouping.objects.update_or_create(project=project, defaults=self.cleaned_data)


class DigestForm(forms.ModelForm[Digest]):
    """A report. PagerDuty would open an incident for each and is not offered."""

    weekday = forms.TypedChoiceField(
        coerce=int, choices=list(enumerate(DAYS)), initial=0, label="On", help_text="Of a weekly report.",
        widget=forms.Select(attrs={"class": "select"}),
    )  # fmt: skip

    class Meta:
        model = Digest
        fields = ["channel", "period", "weekday", "time_of_day", "time_zone", "enabled"]
        labels: ClassVar[dict[str, str]] = {"channel": "To", "period": "How often"}
        widgets: ClassVar[dict[str, forms.Widget]] = {
            name: forms.Select(attrs={"class": "select"}) for name in ("channel", "period")
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels: Any = self.fields["channel"]
        found = NotificationChannel.objects.filter(project=self.instance.project)
        channels.queryset = found.exclude(kind=ChannelKind.PAGERDUTY)
        channels.empty_label = "Choose a channel"
        if self.instance.pk is None:
            self.initial["time_of_day"] = time(8)
