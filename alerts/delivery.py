"""Bring messages to their channels: retried with growing pauses until accepted, in order per alert and channel.

An attempt is claimed by a conditional UPDATE that also sets a lease, so no two workers make the same attempt. A worker that
dies between the channel's acceptance and our note of it leaves a lease that runs out: the message is then sent again
(at least once), and a webhook can tell by its `delivery_id`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from alerts.channels import ChannelError, Notification, send_notification
from alerts.channels.signing import OVERLAP, new_secret
from alerts.evidence.gathering import find_cost
from alerts.evidence.model import Evidence
from alerts.messages.illustration import illustrate
from alerts.messages.message import build_notification, build_test_notification
from alerts.models import ChannelKind, Delivery, DeliveryEvent, DeliveryStatus, DigestRun, NotificationChannel
from alerts.rules.evaluation import AlertState
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.language import QueryError
from tracestore.process import telemetry
from tracestore.projects import address_of
from tracestore.queries.metrics.definitions import MetricError

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 10
LONGEST_PAUSE_S = 15 * 60
GIVE_UP_AFTER = timedelta(days=7)
# Beyond the time of an attempt: for reading what the message says and for writing down how it went.
_MARGIN = timedelta(seconds=60)
_SILENCE_PAUSE = timedelta(seconds=60)
# What is found due at once: a backlog of a channel that was off for days must not flood the queue. The next look finds more.
_AT_ONCE = 1000
_MARKING_PAUSES_S = (0.1, 0.5, 1, 2, 4, 8)


def lease() -> timedelta:
    """Return how long a claim holds: longer than an attempt can take, so that a second worker means that the first one died."""
    return timedelta(seconds=settings.DELIVERY_TIMEOUT_S) + _MARGIN


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failed attempts: 10 s, 20 s, 40 s, ... at most 15 minutes."""
    return timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 20)))


def has_come(now: datetime) -> Q:
    """Return the condition that the next attempt is due.

    One farther away than the longest pause or claim (of a report, digests.py) means that the clock was set back meanwhile.
    """
    return Q(next_attempt_at__lte=now) | Q(next_attempt_at__gt=now + timedelta(seconds=2 * LONGEST_PAUSE_S))


def _due(now: datetime) -> QuerySet[Delivery]:
    earlier = Delivery.objects.filter(
        alert=OuterRef("alert"), channel=OuterRef("channel"), pk__lt=OuterRef("pk"), status=DeliveryStatus.PENDING
    )
    # "Resolved" waits for its "firing": out of order they would read as a new alert.
    return Delivery.objects.filter(has_come(now), ~Exists(earlier), status=DeliveryStatus.PENDING, channel__enabled=True)


def find_due_deliveries(now: datetime) -> list[int]:
    """Return the ids of the deliveries to attempt now, at most _AT_ONCE; gives up those that are too old to be news."""
    Delivery.objects.filter(status=DeliveryStatus.PENDING, created_at__lt=now - GIVE_UP_AFTER).update(
        status=DeliveryStatus.FAILED
    )
    return list(_due(now).order_by("next_attempt_at", "pk").values_list("pk", flat=True)[:_AT_ONCE])


def release_claims(now: datetime) -> None:
    """Let messages and reports that were under way or wait be attempted at once.

    Called when the only process starts: nobody holds a claim.
    """
    DigestRun.objects.filter(status=DeliveryStatus.PENDING, next_attempt_at__gt=now).update(next_attempt_at=now)
    waiting = Delivery.objects.filter(status=DeliveryStatus.PENDING, next_attempt_at__gt=now)
    waiting.update(next_attempt_at=now, claimed_until=None)


def deliver(delivery_id: int, now: datetime) -> bool:
    """Make one attempt if it is due and nobody else makes it; True when the channel accepted the message."""
    delivery = _due(now).select_related("alert", "transition", "channel").filter(pk=delivery_id).first()
    if delivery is None:
        return False
    # Of an attempt that was never ended: its worker died, or the store holds it. This one asks the store nothing.
    is_second_try = delivery.claimed_until is not None
    if not _claim(delivery, now):
        return False
    channel = delivery.channel
    started = time.monotonic()
    try:
        notification = _build(delivery, asks_store=not is_second_try)
        if not _renew(delivery, now + _since(started)):
            logger.warning("delivery %s to channel %s took so long that another worker has it", delivery.pk, channel.name)
            return False
        send_notification(channel, notification)
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
    mark_delivered(delivery)
    return True


def _build(delivery: Delivery, *, asks_store: bool) -> Notification:
    """Return the message, with the cost until now and a picture if the store can say: it is sent without them, too."""
    alert, transition, cost_usd, pictures = delivery.alert, delivery.transition, None, []
    if asks_store and not alert.is_about_rule and delivery.event == DeliveryEvent.TRANSITION:
        try:
            if transition.to_state == AlertState.RESOLVED:
                evidence = Evidence.from_json(alert.evidence)
                cost_usd = find_cost(get_store().unqueued(), alert.project_id, evidence, transition.window_end_ns)
            if _shows_pictures(delivery):
                pictures = [illustrate(get_store().unqueued(), alert, transition)]
        except Exception as error:  # whatever it is, what the message is about matters more
            known = isinstance(error, StoreError | QueryError | MetricError)
            logger.warning("the message about alert %s lacks its cost or picture: %s", alert.pk, error, exc_info=not known)
    return replace(build_notification(delivery, address_of(alert.project), cost_usd), pictures=pictures)


def _shows_pictures(delivery: Delivery) -> bool:
    # Some services take text and picture in two requests: where that failed, the text alone has better chances.
    kind = delivery.channel.kind
    return kind == ChannelKind.EMAIL or (kind == ChannelKind.APPRISE and delivery.attempts == 1)


def mark_delivered(sent: Delivery | DigestRun) -> None:
    """Write down that the channel has the message, patiently: what is not written down is sent again."""
    row = type(sent)._default_manager.filter(pk=sent.pk)
    for pause_s in (*_MARKING_PAUSES_S, None):
        try:
            row.update(status=DeliveryStatus.DELIVERED, delivered_at=timezone.now(), last_error="")
        except DatabaseError:
            if pause_s is None:
                raise
            close_old_connections()
            time.sleep(pause_s)
        else:
            return


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - started)


def _claim(delivery: Delivery, now: datetime) -> bool:
    claimed = Delivery.objects.filter(
        pk=delivery.pk,
        status=DeliveryStatus.PENDING,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_attempt_at,
    ).update(attempts=delivery.attempts + 1, next_attempt_at=now + lease(), claimed_until=now + lease())
    delivery.attempts += 1
    return claimed == 1


def _renew(delivery: Delivery, now: datetime) -> bool:
    """Hold the claim for the time of sending; False when it ran out meanwhile and another worker has it."""
    mine = Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.PENDING, attempts=delivery.attempts)
    return mine.update(next_attempt_at=now + lease(), claimed_until=now + lease()) == 1


def _record_failure(delivery: Delivery, error: ChannelError, now: datetime) -> None:
    logger.warning(
        "delivery %s to channel %s failed (attempt %s): %s", delivery.pk, delivery.channel.name, delivery.attempts, error
    )
    Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).update(
        last_error=str(error)[:1000], next_attempt_at=now + pause_after(delivery.attempts), claimed_until=None
    )
    if error.silent:
        # The other messages would only wait as long for the same silence, and with them those of channels that answer.
        until = now + min(pause_after(delivery.attempts), _SILENCE_PAUSE)
        others = _waiting(delivery.channel_id, now).filter(next_attempt_at__lt=until)
        others.exclude(pk=delivery.pk).update(next_attempt_at=until)
    if error.permanent:
        NotificationChannel.objects.filter(pk=delivery.channel_id, enabled=True).update(
            enabled=False, disabled_reason=str(error)[:1000]
        )


def send_test(channel: NotificationChannel) -> None:
    """Send a test message at once; when it is accepted, a channel that had failed is switched on again. Raises ChannelError."""
    send_notification(channel, build_test_notification(channel, address_of(channel.project)))
    if channel.disabled_reason:
        set_channel_enabled(channel, enabled=True)


def set_channel_enabled(channel: NotificationChannel, *, enabled: bool) -> None:
    """Switch a channel on or off by hand. What waited for it is attempted at once."""
    channel.enabled, channel.disabled_reason = enabled, ""
    channel.save(update_fields=["enabled", "disabled_reason"])
    if enabled:
        now = timezone.now()
        _waiting(channel.pk, now).update(next_attempt_at=now)


def _waiting(channel_id: int, now: datetime) -> QuerySet[Delivery]:
    """Return what waits for its turn. What a worker is sending at the moment is not brought forward: it would arrive twice."""
    idle = Q(claimed_until=None) | Q(claimed_until__lte=now)
    return Delivery.objects.filter(idle, channel=channel_id, status=DeliveryStatus.PENDING)


def rotate_secret(channel: NotificationChannel, now: datetime) -> str:
    """Give the channel a new secret and return it, the only time that it is shown. The one before stays in force for a day."""
    if channel.secret:
        channel.previous_secret, channel.previous_secret_until = channel.secret, now + OVERLAP
    channel.secret = new_secret()
    channel.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
    return channel.secret


def describe_backlog(channel: NotificationChannel) -> dict[str, Any]:
    """Return what has not arrived: how many messages wait, the error of the last attempt, and how many were given up lately."""
    waiting = channel.deliveries.filter(status=DeliveryStatus.PENDING)
    failing = waiting.exclude(last_error="").order_by("-next_attempt_at").first()
    given_up = channel.deliveries.filter(status=DeliveryStatus.FAILED, created_at__gte=timezone.now() - 2 * GIVE_UP_AFTER)
    return {"waiting": waiting.count(), "failing": failing, "given_up": given_up.count()}
