"""Where messages go."""

from __future__ import annotations

from django.db import models

from tracestore.models import Project


class ChannelKind(models.TextChoices):
    """How a channel's target is read; each kind is one module of alerts/channels."""

    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"
    APPRISE = "apprise", "Apprise URL"


class NotificationChannel(models.Model):
    """Where messages go. A permanent failure switches it off and says why in `disabled_reason`; its deliveries then wait."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notification_channels")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=ChannelKind.choices)
    target = models.CharField(max_length=2000)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="channel_name_once_per_project")]

    def __str__(self) -> str:
        return self.name
