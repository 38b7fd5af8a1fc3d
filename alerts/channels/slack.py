"""A Slack channel through its incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

Mattermost and Rocket.Chat take the same requests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alerts.channels.base import check_http_url, post, show_host
from alerts.messages.notification import Notification
from alerts.messages.rendering.slack import render_slack

if TYPE_CHECKING:
    from alerts.models import NotificationChannel


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    check_http_url(target, "The address of an incoming webhook")


def describe_target(target: str) -> str:
    return show_host(target)


def send(channel: NotificationChannel, notification: Notification) -> None:
    """Raises ChannelError; Slack answers a refusal with a word such as `invalid_blocks`."""
    post(channel.target, json.dumps(render_slack(notification)).encode(), says_why=True)
