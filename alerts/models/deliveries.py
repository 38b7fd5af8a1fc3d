"""Who was told what: the outbox of messages."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from alerts.models.channels import NotificationChannel
from alerts.models.history import Alert, AlertTransition


class DeliveryStatus(models.TextChoices):
    """Pending ones are tried again; the other two are final."""

    PENDING = "pending", "pending"
    DELIVERED = "delivered", "delivered"
    FAILED = "failed", "failed"


class DeliveryEvent(models.TextChoices):
    """What a message is about when it is not its transition itself."""

    TRANSITION = "", "the change of state"
    ACKNOWLEDGED = "acknowledged", "the acknowledgement"


class Delivery(models.Model):
    """One message about one transition through one channel. `next_attempt_at` is the claim and, while sending, the lease.

    `claimed_until` is set while an attempt is under way: what moves `next_attempt_at` from outside leaves that one alone.

    `repeat` counts the messages before it about the same transition to the same channel; `reason` says why it was sent when it is
    not the first news of the transition: an escalation or a repetition.
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    transition = models.ForeignKey(AlertTransition, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=16, choices=DeliveryEvent.choices, blank=True, default=DeliveryEvent.TRANSITION)
    repeat = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["status", "next_attempt_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["transition", "channel", "repeat"], name="one_delivery_per_transition_channel_and_repeat"
            )
        ]
