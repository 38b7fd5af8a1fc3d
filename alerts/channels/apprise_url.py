"""Any service that apprise knows (Teams, Discord, Telegram, ntfy, ...), by its URL: https://github.com/caronc/apprise/wiki."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from alerts.channels.base import USER_AGENT, ChannelError, is_forbidden, refusal, unreachable, wait_s
from alerts.messages.notification import Event, Notification
from alerts.messages.rendering.text import render_text

if TYPE_CHECKING:
    from apprise import AppriseAttachment, NotifyBase

    from alerts.models import NotificationChannel

# They run programs or write to this machine instead of sending a message.
_REFUSED = {"syslog", "dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "rsyslog"}
_HTTP_CODE = re.compile(r"error=(\d{3})\b")
# smtplib's errors print as (code, b'text'); 5xx is permanent, RFC 5321 section 4.2.1.
_SMTP_ANSWER = re.compile(r"\(([45]\d\d), b['\"](.*?)['\"][,)]")
_SECRETS = re.compile(r" with url: \S+")  # the path of a webhook is often its password
_SAID = re.compile(r"^Socket Exception: ")


def _instantiate(target: str) -> NotifyBase | None:
    # Imported where it is used: most instances have no such channel, and it would make each start a twentieth longer.
    from apprise import Apprise, AppriseAsset
    from apprise.manager_attachment import AttachmentManager

    # A URL may name a template, a key or the like, which is read and sent on: that must be no file of this machine.
    AttachmentManager().remove("file", unload=False)  # type: ignore[no-untyped-call]  # apprise is only partly typed
    asset = AppriseAsset(app_id=USER_AGENT, app_desc="Tracestore alerts", app_url="", async_mode=False, http_redirects=False)
    return Apprise.instantiate(target, asset=asset)


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    if target.partition("://")[0].lower() in _REFUSED:
        raise ValueError("This kind of Apprise URL acts on the server's own machine and is not offered.")
    plugin = _instantiate(target)
    if plugin is None:
        raise ValueError("Apprise does not understand this URL; see the Apprise documentation for its form.")
    if is_forbidden(str(plugin.host or "").strip("[]")):
        raise ValueError("The host of this Apprise URL is a link-local address: no receiver is there.")


def describe_target(target: str) -> str:
    """Return scheme and host. Apprise hides passwords and tokens, but not a path or a topic that serves as one."""
    plugin = _instantiate(target)
    if plugin is None:
        return target.partition("://")[0] + "://…"
    shown = str(plugin.url(privacy=True))  # type: ignore[no-untyped-call]  # apprise's plugins are only partly typed
    scheme, _, rest = shown.partition("?")[0].partition("://")
    host, _, path = rest.partition("/")
    if not any(mark in host for mark in ".*"):  # neither a host nor a token that is hidden: ntfy://topic
        return f"{scheme}://…"
    return f"{scheme}://{host}/" + ("…" if path.strip("/") else "")


def send(channel: NotificationChannel, notification: Notification) -> None:
    """Raises ChannelError with the reason."""
    from apprise import NotifyFormat, NotifyType

    plugin = _instantiate(channel.target)
    if plugin is None:
        raise ChannelError("Apprise does not understand this URL.", permanent=True)
    _listen()
    plugin.socket_connect_timeout = plugin.socket_read_timeout = wait_s()
    kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}
    kind = NotifyType.SUCCESS if notification.event == Event.RESOLVED else kinds[notification.severity]
    with _reasons.collect() as lines:
        accepted = plugin.notify(
            body=render_text(notification),
            title=notification.title,
            notify_type=kind,
            body_format=NotifyFormat.TEXT,
            attach=_attach(notification) if plugin.attachment_support else None,
        )
    if not accepted:
        raise read_failure(lines)


def _attach(notification: Notification) -> AppriseAttachment | None:
    from apprise import AppriseAttachment
    from apprise.attachment.memory import AttachMemory

    if not notification.pictures:
        return None
    pictures = AppriseAttachment()
    for number, picture in enumerate(notification.pictures, start=1):
        name = f"metric-{number}.png"
        pictures.add(AttachMemory(picture.png, name=name, mimetype="image/png"))  # type: ignore[no-untyped-call]
    return pictures


class _Reasons(logging.Handler):
    """Apprise answers only true or false and logs the reason; this keeps what it logs in the sending thread."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(self._local, "lines", None)
        if lines is not None and (record.levelno >= logging.WARNING or str(record.msg).startswith("Socket Exception")):
            lines.append(record.getMessage())

    @contextlib.contextmanager
    def collect(self) -> Iterator[list[str]]:
        lines: list[str] = []
        self._local.lines = lines
        try:
            yield lines
        finally:
            self._local.lines = None


_reasons = _Reasons()


def _listen() -> None:
    # Its debug lines carry the socket error; they end here, because a failed delivery is logged once, by its delivery.
    logger = logging.getLogger("apprise")
    if _reasons not in logger.handlers:
        logger.addHandler(_reasons)
        logger.propagate = False
        logger.setLevel(logging.DEBUG)


def read_failure(lines: list[str]) -> ChannelError:
    """Turn what apprise logged about a failed send into one sentence and its verdict."""
    said = "; ".join(dict.fromkeys(_SECRETS.sub("", _SAID.sub("", line.strip())) for line in lines))
    if http := _HTTP_CODE.search(said):
        return refusal(int(http[1]))
    if smtp := _SMTP_ANSWER.search(said):
        return ChannelError(f"The mail server answered {smtp[1]}: {smtp[2]}.", permanent=smtp[1].startswith("5"))
    return unreachable(said) or ChannelError(said[:1000] or "The channel refused the message.", permanent=False)
