"""Addresses that messages carry: the incident, and a signed one by which the reader of a message acknowledges.

The signature stands in for a login: who has the message may acknowledge its incident, and nothing else. It holds for ACK_DAYS,
counted from the day on which the message was made, so that a message that is sent again carries the same address.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.core import signing
from django.utils import timezone

from alerts.models import Alert
from tracestore.projects import address_of

ACK_DAYS = 7
_SALT = "alerts.links.ack"


class LinkRefused(ValueError):
    """An address that proves nothing: expired, cut off or forged; says which and what to do."""


def incident_url(alert: Alert) -> str:
    """Return the address of the alert's incident, "" when it has none."""
    return f"{address_of(alert.project)}/alerts/incidents/{alert.incident_id}" if alert.incident_id else ""


def ack_url(alert: Alert) -> str:
    """Return the address that asks whether to acknowledge the alert's incident, "" when it has none."""
    if alert.incident_id is None:
        return ""
    return f"{address_of(alert.project)}/alerts/ack/{sign_ack(alert.incident_id, timezone.now())}"


def sign_ack(incident_id: int, now: datetime) -> str:
    return signing.Signer(salt=_SALT).sign(f"{incident_id}-{(now.astimezone(UTC) + timedelta(days=ACK_DAYS)):%Y%m%d}")


def read_ack(token: str, now: datetime) -> int:
    """Return the id of the incident that the token acknowledges. Raises LinkRefused."""
    try:
        incident_id, _, last_day = signing.Signer(salt=_SALT).unsign(token).partition("-")
    except signing.BadSignature:
        raise LinkRefused("This link is not complete, or not one of ours: open it from the message again.") from None
    if f"{now.astimezone(UTC):%Y%m%d}" > last_day:
        raise LinkRefused(f"This link has expired: links in messages hold for {ACK_DAYS} days. Open the incident instead.")
    return int(incident_id)
