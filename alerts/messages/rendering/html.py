"""HTML for mail: one column of its own styles, because mail programs drop style sheets; see templates/alerts/mail.html."""

from __future__ import annotations

from django.template.loader import render_to_string

from alerts.messages.notification import Event, Notification

# Told apart on white and on black alike; text on them is white.
_COLOURS = {"critical": "#c62828", "warning": "#a15c00", "info": "#2459b3"}
_RESOLVED_COLOUR = "#1e7b34"


def accent_of(notification: Notification) -> str:
    """Return the colour that says at a glance how bad it is, as #rrggbb."""
    if notification.event == Event.RESOLVED:
        return _RESOLVED_COLOUR
    return _COLOURS.get(notification.severity, _COLOURS["info"])


def render_html(notification: Notification, picture_ids: list[str]) -> str:
    """`picture_ids` are the content ids of the parts that hold the pictures, in their order."""
    pictures = list(zip(notification.pictures, picture_ids, strict=True))
    context = {"notification": notification, "accent": accent_of(notification), "pictures": pictures}
    return render_to_string("alerts/mail.html", context)
