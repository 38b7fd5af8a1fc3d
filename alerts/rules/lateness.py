"""Whether alert rules are evaluated when their time comes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from alerts.models import AlertRule

# Longer than a pause for a restart or a long evaluation, which holds its claim for a minute.
_PATIENCE = timedelta(minutes=3)


def find_late_rules(now: datetime) -> str:
    """Return a sentence when the turn of an enabled rule was missed for long; "" when all are on time, or there is none."""
    latest = now - _PATIENCE - 4 * timedelta(seconds=settings.ALERT_INTERVAL_S)
    late = AlertRule.objects.filter(enabled=True, next_evaluation_at__lt=latest).order_by("next_evaluation_at")
    first = late.first()
    if first is None:
        return ""
    waiting_s = (now - first.next_evaluation_at).total_seconds()
    return f"{late.count()} alert rules were not evaluated in time, the first for {waiting_s:.0f} s; the log may say why"
