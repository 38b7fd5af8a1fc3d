"""Outages: alerts that belong together, and what people did about them."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from alerts.models.history import Alert
from alerts.models.rules import Severity
from tracestore.models import Project

MAX_GROUP_WINDOW_S = 86_400
MAX_WAIT_S = 300


class Grouping(models.Model):
    """Which alerts of a project are one incident: those that begin within `window_s` of each other with equal values of `names`.

    A name is `rule`, `severity`, `metric`, a label, or `*` for all labels; without names all alerts of the project are alike.
    The first news waits `wait_s` for what else belongs to the outage; then a channel hears of the worst alone.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="grouping")
    names = models.JSONField(default=list, blank=True)
    window_s = models.PositiveIntegerField(default=600, validators=[MaxValueValidator(MAX_GROUP_WINDOW_S)])
    wait_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_WAIT_S)])


class IncidentState(models.TextChoices):
    """What a person has to do: something now, nothing because someone is on it, something later, wait, or nothing at all.

    One that flapped is quiet while nothing fires: it is held open for a while, lest the next alert be news.
    """

    FIRING = "firing", "firing"
    ACKNOWLEDGED = "acknowledged", "acknowledged"
    SNOOZED = "snoozed", "snoozed"
    QUIET = "quiet", "quiet"
    RESOLVED = "resolved", "resolved"


class Incident(models.Model):
    """One outage: the alerts of one group (alerts/on_call/paging.py says which), told as one.

    `severity` is the worst that any of its alerts had since it was last opened, at `opened_at`: later than `started_at` once it
    was opened again or slept. `flapping_since` is set when it is held open although nothing fires at the moment. Who acted is a
    name, "" when nobody has; `resolved_by` is "" too when it ended by itself. `quiet_at` is when its last alert ended, None while
    one fires; `last_began_at` when the latest alert that joined began.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="incidents")
    key = models.TextField()
    title = models.CharField(max_length=300)
    severity = models.CharField(max_length=16, choices=Severity.choices)
    started_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    last_began_at = models.DateTimeField()
    quiet_at = models.DateTimeField(null=True)
    flapping_since = models.DateTimeField(null=True)
    acked_at = models.DateTimeField(null=True)
    acked_by = models.CharField(max_length=128, blank=True)
    first_acked_at = models.DateTimeField(null=True)
    snoozed_until = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=128, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["project", "-started_at"]), models.Index(fields=["project", "resolved_at"])]

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}"

    @property
    def state(self) -> str:
        """Return the value of an IncidentState."""
        if self.resolved_at:
            return IncidentState.RESOLVED.value
        if self.snoozed_until and self.snoozed_until > timezone.now():
            return IncidentState.SNOOZED.value
        if self.acked_at:
            return IncidentState.ACKNOWLEDGED.value
        return IncidentState.QUIET.value if self.quiet_at else IncidentState.FIRING.value

    @property
    def length_s(self) -> float:
        """Seconds from start to end, or until now while it lasts."""
        return ((self.resolved_at or timezone.now()) - self.started_at).total_seconds()


class IncidentEventKind(models.TextChoices):
    """What happened to an incident besides what happened to its alerts."""

    OPENED = "opened", "Opened"
    JOINED = "joined", "Alert joined"
    ROSE = "rose", "Severity rose"
    REOPENED = "reopened", "Opened again"
    FLAPPING = "flapping", "Flapping"
    ACKED = "acked", "Acknowledged"
    UNACKED = "unacked", "Acknowledgement withdrawn"
    SNOOZED = "snoozed", "Snoozed"
    WOKEN = "woken", "Snooze ended"
    RESOLVED = "resolved", "Resolved"
    COMMENT = "comment", "Comment"


class IncidentEvent(models.Model):
    """A line of an incident's timeline. `by` names a person or a program, "" for Tracestore itself."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=16, choices=IncidentEventKind.choices)
    at = models.DateTimeField()
    by = models.CharField(max_length=128, blank=True)
    text = models.TextField(blank=True, max_length=4000)
    alert = models.ForeignKey(Alert, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["at", "id"]
