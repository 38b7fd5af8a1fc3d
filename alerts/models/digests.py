"""Reports that come by themselves: every day or every week, in somebody's time zone."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from alerts.models.channels import NotificationChannel
from alerts.models.deliveries import DeliveryStatus
from alerts.models.rules import validate_time_zone
from tracestore.models import Project


class DigestPeriod(models.TextChoices):
    """How often a report comes and how much it is about."""

    DAILY = "daily", "Every day"
    WEEKLY = "weekly", "Every week"


class Digest(models.Model):
    """A report about the calendar day, or the seven, before it is due: at `time_of_day` in `time_zone`, weekly on `weekday`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="digests")
    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="digests")
    period = models.CharField(max_length=8, choices=DigestPeriod.choices, default=DigestPeriod.DAILY)
    weekday = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(6)])
    time_of_day = models.TimeField()
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_period_display()} to {self.channel}"


class DigestRun(models.Model):
    """One report: the row is made once for each time it is due, and claimed as a Delivery is."""

    digest = models.ForeignKey(Digest, on_delete=models.CASCADE, related_name="runs")
    due_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-due_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["digest", "due_at"], name="one_run_per_digest_and_time")]
