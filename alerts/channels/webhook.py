"""A signed JSON POST to an http(s) address. The body is described in docs/alerts.md."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from django.utils import timezone

from alerts.channels.base import check_http_url, post, show_host
from alerts.channels.signing import HEADER, sign
from alerts.messages.notification import Notification
from alerts.messages.rendering.text import render_text

if TYPE_CHECKING:
    from alerts.models import NotificationChannel


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    check_http_url(target, "A webhook address")


def describe_target(target: str) -> str:
    return show_host(target)


def send(channel: NotificationChannel, notification: Notification) -> None:
    """Raises ChannelError."""
    content = {"title": notification.title, "message": render_text(notification)} | notification.payload
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    secrets = channel.secrets_in_force(timezone.now())
    post(channel.target, body, {HEADER: sign(body, secrets, int(time.time()))} if secrets else {})
