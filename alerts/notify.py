"""Who is told of a change of state: what stands between a transition and its deliveries."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction as database
from django.db.models import Q

from alerts.evaluation import AlertState
from alerts.models import Alert, AlertTransition, Delivery, NotificationChannel
from tracestore.celery import app

# A channel that failed for good still gets its rows: they wait, visibly, until someone repairs it.
_REACHABLE = Q(enabled=True) | ~Q(disabled_reason="")


def add_deliveries(alert: Alert, transition: AlertTransition, now: datetime) -> None:
    """Add the deliveries of a transition of this alert. Runs inside the caller's transaction."""
    if transition.to_state == AlertState.RESOLVED:  # goes to those who heard of the alert, whatever the rule says by now
        channels = NotificationChannel.objects.filter(_REACHABLE, deliveries__alert=alert).distinct()
    else:
        channels = NotificationChannel.objects.filter(_REACHABLE, rules=alert.rule_id)
    Delivery.objects.bulk_create(
        Delivery(alert=alert, transition=transition, channel=channel, created_at=now, next_attempt_at=now) for channel in channels
    )
    # Robust: when the broker is away the state still stands, and the schedule delivers a few seconds later.
    database.on_commit(lambda: app.send_task("alerts.tasks.deliver_notifications"), robust=True)
