"""Slack's blocks: https://docs.slack.dev/reference/block-kit/blocks. Texts are cut to what Slack takes; more is refused whole."""

from __future__ import annotations

from typing import Any

from alerts.messages.notification import Item, Link, Notification, Section
from alerts.messages.rendering.html import accent_of

_HEADER_CHARS, _SECTION_CHARS, _ITEM_CHARS, _URL_CHARS, _BUTTONS = 150, 3000, 600, 3000, 5
_HEADING_CHARS = 200
_Block = dict[str, Any]


def render_slack(notification: Notification) -> dict[str, Any]:
    """Return the body of a request to an incoming webhook. `text` is what a phone's lock screen shows."""
    blocks: list[_Block] = [
        {"type": "header", "text": _plain(notification.title, _HEADER_CHARS)},
        _section("\n".join(map(_escape, notification.lead))),
    ]
    if notification.facts:
        blocks.append(_section("\n".join(f"*{_escape(label)}:* {_escape(text)}" for label, text in notification.facts)))
    blocks += [_section(f"*{_escape(section.heading)[:_HEADING_CHARS]}*\n{_list(section)}") for section in notification.sections]
    buttons = [_button(link, is_first=not number) for number, link in enumerate(notification.links[:_BUTTONS])]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    # The colour beside the blocks is to be had in an attachment only.
    text = "\n".join(filter(None, (notification.title, notification.cause)))
    return {"text": _escape(text), "attachments": [{"color": accent_of(notification), "blocks": blocks}]}


def _section(text: str) -> _Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SECTION_CHARS], "verbatim": True}}


def _list(section: Section) -> str:
    """Return as many items as fit beside the heading: half a link would be shown as such."""
    text = ""
    for number, item in enumerate(section.items, start=1):
        line = f"{f'{number}.' if section.numbered else '•'} {_describe(item)}\n"
        if len(text) + len(line) > _SECTION_CHARS - _HEADING_CHARS - len("**\n"):
            break
        text += line
    return text.rstrip()


def _describe(item: Item) -> str:
    text, detail = _escape(item.text[:_ITEM_CHARS]), _escape(item.detail[:_ITEM_CHARS])
    if item.url:
        text = f"<{_escape(item.url)}|{text}>"
    return " ".join(part for part in (text, item.mark and f"*{_escape(item.mark)}*", detail) if part)


def _button(link: Link, *, is_first: bool) -> _Block:
    if len(link.url) > _URL_CHARS:  # a very long query: the alert's page has the same link
        return {"type": "button", "text": _plain(link.label, 75), "url": link.url[: link.url.index("?")]}
    return {"type": "button", "text": _plain(link.label, 75), "url": link.url} | ({"style": "primary"} if is_first else {})


def _plain(text: str, limit: int) -> _Block:
    return {"type": "plain_text", "text": text if len(text) <= limit else text[: limit - 1] + "…", "emoji": False}


def _escape(text: str) -> str:
    """Without its three control characters nothing links or mentions: https://docs.slack.dev/messaging/formatting-message-text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
