"""Where messages go."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from tracestore.models import Project


class ChannelKind(models.TextChoices):
    """How a channel's target is read; each kind is one module of alerts/channels."""

    EMAIL = "email", "E-mail"
    SLACK = "slack", "Slack"
    WEBHOOK = "webhook", "Webhook"
    PAGERDUTY = "pagerduty", "PagerDuty"
    APPRISE = "apprise", "Apprise URL"


class NotificationChannel(models.Model):
    """Where messages go. A permanent failure switches it off and says why in `disabled_reason`; its deliveries then wait.

    Webhooks are signed with `secret`, and until `previous_secret_until` with the one before as well; "" is not to sign.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notification_channels")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=ChannelKind.choices)
    target = models.CharField(max_length=2000)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=1000, blank=True)
    secret = models.CharField(max_length=64, blank=True, default="")
    previous_secret = models.CharField(max_length=64, blank=True, default="")
    previous_secret_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="channel_name_once_per_project")]

    def __str__(self) -> str:
        return self.name

    @property
    def can_sign(self) -> bool:
        """True for kinds whose receivers are programs that can check a signature."""
        return self.kind == ChannelKind.WEBHOOK

    def secrets_in_force(self, now: datetime) -> list[str]:
        """Return the secrets to sign with, the present one first."""
        overlaps = self.previous_secret_until is not None and now < self.previous_secret_until
        return [secret for secret in (self.secret, self.previous_secret if overlaps else "") if secret]
