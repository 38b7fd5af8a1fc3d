"""What every kind of channel shares: the message it carries, how a send is made and how its failure is read."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apprise import AppriseAsset, NotifyFormat, NotifyType

if TYPE_CHECKING:
    from apprise import NotifyBase

TIMEOUT_S = 10
ASSET = AppriseAsset(app_id="Tracestore", app_desc="Tracestore alerts", app_url="", async_mode=False, http_redirects=False)
# The sender's fault, and the same request would fail again: the address, the credentials or the shape is wrong.
_PERMANENT_HTTP = {400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 501}
_HTTP_CODE = re.compile(r"error=(\d{3})\b")
_SMTP_CODE = re.compile(r"\((5\d\d), b")  # smtplib's errors print as (code, b'text'); 5xx is permanent, RFC 5321 section 4.2.1
_SAID = re.compile(r"^Socket Exception: (.*)$", re.DOTALL)


@dataclass(frozen=True)
class Notification:
    """One message in the two forms that channels need: text for people, `payload` (JSON-like) for programs."""

    title: str
    body: str
    kind: NotifyType
    payload: dict[str, Any] = field(default_factory=dict)


class ChannelError(Exception):
    """A message that was not accepted. `permanent` when trying again cannot help until someone changes the channel."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


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
        self._local.lines = lines = []
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


def send(plugin: NotifyBase, notification: Notification) -> None:
    """Make one attempt, which takes at most two times TIMEOUT_S per connection. Raises ChannelError with the reason."""
    _listen()
    plugin.socket_connect_timeout = plugin.socket_read_timeout = TIMEOUT_S
    with _reasons.collect() as lines:
        accepted = plugin.notify(
            body=notification.body, title=notification.title, notify_type=notification.kind, body_format=NotifyFormat.TEXT
        )
    if not accepted:
        raise read_failure(lines)


def read_failure(lines: list[str]) -> ChannelError:
    """Turn what apprise logged about a failed send into one error."""
    text = "; ".join(dict.fromkeys(_SAID.sub(r"\1", line.strip()) for line in lines)) or "the channel refused the message"
    http = _HTTP_CODE.search(text)
    permanent = bool(http and int(http[1]) in _PERMANENT_HTTP) or (not http and bool(_SMTP_CODE.search(text)))
    return ChannelError(text[:1000], permanent=permanent)
