"""What people type into the silence editor, checked, with a sentence for what is wrong."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError

from alerts.forms.fields import DurationField, MomentField, clean_length
from alerts.models import MAX_SILENCE_S, Silence, validate_time_zone
from alerts.models.routes import validate_matcher
from alerts.on_call.silences import DAYS

MAX_ONCE_S = 31 * 86_400


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
            clean_length(cleaned.get("length"), 60, MAX_SILENCE_S if cleaned.get("weekdays") else MAX_ONCE_S)
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
