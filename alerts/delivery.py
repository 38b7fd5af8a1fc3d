"""Bring messages to their channels: retried with growing pauses until accepted, in order per alert and channel.

An attempt is claimed by a conditional UPDATE that also sets a lease, so no two workers make the same attempt. A worker that
dies between the channel's acceptance and our note of it leaves a lease that runs out: the message is then sent again
(at least once), and a webhook can tell by its `delivery_id`.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from alerts.channels import ChannelError, send_notification
from alerts.message import build_notification, build_test_notification
from alerts.models import Delivery, DeliveryStatus, NotificationChannel
from tracestore import telemetry

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 10
LONGEST_PAUSE_S = 15 * 60
GIVE_UP_AFTER = timedelta(days=7)
# Longer than an attempt can take (connecting, sending and the farewell have ten seconds each).
LEASE = timedelta(seconds=90)


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failed attempts: 10 s, 20 s, 40 s, ... at most 15 minutes."""
    return timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 20)))


def _due(now: datetime) -> QuerySet[Delivery]:
    earlier = Delivery.objects.filter(
        alert=OuterRef("alert"), channel=OuterRef("channel"), pk__lt=OuterRef("pk"), status=DeliveryStatus.PENDING
    )
    # "Resolved" waits for its "firing": out of order they would read as a new alert.
    # An attempt farther away than the longest pause means that the clock was set back meanwhile.
    due = Q(next_attempt_at__lte=now) | Q(next_attempt_at__gt=now + timedelta(seconds=2 * LONGEST_PAUSE_S))
    return Delivery.objects.filter(due, ~Exists(earlier), status=DeliveryStatus.PENDING, channel__enabled=True)


def find_due_deliveries(now: datetime) -> list[int]:
    """Return the ids of the deliveries to attempt now; gives up those that are too old to be news."""
    Delivery.objects.filter(status=DeliveryStatus.PENDING, created_at__lt=now - GIVE_UP_AFTER).update(
        status=DeliveryStatus.FAILED
    )
    return list(_due(now).order_by("next_attempt_at", "pk").values_list("pk", flat=True))


def deliver(delivery_id: int, now: datetime) -> bool:
    """Make one attempt if it is due and nobody else makes it; True when the channel accepted the message."""
    delivery = _due(now).select_related("alert", "transition", "channel").filter(pk=delivery_id).first()
    if delivery is None or not _claim(delivery, now):
        return False
    channel = delivery.channel
    started = time.monotonic()
    try:
        send_notification(channel.kind, channel.target, build_notification(delivery, settings.BASE_URL))
    except ChannelError as error:
        telemetry.ALERT_DELIVERIES.labels(channel.kind, "failed").inc()
        _record_failure(delivery, error, now + _since(started))
        return False
    except Exception:  # a task's edge: an unforeseen answer must not stop the retries
        telemetry.ALERT_DELIVERIES.labels(channel.kind, "failed").inc()
        logger.exception("delivery %s to channel %s broke", delivery.pk, channel.name)
        _record_failure(
            delivery, ChannelError("internal error; the server's log says more", permanent=False), now + _since(started)
        )
        return False
    telemetry.ALERT_DELIVERIES.labels(channel.kind, "delivered").inc()
    Delivery.objects.filter(pk=delivery.pk).update(status=DeliveryStatus.DELIVERED, delivered_at=timezone.now(), last_error="")
    return True


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - started)


def _claim(delivery: Delivery, now: datetime) -> bool:
    claimed = Delivery.objects.filter(
        pk=delivery.pk,
        status=DeliveryStatus.PENDING,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_attempt_at,
    ).update(attempts=delivery.attempts + 1, next_attempt_at=now + LEASE)
    delivery.attempts += 1
    return claimed == 1


def _record_failure(delivery: Delivery, error: ChannelError, now: datetime) -> None:
    logger.warning(
        "delivery %s to channel %s failed (attempt %s): %s", delivery.pk, delivery.channel.name, delivery.attempts, error
    )
    Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).update(
        last_error=str(error)[:1000], next_attempt_at=now + pause_after(delivery.attempts)
    )
    if error.permanent:
        NotificationChannel.objects.filter(pk=delivery.channel_id, enabled=True).update(
            enabled=False, disabled_reason=str(error)[:1000]
        )


def send_test(channel: NotificationChannel) -> None:
    """Send a test message at once; when it is accepted, a channel that had failed is switched on again. Raises ChannelError."""
    send_notification(channel.kind, channel.target, build_test_notification(channel, settings.BASE_URL))
    if channel.disabled_reason:
        set_channel_enabled(channel, enabled=True)


def set_channel_enabled(channel: NotificationChannel, *, enabled: bool) -> None:
    """Switch a channel on or off by hand. What waited for it is attempted at once."""
    channel.enabled, channel.disabled_reason = enabled, ""
    channel.save(update_fields=["enabled", "disabled_reason"])
    if enabled:
        channel.deliveries.filter(status=DeliveryStatus.PENDING).update(next_attempt_at=timezone.now())
