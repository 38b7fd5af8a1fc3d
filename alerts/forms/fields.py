"""Fields of the editors: durations, moments, lists and labels as people type them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from alerts.messages.wording import format_seconds
from alerts.rules.units import format_duration_s, parse_duration_s

# As a browser's field for date and time sends it.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M"


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


class _Texts(forms.MultipleHiddenInput):
    """Several inputs of one name: the fields that a rule is grouped by, the days on which it is evaluated."""


class TextListField(forms.Field):
    """The values of all inputs of one name that are not empty, each once."""

    widget = _Texts

    def to_python(self, value: Any) -> list[str]:
        return list(dict.fromkeys(str(text) for text in value or () if text))

    def prepare_value(self, value: Any) -> Any:
        return [value] if isinstance(value, str) else value or []  # an address fills in one


class LabelsField(forms.CharField):
    """Labels typed as team=payments, tier=1."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        labels = {}
        for part in filter(None, (part.strip() for part in (super().to_python(value) or "").split(","))):
            name, sign, text = (piece.strip() for piece in part.partition("="))
            if not sign:
                raise ValidationError(f"“{part[:80]}” is no label: type for example team=payments, tier=1.")
            labels[name] = text
        return labels

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else value


def clean_length(seconds: int | None, least_s: int, most_s: int) -> None:
    """Raise ValidationError for a length that is out of these bounds, both of which are allowed; None is in them."""
    if seconds is not None and not least_s <= seconds <= most_s:
        raise ValidationError(f"This must be from {format_seconds(least_s)} to {format_seconds(most_s)}.")


def at_least(seconds: int) -> MinValueValidator:
    return MinValueValidator(seconds, f"This must be at least {format_seconds(seconds)}.")


def at_most(seconds: int) -> MaxValueValidator:
    return MaxValueValidator(seconds, f"This must be at most {format_seconds(seconds)}.")
