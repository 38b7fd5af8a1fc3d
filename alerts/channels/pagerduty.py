"""PagerDuty's Events API v2: an alert triggers an incident, is acknowledged and resolves it, all by one dedup key.

A module of its own because Apprise's PagerDuty takes one dedup key for a URL, not one for an alert, and cannot acknowledge.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

from alerts.channels.base import check_http_url, post
from alerts.messages.notification import Event, Notification
from alerts.messages.rendering.pagerduty import render_pagerduty

if TYPE_CHECKING:
    from alerts.models import NotificationChannel

_ENDPOINTS = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
_KEY_CHARS = 32


def _read_target(target: str) -> tuple[str, str]:
    """Return integration key and endpoint: of KEY, eu:KEY, or https://KEY@host/path for what speaks the same API."""
    if "://" in target:
        check_http_url(target, "An endpoint")
        parts = urlsplit(target)
        return parts.username or "", urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    region, _, key = target.rpartition(":")
    return key, _ENDPOINTS.get(region.lower() or "us", "")


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    key, endpoint = _read_target(target)
    if not endpoint:
        raise ValueError("Before the integration key may stand eu: or nothing.")
    if not (len(key) == _KEY_CHARS and key.isascii() and key.isalnum()):
        raise ValueError(f"An integration key of PagerDuty's Events API v2 has {_KEY_CHARS} letters and digits.")


def describe_target(target: str) -> str:
    key, endpoint = _read_target(target)
    return f"{urlsplit(endpoint).hostname} (key …{key[-4:]})"


def send(channel: NotificationChannel, notification: Notification) -> None:
    """Raises ChannelError."""
    key, endpoint = _read_target(channel.target)
    source = urlsplit(settings.BASE_URL).hostname or "tracestore"
    event = render_pagerduty(notification, key, source)
    post(endpoint, json.dumps(event).encode(), says_why=True)
    if notification.event == Event.TEST:  # a test must leave no incident behind
        post(endpoint, json.dumps({**event, "event_action": "resolve"}).encode(), says_why=True)
