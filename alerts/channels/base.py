"""What every kind of channel shares: the message it carries, how a send is made and how its failure is read."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from apprise import AppriseAsset, NotifyFormat, NotifyType

if TYPE_CHECKING:
    from apprise import NotifyBase

TIMEOUT_S = 10
ASSET = AppriseAsset(app_id="Tracestore", app_desc="Tracestore alerts", app_url="", async_mode=False, http_redirects=False)
# The sender's fault, and the same request would fail again: the address, the credentials or the shape is wrong.
_PERMANENT_HTTP = {301, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 501}
_HTTP_CODE = re.compile(r"error=(\d{3})\b")
# smtplib's errors print as (code, b'text'); 5xx is permanent, RFC 5321 section 4.2.1.
_SMTP_ANSWER = re.compile(r"\(([45]\d\d), b['\"](.*?)['\"][,)]")
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([\w .,-]+)")
_SECRETS = re.compile(r" with url: \S+")  # the path of a webhook is often its password
_SAID = re.compile(r"^Socket Exception: ")


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
    """Turn what apprise logged about a failed send into one sentence and its verdict."""
    said = "; ".join(dict.fromkeys(_SECRETS.sub("", _SAID.sub("", line.strip())) for line in lines))
    if http := _HTTP_CODE.search(said):
        code = int(http[1])
        phrase = f" ({HTTPStatus(code).phrase})" if code in HTTPStatus._value2member_map_ else ""
        hint = "; redirects are not followed" if 300 <= code < 400 else ""
        return ChannelError(f"The receiver answered {code}{phrase}{hint}.", permanent=code in _PERMANENT_HTTP)
    if smtp := _SMTP_ANSWER.search(said):
        return ChannelError(f"The mail server answered {smtp[1]}: {smtp[2]}.", permanent=smtp[1].startswith("5"))
    if "timed out" in said or "Timeout" in said:
        return ChannelError(f"The receiver did not answer within {TIMEOUT_S} s.", permanent=False)
    if system := _SYSTEM_ERROR.search(said):
        return ChannelError(f"The receiver cannot be reached: {system[1].strip()}.", permanent=False)
    return ChannelError(said[:1000] or "The channel refused the message.", permanent=False)
