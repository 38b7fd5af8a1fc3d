"""A JSON POST to an http(s) address. The body is described in docs/alerts.md."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from apprise import NotifyBase
from apprise.plugins.custom_json import NotifyJSON

from alerts.channels.base import ASSET, Notification


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    try:
        parts = urlsplit(target)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("This is not a URL: use https://host/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("A webhook address starts with http:// or https:// and names a host.")


def describe_target(target: str) -> str:
    """Return the address without what may be secret: password, path beyond the first part, query."""
    parts = urlsplit(target)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}/" + ("…" if parts.path.strip("/") or parts.query else "")


def build_plugin(target: str, notification: Notification) -> NotifyBase:
    """Apprise's own fields (version, title, message, type, attachments) are replaced by ours, which are structured."""
    check_target(target)
    parts = urlsplit(target)
    plugin = NotifyJSON(  # type: ignore[no-untyped-call]  # apprise's plugins are only partly typed
        host=f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname,
        port=parts.port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or "") if parts.username else None,
        secure=parts.scheme == "https",
        fullpath=parts.path,
        params=parse_qs(parts.query, keep_blank_values=True),
        asset=ASSET,
    )
    # A falsy value for one of apprise's own fields removes it, any other key is added as it is.
    plugin.payload_extras = {"version": "", "attachments": "", "type": "", **notification.payload}
    return cast(NotifyBase, plugin)
