"""PagerDuty's Events API v2: https://developer.pagerduty.com/docs/send-alert-event."""

from __future__ import annotations

from typing import Any

from alerts.messages.notification import Event, Notification
from alerts.messages.rendering.text import describe_item

_SUMMARY_CHARS = 1024
_ACTIONS = {Event.RESOLVED: "resolve", Event.ACKNOWLEDGED: "acknowledge"}
_SEVERITIES = {"critical": "critical", "warning": "warning", "info": "info"}


def render_pagerduty(notification: Notification, routing_key: str, source: str) -> dict[str, Any]:
    """Return the event. `source` says who noticed, a host. All events about one alert share their dedup key."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _ACTIONS.get(notification.event, "trigger"),
        "dedup_key": notification.key,
    }
    if event["event_action"] != "trigger":
        return event
    details = dict(notification.facts) | {
        section.heading: [describe_item(item) + (f" {item.url}" if item.url else "") for item in section.items]
        for section in notification.sections
    }
    rule = notification.payload.get("rule", {})
    return event | {
        "client": "Tracestore",
        "client_url": notification.links[0].url if notification.links else "",
        "links": [{"href": link.url, "text": link.label} for link in notification.links],
        "payload": {
            "summary": ". ".join(filter(None, (notification.title, notification.cause)))[:_SUMMARY_CHARS],
            "source": source,
            "severity": _SEVERITIES.get(notification.severity, "error"),
            "class": rule.get("metric", ""),
            "component": rule.get("name", ""),
            "custom_details": {"What": notification.lead} | details,
        },
    }
