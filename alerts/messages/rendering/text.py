"""Plain text: for mail without HTML and for what Apprise delivers to."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.messages.notification import Item, Notification, Section


def render_text(notification: Notification) -> str:
    return "\n".join(_lines(notification)).strip() + "\n"


def _lines(notification: Notification) -> Iterator[str]:
    yield from notification.lead
    yield ""
    if notification.facts:
        yield from (f"{label}: {text}" for label, text in notification.facts)
        yield ""
    for section in notification.sections:
        yield f"{section.heading}:"
        yield from _section_lines(section)
        yield ""
    for link in notification.links:
        yield f"{link.label}:"
        yield link.url
        yield ""


def _section_lines(section: Section) -> Iterator[str]:
    for number, item in enumerate(section.items, start=1):
        yield f"{f'{number}.' if section.numbered else '-'} {describe_item(item)}"
        if item.url:
            yield f"  {item.url}"


def describe_item(item: Item) -> str:
    """Return for example "TimeoutError: 30 traces (new; first seen ...)"."""
    notes = "; ".join(part for part in (item.mark, item.detail) if part)
    return f"{item.text} ({notes})" if notes else item.text
