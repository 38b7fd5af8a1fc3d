"""What nobody is told of: silences of a few hours, and maintenance windows that return every week."""

from __future__ import annotations

from django.db import models

from alerts.models.history import Alert
from alerts.models.routes import validate_matcher
from alerts.models.rules import validate_time_zone
from alerts.on_call.matcher import MAX_LENGTH
from alerts.on_call.quiet import Quiet
from tracestore.models import Project

MAX_SILENCE_S = 7 * 86_400


class Silence(models.Model):
    """Alerts that `matcher` matches are told to nobody while it holds.

    Without `weekdays` from `starts_at` until `ends_at`. With them (0 is Monday) every week from `time_of_day` on for `length_s`
    seconds, in `time_zone`, from `starts_at` until `ends_at`, None for no end.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="silences")
    matcher = models.CharField(max_length=MAX_LENGTH, blank=True, validators=[validate_matcher])
    comment = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    weekdays = models.JSONField(default=list, blank=True)
    time_of_day = models.TimeField(null=True)
    length_s = models.PositiveIntegerField(default=0)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])

    class Meta:
        ordering = ["-starts_at", "-id"]
        indexes = [models.Index(fields=["project", "ends_at"])]

    def __str__(self) -> str:
        return self.matcher or "every alert"

    def to_quiet(self) -> Quiet:
        if not self.weekdays or self.time_of_day is None:
            return Quiet(self.starts_at, self.ends_at)
        return Quiet(self.starts_at, self.ends_at, frozenset(self.weekdays), self.time_of_day, self.length_s, self.time_zone)


class Suppression(models.Model):
    """An alert that a silence kept from being told, since `at`."""

    silence = models.ForeignKey(Silence, on_delete=models.CASCADE, related_name="suppressions")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="suppressions")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["silence", "alert"], name="one_suppression_per_silence_and_alert")]
