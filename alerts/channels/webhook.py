"""A JSON POST to an http(s) address. The body is described in docs/alerts.md."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from apprise import NotifyBase, NotifyType
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


class _Webhook(NotifyJSON):  # type: ignore[no-untyped-call]  # apprise's plugins are only partly typed
    """Apprise's webhook with our fields, and deaf: its own reads the whole answer, which may be endless."""

    notification: Notification

    def send(self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, attach: Any = None, **_: Any) -> bool:
        port = f":{self.port}" if self.port else ""
        try:
            with requests.post(
                f"{'https' if self.secure else 'http'}://{self.host}{port}{self.fullpath}",
                json={"title": title, "message": body} | self.notification.payload,
                params=self.params,
                headers={"User-Agent": self.app_id},
                auth=(self.user, self.password or "") if self.user else None,
                timeout=self.request_timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                if not 200 <= answer.status_code < 300:
                    self.logger.warning("Failed to send: error=%s", answer.status_code)
                    return False
        except requests.RequestException as error:
            self.logger.warning("Failed to send: %s", error)
            return False
        return True


def build_plugin(target: str, notification: Notification) -> NotifyBase:
    check_target(target)
    parts = urlsplit(target)
    plugin = _Webhook(  # type: ignore[no-untyped-call]
        host=f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname,
        port=parts.port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or "") if parts.username else None,
        secure=parts.scheme == "https",
        fullpath=parts.path,
        params=parse_qs(parts.query, keep_blank_values=True),
        asset=ASSET,
    )
    plugin.notification = notification
    return plugin
