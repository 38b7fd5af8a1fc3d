"""An incident's timeline: what its alerts did, who was told, and what people did, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from alerts.messages.wording import format_value
from alerts.models import AlertTransition, Delivery, DeliveryStatus, Incident, IncidentEvent, IncidentEventKind

MOST_ROWS = 300
# A line of the alert's own says the same.
_SAID_BY_ALERTS = (IncidentEventKind.OPENED, IncidentEventKind.JOINED)
# The modifier of .badge for the state of an alert, a delivery or an incident.
STATE_CLASSES = {"firing": "error", "pending": "warn", "resolved": "ok", "delivered": "ok", "failed": "error", "acked": "ok"}


@dataclass(frozen=True)
class Line:
    """One line. `badge` is a word and `badge_class` the modifier of .badge; `alert_id` is None for what is about the whole."""

    at: datetime
    badge: str
    badge_class: str
    text: str
    by: str = ""
    alert_id: int | None = None
    alert_name: str = ""
    error: str = ""
    is_comment: bool = False


def build_timeline(incident: Incident) -> list[Line]:
    """Return the latest MOST_ROWS lines of each kind, newest first."""
    # Evidence is long and says nothing here.
    transitions = AlertTransition.objects.filter(alert__incident=incident).select_related("alert")
    transitions = transitions.defer("evidence", "alert__evidence")
    deliveries = Delivery.objects.filter(alert__incident=incident).select_related("alert", "transition", "channel")
    deliveries = deliveries.defer("alert__evidence", "transition__evidence")
    events = incident.events.exclude(kind__in=_SAID_BY_ALERTS)
    lines = [
        *(_event_line(event) for event in events.order_by("-at", "-pk")[:MOST_ROWS]),
        *(_delivery_line(delivery) for delivery in deliveries.order_by("-pk")[:MOST_ROWS]),
        *(_transition_line(transition) for transition in transitions.order_by("-at", "-pk")[:MOST_ROWS]),
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:MOST_ROWS]


def _transition_line(transition: AlertTransition) -> Line:
    assert transition.alert is not None  # the query asks for those of alerts
    rose = transition.from_state == transition.to_state
    labels = ", ".join(str(value) for value in transition.alert.labels.values())
    said = transition.reason or f"at {format_value(transition.alert.metric, transition.value)}"
    return Line(
        at=transition.at,
        badge="Now " + transition.severity if rose else transition.to_state.capitalize(),
        badge_class=STATE_CLASSES.get(transition.to_state, ""),
        text=said,
        alert_id=transition.alert.pk,
        alert_name=f"{transition.alert.rule_name} ({labels})" if labels else transition.alert.rule_name,
    )


def _delivery_line(delivery: Delivery) -> Line:
    waits = delivery.status == DeliveryStatus.PENDING and not delivery.channel.enabled
    tried = f", attempt {delivery.attempts}" if delivery.attempts > 1 else ""
    return Line(
        at=delivery.created_at,
        badge=delivery.get_status_display().capitalize(),
        badge_class=STATE_CLASSES.get(delivery.status, ""),
        text=f"“{delivery.event or delivery.transition.to_state}” to {delivery.channel.name}{tried}."
        + (f" {delivery.reason}" if delivery.reason else "")
        + (" It waits: the channel is off." if waits else ""),
        error=delivery.last_error,
    )


def _event_line(event: IncidentEvent) -> Line:
    return Line(
        at=event.at,
        badge=event.get_kind_display(),
        badge_class=STATE_CLASSES.get(event.kind, ""),
        text=event.text,
        by=event.by,
        is_comment=event.kind == IncidentEventKind.COMMENT,
    )
